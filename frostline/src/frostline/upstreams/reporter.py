"""What upstreams tell, as JSON lines on a socket: within bounds, and never waiting for the reader."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import cast

import msgspec

from ..core.upstream import AnyUpstreamMessage, UpstreamEvent, UpstreamUnrecorded

MAX_LINES = 4096
"""Lines that wait for the reader; what is more is counted."""

BUFFER_BYTES = 1 << 18
"""Bytes that were handed to the transport and wait there, before lines wait."""


class Reporter(asyncio.Protocol):
    """The protocol of that socket. `tell` may be called by any thread, also before there is a connection."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        """The reader has gone."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._left_out: UpstreamUnrecorded | None = None
        self._clogged = False

    def tell(self, event: UpstreamEvent) -> None:
        """Tell of an event, or count it where too many wait."""
        line = _line(event)
        with self._lock:
            if len(self._lines) >= MAX_LINES:
                count = 1 if self._left_out is None else self._left_out.count + 1
                self._left_out = UpstreamUnrecorded(at=event.at, upstream=event.upstream, count=count)
                return
            self._lines.append(line)
            if len(self._lines) > 1:
                return  # whoever added the first has asked for a flush
        self._loop.call_soon_threadsafe(self._flush)

    def say(self, message: AnyUpstreamMessage) -> None:
        """Say something at once, before what waits."""
        if self._transport is not None:
            self._transport.write(_line(message))

    def _flush(self) -> None:
        if self._clogged or self._transport is None:
            return
        with self._lock:
            lines = [*self._lines, *([_line(self._left_out)] if self._left_out is not None else [])]
            self._lines.clear()
            self._left_out = None
        if lines:
            self._transport.write(b"".join(lines))

    # The transport's callbacks -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self._flush()

    def pause_writing(self) -> None:
        self._clogged = True

    def resume_writing(self) -> None:
        self._clogged = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the same to us
        self.ended.set()


def _line(message: AnyUpstreamMessage | UpstreamEvent) -> bytes:
    return msgspec.json.encode(message) + b"\n"
