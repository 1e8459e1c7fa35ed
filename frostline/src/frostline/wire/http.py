"""A server's half of HTTP/1.1 without I/O: bytes in, requests out.

llhttp (through `httptools`) finds the boundaries; this module adds what a server must decide itself: how much of a body to buffer, what
to do with one that is too large, when to answer `Expect: 100-continue`, and how much unfinished head one peer may make us remember.
Answers are in `responses`.

    bytes -> Connection.receive -> Request | BodyStarted BodyChunk* BodyEnded | TooLarge | ContinueExpected | Malformed
             Connection.eof     -> Truncated, when the peer left in the middle of a request

Which of the two body shapes a request gets is the caller's choice, made once its head is complete (`plan`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from msgspec import Struct

MAX_HEAD = 64 * 1024
"""Most bytes of a request line and its headers (trailers count too). Precedents: h11 16 KiB, Node 16 KiB, Apache 8 KiB a line, Go 1 MiB.
A client context may take 3.5 KiB, an ARN 2 KiB."""

MAX_DISCARDED = 256 * 1024 * 1024
"""Most bytes of a body that is already refused which are read and thrown away, so that its sender can read the answer; then the
connection is closed."""


class Request(Struct):
    """One request. `body` is empty when the body is streamed."""

    method: str
    path: str
    """As sent, still percent-encoded, without the query."""
    query: str
    headers: dict[bytes, bytes]
    """Names in lower case; of a repeated header the first one, as Go's `Header.Get` (and so RIE) has it."""
    keep_alive: bool
    """False: this is the last request of its connection."""
    http_1_0: bool = False
    """The peer speaks HTTP/1.0 and said something about the connection: it needs `Connection: keep-alive` in the answer, or will not
    reuse it."""
    body: bytes = b""

    def header(self, name: bytes) -> str:
        """A header's value by its lower-case name; empty when it is absent, which the APIs here treat alike. ISO 8859-1, as RFC 9110
        section 5.5 has it.
        """
        value = self.headers.get(name)
        return value.decode("latin-1") if value else ""


class Plan(Struct, frozen=True):
    """What to do with a body: deliver it whole or in pieces, and how large it may be."""

    limit: int
    """Bytes; a body of exactly this size is accepted."""
    stream: bool = False


class BodyStarted(Struct):
    """The head of a request whose body comes in pieces."""

    request: Request


class BodyChunk(Struct):
    data: bytes


class BodyEnded(Struct):
    trailers: dict[bytes, bytes]
    """Lower-case names, as in `Request.headers`."""


class TooLarge(Struct):
    """A body is over its plan's limit. Comes as soon as that is known; the rest of the body is thrown away and nothing else follows for
    this request.
    """

    request: Request
    size: int
    """What was announced, or else what has been read."""


class ContinueExpected(Struct):
    """The peer waits for `100 Continue` before it sends the body of the request that comes next."""


class Malformed(Struct):
    """This is not HTTP/1.1, or over a limit. Nothing after it is read: answer 400 and close."""

    reason: str
    request: Request | None = None
    """The request in whose body it happened."""


class Truncated(Struct):
    """The peer closed in the middle of a request."""

    request: Request | None
    """None: its head was not complete."""


Received = Request | BodyStarted | BodyChunk | BodyEnded | TooLarge | ContinueExpected | Malformed


class Connection:
    """One accepted connection's requests.

    `receive` never raises for what a peer sends. Once it has returned a `Malformed`, or a request with `keep_alive` false, it ignores
    what follows.
    """

    __slots__ = ("_parser", "_reader", "_silent")

    def __init__(self, plan: Callable[[Request], Plan]) -> None:
        self._reader = _Reader(plan)
        self._parser = self._new_parser()
        self._silent = 0

    def receive(self, data: bytes) -> list[Received]:
        """Take bytes from the peer; what they complete, in order."""
        reader = self._reader
        out: list[Received] = []
        reader.out = out
        if reader.finished:
            return out
        rest = data
        while rest:
            try:
                self._parser.feed_data(rest)
            except HttpParserUpgrade as upgrade:
                rest = self._without_upgrade(rest, upgrade)
                continue
            except HttpParserError as error:
                self._fail(error)
            break
        if reader.active:
            reader.active = False
            self._silent = 0
        else:
            # Bytes that complete nothing are kept by the parser (a header's value) or skipped by it (a chunk's extension): either way,
            # not for ever.
            self._silent += len(data)
            if self._silent > MAX_HEAD:
                self._stop(f"a header is larger than {MAX_HEAD} bytes")
        reader.out = []  # bodies are not kept alive until the peer speaks again
        return out

    def eof(self) -> list[Truncated]:
        """The peer will send no more."""
        reader = self._reader
        if reader.finished or not reader.begun:
            return []
        reader.finished = True
        if reader.refused:
            return []
        return [Truncated(reader.request)]

    def finish(self) -> None:
        """Ignore whatever else comes."""
        self._reader.finished = True

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self._reader)
        self._reader.parser = parser
        return parser

    def _without_upgrade(self, data: bytes, upgrade: HttpParserUpgrade) -> bytes:
        # A server may ignore `Upgrade` (RFC 9110 section 7.8), and Java's HttpClient asks for h2c by default. httptools stops there and
        # takes the body for the other protocol's first bytes, so a fresh parser gets the head again, without the upgrade.
        rest = self._reader.head_without_upgrade() + data[cast("int", upgrade.args[0]) :]
        self._parser = self._new_parser()
        return rest

    def _fail(self, error: HttpParserError) -> None:
        if not self._reader.finished:  # llhttp also complains about bytes after the last request, which we ignore
            cause = error.__context__
            self._stop(str(cause) if isinstance(cause, _Refused) else f"not a valid HTTP/1.1 request: {error}")

    def _stop(self, reason: str) -> None:
        reader = self._reader
        reader.finished = True
        reader.out.append(Malformed(reason, None if reader.refused else reader.request))


