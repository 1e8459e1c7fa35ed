"""What the servers here have in common: a thread a connection, a count of the tags they saw, and an end to everything."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator


class CountingServer(ABC):
    """Serves one protocol on 127.0.0.1 until it is closed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.seen: Counter[str] = Counter()
        self.accepted = 0
        self.probes = 0
        """Harmless questions that were answered."""
        self.lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.accepted += 1
                self._open.add(client)
            threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def _run(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            self.serve(client)
        with self.lock:
            self._open.discard(client)

    @abstractmethod
    def serve(self, client: socket.socket) -> None:
        """One connection. An OSError or EOFError ends it."""

    def saw(self, tag: str) -> None:
        """A request with this tag arrived."""
        with self.lock:
            self.seen[tag] += 1

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        with self.lock:
            clients = list(self._open)
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def read_exactly(stream: socket.socket, size: int) -> bytes:
    """So many bytes. Raises EOFError at the end."""
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@contextlib.contextmanager
def running(server: CountingServer) -> Iterator[CountingServer]:
    """The server, until the context ends."""
    try:
        yield server
    finally:
        server.close()
