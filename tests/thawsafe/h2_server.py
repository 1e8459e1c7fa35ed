"""A small HTTP/2 server that counts the tags it sees, without TLS (prior knowledge) or with."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import h2.config
import h2.connection
import h2.events
import h2.exceptions


class H2Server:
    """One thread a connection."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.seen: Counter[str] = Counter()
        self.pings = 0
        self.hold = threading.Event()
        """Cleared: answers to `/slow` wait until it is set again."""
        self.hold.set()
        self.held = threading.Event()
        """One of them waits."""
        self._states: list[tuple[h2.connection.H2Connection, socket.socket]] = []
        self._context = context
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError), contextlib.ExitStack() as stack:
            if self._context is not None:
                client = stack.enter_context(self._context.wrap_socket(client, server_side=True))
                self._connections.append(client)
            state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
            state.initiate_connection()
            client.sendall(state.data_to_send())
            self._states.append((state, client))
            while data := client.recv(65536):
                for event in state.receive_data(data):
                    self._handle(state, event)
                client.sendall(state.data_to_send())

    def _handle(self, state: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            path = str(dict(event.headers or [])[":path"])
            with self._lock:
                self.seen[path.rpartition("/")[2]] += 1
        elif isinstance(event, h2.events.PingReceived):
            with self._lock:
                self.pings += 1
        elif isinstance(event, h2.events.DataReceived):
            state.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, h2.events.StreamEnded):
            stream = event.stream_id or 0
            if not self.hold.is_set():
                self.held.set()
                self.hold.wait(5)
            state.send_headers(stream, [(":status", "200"), ("content-length", "2")])
            state.send_data(stream, b"ok", end_stream=True)

    def ping_clients(self) -> None:
        """An unread frame on every connection."""
        for state, client in self._states:
            state.ping(b"fromhere")
            client.sendall(state.data_to_send())

    def send(self, data: bytes) -> None:
        """These bytes on every connection."""
        for _, client in self._states:
            client.sendall(data)

    def say_goodbye(self) -> None:
        """GOAWAY, and the end, on every connection."""
        for state, client in self._states:
            state.close_connection()
            client.sendall(state.data_to_send())
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in self._connections:
            with contextlib.suppress(OSError):  # closed, or wrapped by another in the list
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for connection in self._connections:
            connection.close()


@contextmanager
def h2_server(context: ssl.SSLContext | None = None) -> Iterator[H2Server]:
    server = H2Server(context)
    try:
        yield server
    finally:
        server.close()
