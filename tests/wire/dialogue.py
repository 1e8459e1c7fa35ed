"""The other side of a dialogue with an `ApiConnection`: what processes inside an environment send, and what they read back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import msgspec
from httptools import HttpResponseParser

from frostline.core.effects import Reply
from frostline.core.events import Event
from frostline.wire.environment_api import ApiConnection


class Response(msgspec.Struct):
    """A response as a client sees it."""

    status: int
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes

    def json(self) -> object:
        return msgspec.json.decode(self.body)


class ResponseReader:
    """Responses out of bytes, with llhttp as the judge of their form."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self._parser = HttpResponseParser(self)

    def read(self, data: bytes) -> list[Response]:
        """Responses that these bytes complete."""
        self.responses = []
        self._parser.feed_data(data)
        return self.responses

    def on_message_begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("utf-8")

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self.responses.append(Response(self._parser.get_status_code(), self._headers, self._body))


def responses(data: bytes) -> list[Response]:
    """All responses in `data`."""
    return ResponseReader().read(data) if data else []


def response(data: bytes) -> Response:
    """The only response in `data`."""
    (only,) = responses(data)
    return only


def request(method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """A request with a body of known length."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 169.254.100.1:9001", *(f"{name}: {value}" for name, value in headers)]
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(
    method: str, path: str, headers: Iterable[tuple[str, str]], chunks: Iterable[bytes], trailers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """A request with a chunked body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", *(f"{name}: {value}" for name, value in headers)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    end = "".join(f"{name}: {value}\r\n" for name, value in trailers).encode()
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body + b"0\r\n" + end + b"\r\n"


NEXT = request("GET", "/2018-06-01/runtime/invocation/next")
ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
EXTENSION = "4c5e1a0d-0f43-4d2b-9d4f-3a8f6b1c2d3e"


def respond(body: bytes = b"{}", request_id: str = ID, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The runtime's response to an invocation."""
    return request("POST", f"/2018-06-01/runtime/invocation/{request_id}/response", headers, body)


class Process:
    """A process with one connection to the API of environment `e1`; exchanges are numbered from 1."""

    def __init__(self) -> None:
        self.connection = ApiConnection("e1", count(1).__next__)
        self.received = b""

    def send(self, data: bytes) -> list[Event]:
        """Send bytes; the events they make. What is answered at once collects in `received`."""
        events, ready = self.connection.receive(data)
        self.received += ready
        return events

    def send_one(self, data: bytes) -> Event:
        """Send bytes that make exactly one event."""
        (event,) = self.send(data)
        return event

    def answer(self, exchange: int, reply: Reply) -> None:
        self.received += self.connection.answer(exchange, reply)

    def read(self) -> Response:
        """The only response that arrived since the last look."""
        data, self.received = self.received, b""
        return response(data)
