"""HTTP/1.1 (RFC 9112) on httptools, which is llhttp, the parser of Node."""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus

import httptools

from ..core.upstream import Upstream
from .answers import Answer, Request, answer
from .connection import Connection
from .ledger import Ledger

MAX_HEAD = 65_536
"""Bytes of a request line and its headers."""


class Http1:
    """A conversation. Requests that come at once (pipelining) are answered one after another."""

    def __init__(self, connection: Connection, upstream: Upstream, ledger: Ledger) -> None:
        self._connection, self._upstream, self._ledger = connection, upstream, ledger
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._url = b""
        self._head = 0
        self._in_head = True
        self._answers: deque[tuple[Answer, bool, bool]] = deque()
        """With each: whether it is for HEAD, and whether the connection is kept."""
        self._timer: asyncio.TimerHandle | None = None

    def received(self, data: bytes) -> None:
        self._connection.heard()
        if self._in_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Its own request was answered, as a server may that does not know the other protocol (RFC 9110, 7.8).
            return
        except httptools.HttpParserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        if self._in_head and self._head > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head of more than {MAX_HEAD} bytes")

    def goodbye(self) -> bytes:
        return b""

    def over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        self._connection.send(_head(status, [("Content-Length", "0"), ("Connection", "close")]))
        self._connection.close("fin", "refused", f"HTTP/1.1: {detail}")

    # The parser's callbacks --------------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._request, self._url, self._in_head = Request(headers=[]), b"", True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        if ("expect", "100-continue") in [(name, value.lower()) for name, value in self._request.headers]:
            self._connection.send(_head(HTTPStatus.CONTINUE, []))

    def on_body(self, body: bytes) -> None:
        self._request.bytes += len(body)

    def on_message_complete(self) -> None:
        if self._connection.closed:
            return
        self._in_head = True
        self._request.method = self._parser.get_method().decode("latin-1")
        self._request.path = self._url.decode("latin-1")
        made = answer(self._upstream, self._connection, self._ledger, self._request)
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._answers.append((made, self._request.method == "HEAD", keep))
        self._connection.working(len(self._answers))
        if len(self._answers) == 1:
            self._take_time()

    # Answers -----------------------------------------------------------------------------------------------------------------------------

    def _take_time(self) -> None:
        wait_s = self._answers[0][0].wait_s
        if wait_s:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._give)
        else:
            self._give()

    def _give(self) -> None:
        made, head_only, keep = self._answers.popleft()
        headers = [("Content-Type", made.content_type), ("Content-Length", str(len(made.body)))]
        headers.append(("Connection", "keep-alive" if keep else "close"))
        if keep and self._upstream.keep_alive_hint_s is not None:
            headers.append(("Keep-Alive", f"timeout={self._upstream.keep_alive_hint_s}"))
        self._connection.send(_head(made.status, headers) + (b"" if head_only else made.body))
        if not keep:
            self._connection.close("fin", "asked")
            return
        self._connection.working(len(self._answers))
        if self._answers:
            self._take_time()


def _head(status: int, headers: list[tuple[str, str]]) -> bytes:
    known = {one.value: one.phrase for one in HTTPStatus}
    lines = [f"HTTP/1.1 {int(status)} {known.get(status, '')}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
