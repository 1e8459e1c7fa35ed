"""Bytes that pass through: an event's payload or a response's body.

The control plane hands payloads on and never looks inside, so they travel as one opaque object. It also keeps them out of recordings:
a story stores a payload's size and its beginning (see `story.records`), because a payload can be six megabytes and somebody's data.
"""

from __future__ import annotations


class Payload:
    """Opaque bytes with a short, stable repr."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        head = self.data[:24]
        return f"Payload({head!r}{'...' if len(self.data) > len(head) else ''}, {len(self.data)} B)"


EMPTY = Payload(b"")
