"""Plain TCP: every byte comes back."""

from __future__ import annotations

from .connection import Connection


class Echo:
    """A conversation. No request has a beginning or an end here, so none are counted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def received(self, data: bytes) -> None:
        self._connection.heard()
        self._connection.send(data)

    def goodbye(self) -> bytes:
        return b""

    def over(self) -> None:
        """Nothing is kept."""
