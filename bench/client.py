"""The benches' client: HTTP/1.1 over kept-alive sockets, as lean as Python allows, the same for every server.

A convenient client costs more per request than the servers measured here, and would hide the difference between them. This one sends
bytes prepared in advance and reads no more of an answer than it takes to know that it is complete and that it is right.
"""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

INVOKE_PATH = "/2015-03-31/functions/function/invocations"
"""RIE knows this one path; frostline serves a function named `function` under it like any other."""

ANSWER_WITHIN_S = 60.0


class WrongAnswer(Exception):
    """A server did not answer an invocation as it should have; the message has what it said instead."""


def request_bytes(port: int, payload: bytes, path: str = INVOKE_PATH) -> bytes:
    """A whole request, ready to be sent."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


def body_if_complete(data: bytes) -> bytes | None:
    """The body of an answer, or None while it has not arrived whole. Raises `WrongAnswer` for anything but 200 without a function error."""
    end_of_head = data.find(b"\r\n\r\n")
    if end_of_head < 0:
        return None
    head, body = data[:end_of_head], data[end_of_head + 4 :]
    lowered = head.lower()
    length_at = lowered.find(b"\r\ncontent-length:")
    if length_at >= 0:
        end_of_line = lowered.find(b"\r\n", length_at + 2)
        length = int(lowered[length_at + 17 : end_of_line if end_of_line >= 0 else None])
        if len(body) < length:
            return None
    elif b"\r\ntransfer-encoding: chunked" in lowered:
        if not body.endswith(b"0\r\n\r\n"):
            return None
    else:
        raise WrongAnswer(f"an answer without a length: {data[:500]!r}")
    if not head.startswith(b"HTTP/1.1 200") or b"x-amz-function-error" in lowered or b"errorMessage" in body:
        raise WrongAnswer(data[:1000].decode("utf-8", "replace"))
    return body


class Client:
    """One caller with one connection, which waits for each answer."""

    def __init__(self, port: int, payload: bytes = b"{}", path: str = INVOKE_PATH) -> None:
        self._request = request_bytes(port, payload, path)
        self._socket = _connect(port)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def invoke(self) -> float:
        """Invoke once; returns the seconds it took. Raises `WrongAnswer`."""
        began = time.perf_counter()
        self._socket.sendall(self._request)
        _receive(self._socket)
        return time.perf_counter() - began

    def back_to_back(self, seconds: float) -> list[float]:
        """Invoke again and again for so many seconds; returns how long each took."""
        latencies = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            latencies.append(self.invoke())
        return latencies


def _receive(connection: socket.socket) -> bytes:
    data = b""
    while True:
        chunk = connection.recv(65536)
        if not chunk:
            raise WrongAnswer(f"the connection was closed after {data[:500]!r}")
        data += chunk
        body = body_if_complete(data)
        if body is not None:
            return body


@dataclass(frozen=True)
class Burst:
    """What several clients at once got done."""

    latencies: list[float]
    bodies: list[bytes]
    seconds: float


def many_clients(port: int, clients: int, *, seconds: float | None = None, payload: bytes = b"{}") -> Burst:
    """So many clients, each with its connection, all invoking at once; each again and again for `seconds`, or once where that is None.

    They are served from one thread: threads would compete with one another, and with the server, for the processors.
    """
    request = request_bytes(port, payload)
    sockets = [_connect(port) for _ in range(clients)]
    latencies: list[float] = []
    bodies: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        end = began + (seconds or 0.0)
        sent_at: dict[socket.socket, float] = {}
        received: dict[socket.socket, bytes] = {}
        for one in sockets:
            selector.register(one, selectors.EVENT_READ, one)
            sent_at[one] = time.perf_counter()
            one.sendall(request)
            received[one] = b""
        while sent_at:
            readable = selector.select(ANSWER_WITHIN_S * 5)
            if not readable:
                raise WrongAnswer(f"{len(sent_at)} of {clients} clients have had no answer for {ANSWER_WITHIN_S * 5:.0f} s")
            for key, _ in readable:
                each: socket.socket = key.data
                chunk = each.recv(65536)
                if not chunk:
                    raise WrongAnswer(f"the connection was closed after {received[each][:500]!r}")
                received[each] += chunk
                body = body_if_complete(received[each])
                if body is None:
                    continue
                now = time.perf_counter()
                latencies.append(now - sent_at.pop(each))
                bodies.append(body)
                if now < end:
                    received[each] = b""
                    sent_at[each] = now
                    each.sendall(request)
        took = time.perf_counter() - began
    for one in sockets:
        one.close()
    return Burst(latencies, bodies, took)


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S * 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
