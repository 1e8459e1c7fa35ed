"""Clients near enough to the bytes to see how a server ends a connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from typing import Literal

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event

from frostline.testing.upstreams import LocalUpstream

LIMIT_S = 10.0


@contextlib.contextmanager
def connected(server: LocalUpstream, *alpn: str) -> Iterator[socket.socket]:
    """A blocking socket, in TLS where the server has it."""
    with socket.create_connection((server.host, server.port), timeout=LIMIT_S) as sock:
        if not server.upstream.tls:
            yield sock
            return
        context = ssl.create_default_context(cafile=server.ca_file)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        # Ragged ends are errors: who sees an end has seen close_notify.
        with context.wrap_socket(sock, server_hostname="upstream.test", suppress_ragged_eofs=False) as secure:
            yield secure


def end_of(sock: socket.socket) -> tuple[Literal["fin", "rst"], bytes]:
    """Read until the server ends it: how, and what came before."""
    data = b""
    try:
        while chunk := sock.recv(65_536):
            data += chunk
    except (
        ConnectionResetError,
        ssl.SSLEOFError,
    ):  # in TLS, Python says so of a reset too; an end without close_notify would be one as well
        return "rst", data
    return "fin", data


def until_reset(sock: socket.socket) -> None:
    """Write until that is answered by RST."""
    end = time.monotonic() + LIMIT_S
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while time.monotonic() < end:
            sock.send(b"x")
            time.sleep(0.005)
        raise AssertionError("nobody resets it")


def reset(sock: socket.socket) -> None:
    """End it with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Http2:
    """An HTTP/2 client of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def ask(self, method: str = "GET", path: str = "/", body: bytes = b"", **headers: str) -> int:
        """Send a request; its stream."""
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "upstream.test"), *headers.items()]
        self.h2.send_headers(stream, fields, end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    def until(self, kind: type[Event], count: int = 1) -> list[Event]:
        """Read until so many events of a kind have come; all that came."""
        events: list[Event] = []
        end = time.monotonic() + LIMIT_S
        while sum(isinstance(event, kind) for event in events) < count:
            assert time.monotonic() < end, events
            data = self.sock.recv(65_536)
            assert data, f"the server ended the connection: {events}"
            events += self.h2.receive_data(data)
            self.flush()
        return events