class _Refused(Exception):
    """Stops the parser from inside a callback; the text is for `Malformed.reason`."""


class _Reader:
    """The parser's callbacks. Apart from `Connection` because httptools looks them up by name on a public object."""

    __slots__ = (
        "active", "begun", "body", "finished", "head_size", "headers", "limit", "out", "parser", "plan", "refused", "request", "size",
        "stream", "trailers", "url",
    )  # fmt: skip

    def __init__(self, plan: Callable[[Request], Plan]) -> None:
        self.plan = plan
        self.parser: HttpRequestParser
        self.out: list[Received] = []
        self.active = False
        """Something was parsed since the last look."""
        self.begun = False
        self.finished = False
        self.refused = False
        """The body is being thrown away: a `TooLarge` went out."""
        self.request: Request | None = None
        self.headers: dict[bytes, bytes] = {}
        self.trailers: dict[bytes, bytes] | None = None
        self.head_size = 0
        self.limit = 0
        self.body: bytes | bytearray = b""
        self.size = 0
        self.stream = False
        self.url = b""

    def on_message_begin(self) -> None:
        self.begun = True
        self.active = True
        self.headers = {}
        self.url = b""
        self.head_size = 0
        self.request = None
        self.refused = False

    def on_url(self, url: bytes) -> None:
        self.url += url
        self.active = True
        if len(self.url) > MAX_HEAD:
            raise _Refused(f"the request's target is larger than {MAX_HEAD} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.active = True
        self.head_size += len(name) + len(value) + 4
        if self.head_size > MAX_HEAD:
            raise _Refused(f"the headers are larger than {MAX_HEAD} bytes")
        if self.request is None:
            self.headers.setdefault(name.lower(), value)
        elif self.trailers is not None:  # after the last chunk
            self.trailers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        self.active = True
        method = self.parser.get_method()
        url = self.url.decode("latin-1")
        if url[:1] != "/":
            url = _origin_form(url, method)
        path, _, query = url.partition("?")
        headers = self.headers
        if b"upgrade" in headers and self.parser.should_upgrade():
            return
        request = self.request = Request(method.decode("latin-1"), path, query, headers, self.parser.should_keep_alive())
        if b"connection" in headers:
            request.http_1_0 = self.parser.get_http_version() == "1.0"
        announced = headers.get(b"content-length")
        if announced is None and b"transfer-encoding" not in headers:
            self.stream = False
            return
        plan = self.plan(request)
        self.limit = plan.limit
        self.stream = plan.stream
        self.size = 0
        self.trailers = {}
        if announced is not None and (size := int(announced)) > plan.limit:
            self._refuse(request, size)
            return
        if b"expect" in headers and headers[b"expect"].lower() == b"100-continue" and announced != b"0":
            self.out.append(ContinueExpected())
        if self.stream:
            self.out.append(BodyStarted(request))

    def on_body(self, data: bytes) -> None:
        self.active = True
        self.size += len(data)
        if self.refused:
            if self.size > MAX_DISCARDED:
                raise _Refused("the body is far over its limit")
        elif self.size > self.limit:
            assert self.request is not None
            self._refuse(self.request, self.size)
        elif self.stream:
            self.out.append(BodyChunk(data))
        elif not self.body:
            self.body = data
        else:  # one growing buffer: a million chunks of a byte must not become a million objects
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += data

    def on_message_complete(self) -> None:
        self.active = True
        request = self.request
        if request is None:  # an upgrade: its head comes once more
            return
        if not self.refused:
            if self.stream:
                self.out.append(BodyEnded(self.trailers or {}))
            else:
                if self.body:
                    request.body = bytes(self.body)
                    self.body = b""
                self.out.append(request)
        self.begun = False
        self.request = None
        self.trailers = None
        self.refused = False
        if not request.keep_alive:
            self.finished = True

    def head_without_upgrade(self) -> bytes:
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/1.1"]
        lines += [
            name + b": " + value for name, value in self.headers.items() if name not in (b"upgrade", b"http2-settings", b"connection")
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _refuse(self, request: Request, size: int) -> None:
        self.refused = True
        self.body = b""
        self.out.append(TooLarge(request, size))


def _origin_form(url: str, method: bytes) -> str:
    # RFC 9112 section 3.2: proxies' clients send the absolute form, OPTIONS may send `*`, CONNECT an authority, which is no request to a
    # server.
    if method == b"CONNECT":
        raise _Refused("CONNECT is for proxies")
    if "://" in url:
        return "/" + url.split("://", 1)[1].partition("/")[2]
    return "/" + url
