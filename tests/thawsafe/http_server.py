"""A small HTTP/1.1 server that counts the tags it sees: `GET /tag`, `POST /tag`."""

from __future__ import annotations

import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OK = b"<ok/>"
"""The answer to a request without a body; botocore reads XML."""


class TaggedServer(ThreadingHTTPServer):
    """Keeps connections; answers everything with its tag."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, keep_alive: str | None, context: ssl.SSLContext | None, close: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.keep_alive = keep_alive
        self.close_after_answers = close
        self.status = 200
        self.retry_after: str | None = None
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: TaggedServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass  # trailers
        with self.server.lock:
            self.server.seen[self.path.partition("?")[0].rpartition("/")[2]] += 1
        self.send_response(self.server.status)
        if self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", str(len(body or OK)))
        if self.server.close_after_answers:
            self.send_header("Connection", "close")
        if self.server.keep_alive:
            self.send_header("Keep-Alive", self.server.keep_alive)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body or OK)

    do_GET = do_POST = do_PUT = do_HEAD = _answer  # noqa: N815 - the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        """Quiet."""


@contextmanager
def http_server(
    keep_alive: str | None = None,
    context: ssl.SSLContext | None = None,
    *,
    close: bool = False,
    status: int = 200,
    retry_after: str | None = None,
) -> Iterator[TaggedServer]:
    """`keep_alive`, `retry_after`: what the server says in these headers. `context`: for https. `close`: it closes after every answer, and says so."""
    server = TaggedServer(keep_alive, context, close)
    server.status, server.retry_after = status, retry_after
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
