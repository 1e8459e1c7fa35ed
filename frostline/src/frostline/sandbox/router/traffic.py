"""What goes over a connection, told in bursts: who sent how many bytes, and when. Looked into for one thing only, HTTP/2 PING frames.

A connection tells some twenty bursts a second at most, and ten PINGs; what is more is in the bursts. Nothing is kept but the burst under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from ...core.events import ConnectionTraffic
from .relay import Side

QUIET_S = 0.05
"""A burst ends when nothing was sent for so long."""

LONGEST_S = 0.25
"""A burst is told after this time, however busy the connection is: what follows may belong to another invocation."""

PING_EVERY_S = 0.1
"""PINGs that come closer are part of a burst."""

Kind = Literal["data", "ping", "ping_ack"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What an HTTP/2 client sends first (RFC 9113, 3.4)."""

HEAD, PING_BYTES = 9, 17
SHORT = 1024
"""Longer reads are not looked into: PINGs come alone, or with a few short frames."""

_PINGS: dict[bytes, Kind] = {b"\0\0\x08\x06\0\0\0\0\0": "ping", b"\0\0\x08\x06\x01\0\0\0\0": "ping_ack"}
"""Frame heads: length 8, type 6, flags, stream 0 (RFC 9113, 4.1 and 6.7)."""


def pings(data: memoryview | bytes) -> list[Kind]:
    """The PING frames within a chain of whole HTTP/2 frames; none, where it is anything else."""
    found: list[Kind] = []
    at = 0
    while at + HEAD <= len(data):
        if (kind := _PINGS.get(bytes(data[at : at + HEAD]))) is not None:
            found.append(kind)
        at += HEAD + int.from_bytes(data[at : at + 3])
    return found if at == len(data) else []


class Traffic:
    """One connection's. `tell` takes the events; `now` is the story's clock."""

    def __init__(self, environment: str, connection: int, now: Callable[[], float], tell: Callable[[ConnectionTraffic], None]) -> None:
        self._environment, self._connection = environment, connection
        self._now, self._tell = now, tell
        self._loop = asyncio.get_running_loop()
        self._begin = self._until = 0.0
        self._sent = self._received = 0
        self._told_already = 0
        """Bytes of the peer's that will be read now and were told as `while_frozen`."""
        self._http2: bool | None = None
        self._ping_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def passed(self, side: Side, data: memoryview) -> None:
        """Bytes are passed on, from this side."""
        now = self._now()
        size = len(data)
        if self._http2 is None and side == "environment":  # a server's SETTINGS may come before the client's preface
            self._http2 = PREFACE.startswith(bytes(data[: len(PREFACE)]))
        if side == "peer" and self._told_already:
            known = min(size, self._told_already)
            self._told_already -= known
            size -= known
        elif self._http2 and size <= SHORT:
            size -= self._tell_pings(side, pings(data), now)
        if not size:
            return
        if self._begin and (now - self._begin >= LONGEST_S or now - self._until >= QUIET_S):
            self.flush()
        if not self._begin:
            self._begin = now
        self._until = now
        if side == "environment":
            self._sent += size
        else:
            self._received += size
        if self._timer is None:
            self._timer = self._loop.call_later(QUIET_S, self._due)

    def waited(self, size: int, begin: bytes, came_at: float) -> None:
        """The thaw lets bytes on that came from the peer while frozen: so many, which begin like this, the first of them at `came_at`."""
        self._told_already = size
        kinds = pings(begin) if self._http2 and size == PING_BYTES else []
        self._record(came_at, self._now(), received=size, kind=kinds[0] if kinds else "data", while_frozen=True)

    def flush(self) -> None:
        """The burst ends here."""
        if self._begin:
            self._record(self._begin, self._until, sent=self._sent, received=self._received)
            self._begin, self._sent, self._received = 0.0, 0, 0

    def close(self) -> None:
        """The connection is over."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        quiet = self._now() - self._until
        if quiet >= QUIET_S:
            self.flush()
        elif self._begin:
            self._timer = self._loop.call_later(QUIET_S - quiet, self._due)

    def _tell_pings(self, side: Side, kinds: list[Kind], now: float) -> int:
        """How many bytes were told."""
        told = 0
        for kind in kinds:
            if now - self._ping_at >= PING_EVERY_S:
                self._ping_at = now
                sent = PING_BYTES if side == "environment" else 0
                self._record(now, now, sent=sent, received=PING_BYTES - sent, kind=kind)
                told += PING_BYTES
        return told

    def _record(
        self, at: float, until: float, *, sent: int = 0, received: int = 0, kind: Kind = "data", while_frozen: bool = False
    ) -> None:
        self._tell(
            ConnectionTraffic(
                self._environment,
                connection=self._connection,
                at=at,
                until=until,
                sent=sent,
                received=received,
                kind=kind,
                while_frozen=while_frozen,
            )
        )
