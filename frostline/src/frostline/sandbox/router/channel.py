"""A control socket in an event loop: messages out without waiting, messages in by callback."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from .messages import AnyMessage, receive, send


class Channel:
    """Owns one end of a SOCK_SEQPACKET pair. Everything is called in the loop's thread.

    `on_message(message, fds)` owns the descriptors it is given. `on_closed()` is called once, when the other side is gone or spoke
    nonsense, and not after `close`.
    """

    def __init__(self, sock: socket.socket, on_message: Callable[[AnyMessage, list[int]], None], on_closed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._on_message = on_message
        self._on_closed = on_closed
        self._waiting: deque[tuple[AnyMessage, list[int]]] = deque()
        self._open = True
        sock.setblocking(False)
        self._loop.add_reader(sock, self._readable)

    def send(self, message: AnyMessage, fds: Sequence[int] = ()) -> None:
        """Send in order; when the socket is full, later. The caller keeps its descriptors. After the end: nothing happens."""
        if not self._open:
            return
        if not self._waiting:
            try:
                send(self._sock, message, fds)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._writable)
            except OSError:
                # The reader sees the end too, and reports it after what was said before it.
                return
            else:
                return
        self._waiting.append((message, [os.dup(fd) for fd in fds]))

    @property
    def backlog(self) -> int:
        """Messages that wait for the other side to read."""
        return len(self._waiting)

    def finish(self) -> None:
        """Say that no more messages follow: the other side reads end-of-file and ends, which comes back as `on_closed`."""
        if self._open:
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the socket at once. Safe to call twice."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for _, fds in self._waiting:
            _close_all(fds)
        self._waiting.clear()

    def _readable(self) -> None:
        try:
            received = receive(self._sock)
        except BlockingIOError:
            return
        except (OSError, msgspec.MsgspecError):
            received = None
        if received is None:
            self.close()
            self._on_closed()
        else:
            self._on_message(*received)

    def _writable(self) -> None:
        while self._waiting:
            message, fds = self._waiting[0]
            try:
                send(self._sock, message, fds)
            except BlockingIOError:
                return
            except OSError:
                # See `send`.
                pass
            _close_all(fds)
            self._waiting.popleft()
        self._loop.remove_writer(self._sock)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
