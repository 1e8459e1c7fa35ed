"""Bytes between a function's connection and the one made for it outside.

What one side does, the other sees: end-of-file is passed on as end-of-file while the other direction goes on, and a reset as a reset.
Each direction holds at most one buffer's worth that its reader has not taken, and reads no more until then.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

BUFFER_BYTES = 65_536
"""Most bytes moved, and held, per direction at a time: about 1 GB/s through one relay (2 cores, 2026). Four times as much brought 1.4 GB/s,
and would let a thousand stalled connections hold a quarter of a gigabyte."""


def reset(sock: socket.socket) -> None:
    """Close with RST (SO_LINGER with zero seconds, socket(7)), so that the other end sees a failure and not an ordinary end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Relay:
    """Owns two connected sockets until both directions have ended; then, or after `abort`, `on_end()` is called once."""

    def __init__(self, inner: socket.socket, outer: socket.socket, buffer: bytearray, on_end: Callable[[], None]) -> None:
        """`buffer` may be shared by all relays of a thread: it holds bytes only within one callback."""
        self._loop = asyncio.get_running_loop()
        self._sockets = (inner, outer)
        self._on_end = on_end
        self._open_ways = 2
        for sock in self._sockets:
            sock.setblocking(False)
            # Whoever wrote has decided what belongs together; waiting for more would be a delay that the real network does not have.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ways = (_Way(self, self._loop, inner, outer, buffer), _Way(self, self._loop, outer, inner, buffer))

    def abort(self) -> None:
        """End both connections with a reset."""
        self._end(reset)

    def way_ended(self) -> None:
        self._open_ways -= 1
        if self._open_ways == 0:
            self._end(socket.socket.close)

    def _end(self, close: Callable[[socket.socket], None]) -> None:
        if self._open_ways < 0:
            return
        self._open_ways = -1
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            close(sock)
        self._on_end()


class _Way:
    """One direction: reads `source` when it may, writes `sink`, holds what the sink did not take."""

    __slots__ = ("_buffer", "_held", "_loop", "_relay", "_sink", "_source")

    def __init__(
        self, relay: Relay, loop: asyncio.AbstractEventLoop, source: socket.socket, sink: socket.socket, buffer: bytearray
    ) -> None:
        self._relay, self._loop, self._source, self._sink = relay, loop, source, sink
        self._buffer = memoryview(buffer)
        self._held = b""
        loop.add_reader(source, self._readable)

    def _readable(self) -> None:
        try:
            count = self._source.recv_into(self._buffer)
            if count == 0:
                self._loop.remove_reader(self._source)
                self._sink.shutdown(socket.SHUT_WR)
                self._relay.way_ended()
                return
            sent = self._send(self._buffer[:count])
        except BlockingIOError:
            return
        except OSError:
            self._relay.abort()
            return
        if sent < count:
            self._held = bytes(self._buffer[sent:count])
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._writable)

    def _writable(self) -> None:
        try:
            self._held = self._held[self._send(self._held) :]
        except OSError:
            self._relay.abort()
            return
        if not self._held:
            self._loop.remove_writer(self._sink)
            self._loop.add_reader(self._source, self._readable)

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return self._sink.send(data)
        except BlockingIOError:
            return 0
