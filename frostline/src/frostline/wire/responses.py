"""Responses as bytes, and their order on a connection.

On the hot path a response is one `bytes` formatted from a prepared head. There is no Date header: this room has no clock, and no client
of these APIs reads it (RFC 9110 section 6.6.1 excuses an origin server without one).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec.json import encode

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

REASONS = {
    200: "OK",
    202: "Accepted",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}

JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"


def status_line(status: int) -> bytes:
    """`HTTP/1.1 404 Not Found`, without its end."""
    return b"HTTP/1.1 %d %s" % (status, REASONS.get(status, "Unknown").encode())


def response(status: int, body: bytes = b"", content_type: str = JSON, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A whole response. Header values are made safe (see `header_value`); 204 and empty bodies carry no Content-Type."""
    lines = [status_line(status)]
    if body:
        lines.append(b"Content-Type: " + header_value(content_type))
    lines += [name.encode("latin-1") + b": " + header_value(value) for name, value in headers]
    if status != 204:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def json_response(status: int, body: object, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A whole response with a JSON body, ended by a newline as Go's encoder (and so RIE) ends it."""
    return response(status, encode(body) + b"\n", JSON, headers)


def without_body(whole: bytes) -> bytes:
    """A response to HEAD: the head that GET would get, and nothing after it (RFC 9110 section 9.3.2), or the next response would be
    misread.
    """
    return whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def stream_head(status: int, content_type: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The head of a chunked response; then `chunk` for each part and `LAST_CHUNK`."""
    lines = [status_line(status), b"Content-Type: " + header_value(content_type)]
    lines += [name.encode("latin-1") + b": " + header_value(value) for name, value in headers]
    return b"\r\n".join(lines) + b"\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body. Empty data gives nothing, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST_CHUNK = b"0\r\n\r\n"

_UNSAFE = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


def header_value(value: str) -> bytes:
    """A header's value that cannot end its line: CR, LF and NUL become spaces, as Go's net/http has it; other characters go out as
    UTF-8.
    """
    if not value.isprintable():
        value = value.translate(_UNSAFE)
    return value.strip().encode("utf-8", "replace")


class ResponseOrder:
    """Keeps the responses of one connection in the order of their requests, whatever the order in which they become ready (RFC 9112
    section 9.3.2).

    A *key* names a request; any integer that is not in use on this connection will do.
    """

    __slots__ = ("_interim", "_slots", "closed")

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque()
        self._interim = b""
        self.closed = False
        """The response to the last request has been handed out: close the connection once it is written."""

    def __len__(self) -> int:
        """Requests that are not fully answered."""
        return len(self._slots)

    @property
    def keys(self) -> list[int]:
        """The requests whose response has no end yet, oldest first."""
        return [slot.key for slot in self._slots if not slot.done]

    def expect(self, key: int, *, last: bool = False, http_1_0: bool = False) -> None:
        """A request arrived. `last`: the connection closes after its response. `http_1_0`: its peer wants to hear that the connection
        stays open.
        """
        note = b"Connection: close" if last else b"Connection: keep-alive" if http_1_0 else b""
        self._slots.append(_Slot(key, last, note))
        self._interim = b""

    def interim(self, data: bytes) -> bytes:
        """A response such as `CONTINUE`, for a request whose body is still awaited: it goes out as soon as all earlier ones are
        answered.
        """
        if not self._slots:
            return data
        self._interim = data
        return b""

    def write(self, key: int, data: bytes, *, done: bool = True) -> bytes:
        """More of the response to a request, `done` with its end. Returns what may go out now: nothing while an earlier response is
        missing.

        For a key that is not (or no longer) expected, nothing.
        """
        slots = self._slots
        if not slots:
            return b""
        first = slots[0]
        if first.key == key:
            if first.note:
                data = first.annotate(data)
            if not done:
                return data
            slots.popleft()
            if first.last:
                self._close()
            return data + self._release() if slots or self._interim else data
        for slot in slots:
            if slot.key == key and not slot.done:
                slot.held += slot.annotate(data) if slot.note else data
                slot.done = done
                break
        return b""

    def close_after(self, key: int) -> None:
        """Make this request the last one."""
        for slot in self._slots:
            if slot.key == key:
                slot.last = True
                slot.note = b"Connection: close"

    def _release(self) -> bytes:
        slots = self._slots
        ready = bytearray()
        while slots:
            first = slots[0]
            ready += first.held
            first.held.clear()
            if not first.done:
                return bytes(ready)
            slots.popleft()
            if first.last:
                self._close()
        if not self.closed:
            ready += self._interim
        self._interim = b""
        return bytes(ready)

    def _close(self) -> None:
        self.closed = True
        self._slots.clear()


class _Slot:
    __slots__ = ("done", "held", "key", "last", "note")

    def __init__(self, key: int, last: bool, note: bytes) -> None:
        self.key = key
        self.last = last
        self.note = note
        self.held = bytearray()
        self.done = False

    def annotate(self, data: bytes) -> bytes:
        """Put `note` into the response's head, once."""
        if not data:
            return data
        head, end, body = data.partition(b"\r\n\r\n")
        note, self.note = self.note, b""
        return b"%b\r\n%b%b%b" % (head, note, end, body)
