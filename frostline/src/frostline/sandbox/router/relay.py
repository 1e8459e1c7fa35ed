"""Bytes between a function's connection and the one made for it outside.

What one side does, the other sees: end-of-file is passed on as end-of-file while the other direction goes on, and a reset as a reset.
Each direction holds at most one buffer's worth that its reader has not taken, and reads no more until then.

A direction can be held, which is what a freeze of the network is here: its bytes, its end and its failure stay where they are. To hold costs
nothing by itself; the event loop is told to look away only when something comes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Literal

from .tcp import reset

BUFFER_BYTES = 65_536
"""Most bytes moved, and held, per direction at a time: about 1 GB/s through one relay (2 cores, 2026). Four times as much brought 1.4 GB/s,
and would let a thousand stalled connections hold a quarter of a gigabyte."""

PASSES = 16
"""Buffers that are moved in one go when a freeze begins; what is more goes on in the event loop's next turn."""

Side = Literal["environment", "peer"]
How = Literal["fin", "rst"]


class Relay:
    """Owns two connected sockets until both directions have ended; then, or after `abort` or `end`, `on_end()` is called once.

    `on_close(side, how)` is called whenever a side ends its direction or fails.
    """

    def __init__(
        self,
        inner: socket.socket,
        outer: socket.socket,
        buffer: bytearray,
        on_end: Callable[[], None],
        on_close: Callable[[Side, How], None] = lambda _side, _how: None,
        *,
        now: Callable[[], float] = time.time,
        on_bytes: Callable[[Side, memoryview], None] | None = None,
    ) -> None:
        """`buffer` may be shared by all relays of a thread: it holds bytes only within one callback.

        `now`: epoch seconds. `on_bytes(side, data)`: told what comes from a side, before it is passed on.
        """
        self._loop = asyncio.get_running_loop()
        self.inner, self.outer = inner, outer
        self._on_end = on_end
        self._on_close = on_close
        self._open_ways = 2
        self.now = now
        self.on_bytes = on_bytes
        for sock in (inner, outer):
            sock.setblocking(False)
            # Whoever wrote has decided what belongs together; waiting for more would be a delay that the real network does not have.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.outward = Way(self, self._loop, inner, outer, buffer, "environment")
        self.inward = Way(self, self._loop, outer, inner, buffer, "peer")

    def abort(self) -> None:
        """End both connections with a reset."""
        self.end(reset, reset)

    def way_ended(self, side: Side) -> None:
        self._open_ways -= 1
        self._on_close(side, "fin")
        if self._open_ways == 0:
            self.end(socket.socket.close, socket.socket.close)

    def failed(self, side: Side) -> None:
        """A side was reset, or is not there any more."""
        self._on_close(side, "rst")
        self.abort()

    def end(self, close_inner: Callable[[socket.socket], None], close_outer: Callable[[socket.socket], None]) -> None:
        """End both connections, each in its own way."""
        if self._open_ways < 0:
            return
        self._open_ways = -1
        self.inward.forget_late()
        for sock, close in ((self.inner, close_inner), (self.outer, close_outer)):
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            close(sock)
        self._on_end()


class Way:
    """One direction: reads `source` when it may, writes `sink`, keeps what the sink did not take."""

    __slots__ = (
        "_buffer",
        "_late",
        "_loop",
        "_met",
        "_relay",
        "_rest",
        "_sink",
        "_source",
        "count",
        "delay_s",
        "ended",
        "first",
        "held",
        "last_at",
        "met",
        "side",
    )

    def __init__(
        self, relay: Relay, loop: asyncio.AbstractEventLoop, source: socket.socket, sink: socket.socket, buffer: bytearray, side: Side
    ) -> None:
        self._relay, self._loop, self._source, self._sink = relay, loop, source, sink
        self._buffer = memoryview(buffer)
        self._rest = b""
        self.side: Side = side
        self.count = 0
        """Bytes read so far."""
        self.last_at: float | None = None
        self.ended = False
        self.held = False
        self._met = False
        """Something came while it was held."""
        self.delay_s = 0.0
        """How much later what comes is passed on: the path is longer by so much."""
        self._late: asyncio.TimerHandle | None = None
        """Something has come, and is on that path."""
        self.first: Callable[[], None] | None = None
        """Called once, before the next bytes are passed on."""
        self.met: Callable[[], None] | None = None
        """Called once, when something comes while it is held."""
        loop.add_reader(source, self.readable)

    @property
    def clogged(self) -> bool:
        """There are bytes that its sink has not taken."""
        return bool(self._rest)

    def release(self) -> None:
        """Go on where it was held; what was on its way then has arrived."""
        self.held = False
        if self._late is not None:
            self.forget_late()
            self._met = True
        if self._met:
            self._met = False
            if self._rest:
                self._loop.add_writer(self._sink, self._writable)
            elif not self.ended:
                self._loop.add_reader(self._source, self.readable)

    def detach(self) -> None:
        """Never read or write again."""
        self.held, self._met = True, False
        self.forget_late()
        if not self._rest:
            self._loop.remove_reader(self._source)
        else:
            self._loop.remove_writer(self._sink)

    def readable(self) -> bool:
        """Pass on what came; whether more may be there at once."""
        if self._late is not None:
            return False
        if self.held:
            self._met = True
            self._loop.remove_reader(self._source)
            if self.met is not None:
                self.met()
            return False
        if self.delay_s:
            self._loop.remove_reader(self._source)
            self._late = self._loop.call_later(self.delay_s, self._arrive)
            return False
        return self._read()

    def forget_late(self) -> None:
        """Do not wait for what is on its way."""
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _arrive(self) -> None:
        self._late = None
        if self.held:
            self.readable()
            return
        any(not self._read() for _ in range(PASSES))
        if not (self.ended or self._rest or self._source.fileno() < 0):
            self._loop.add_reader(self._source, self.readable)

    def _read(self) -> bool:
        try:
            count = self._source.recv_into(self._buffer)
        except BlockingIOError:
            return False
        except OSError:
            self._relay.failed(self.side)
            return False
        if self.first is not None and count:
            first, self.first = self.first, None
            first()
        try:
            if count == 0:
                self.ended = True
                self._loop.remove_reader(self._source)
                self._sink.shutdown(socket.SHUT_WR)
                self._relay.way_ended(self.side)
                return False
            self.count += count
            self.last_at = self._relay.now()
            if self._relay.on_bytes is not None:
                self._relay.on_bytes(self.side, self._buffer[:count])
            sent = self._send(self._buffer[:count])
        except OSError:
            self._relay.failed("peer" if self.side == "environment" else "environment")
            return False
        if sent < count:
            self._rest = bytes(self._buffer[sent:count])
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._writable)
            return False
        return True

    def catch_up(self) -> None:
        """Pass on what is there, if it can go on."""
        if not (self.ended or self._rest):
            self.pass_on()

    def pass_on(self) -> bool:
        """Pass on what came, within bounds; whether that was all."""
        return any(not self.readable() for _ in range(PASSES))

    def _writable(self) -> None:
        if self.held:
            self._met = True
            self._loop.remove_writer(self._sink)
            return
        try:
            self._rest = self._rest[self._send(self._rest) :]
        except OSError:
            self._relay.failed("peer" if self.side == "environment" else "environment")
            return
        if not self._rest:
            self._loop.remove_writer(self._sink)
            self._loop.add_reader(self._source, self.readable)

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return self._sink.send(data)
        except BlockingIOError:
            return 0
