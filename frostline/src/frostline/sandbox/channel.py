"""The asyncio side of the warden's protocol: messages and descriptors over a Unix socket, by callbacks."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

from .warden import protocol
from .warden.protocol import Message

OnMessage = Callable[[Message, list[int]], None]
"""Takes a message and its descriptors, which are the receiver's to close."""


class Channel:
    """One end of a line to the warden or to an environment's head."""

    def __init__(self, sock: socket.socket, on_message: OnMessage, on_end: Callable[[], None]) -> None:
        """`on_end` is called once when the other side is gone, and not after `close`."""
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._on_message = on_message
        self._on_end = on_end
        self._decoder = protocol.Decoder()
        self._unsent: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._open = True
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._read)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send now or as soon as there is room. The descriptors are closed here once they are sent (or cannot be)."""
        if not self._open:
            _close_all(fds)
            return
        self._unsent.append((memoryview(protocol.encode(message, len(fds))), fds))
        if len(self._unsent) == 1:
            self._write()

    def close(self) -> None:
        """Hang up; what was not sent is dropped. Safe to call twice."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        for _, fds in self._unsent:
            _close_all(fds)
        self._unsent.clear()
        self._sock.close()

    def _read(self) -> None:
        try:
            data, fds = protocol.receive(self._sock)
        except BlockingIOError:
            return
        except OSError:  # gone; or descriptors were lost, and with them the meaning of what comes
            data, fds = b"", []
        for message, mine in self._decoder.feed(data, fds):
            if self._open:
                self._on_message(message, mine)
            else:  # the last message made us hang up
                _close_all(mine)
        if not data and self._open:
            self.close()
            self._on_end()

    def _write(self) -> None:
        self._loop.remove_writer(self._sock.fileno())
        while self._unsent:
            data, fds = self._unsent.popleft()
            try:
                sent = protocol.send_some(self._sock, data, fds)
            except BlockingIOError:
                self._unsent.appendleft((data, fds))
                self._loop.add_writer(self._sock.fileno(), self._write)
                return
            except ConnectionError:  # the reader finds out, and says so
                _close_all(fds)
                continue
            _close_all(fds)
            if sent < len(data):
                self._unsent.appendleft((data[sent:], ()))


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
