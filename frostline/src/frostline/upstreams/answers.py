"""What HTTP upstreams answer: the files that they were given, else JSON about the request.

`{"upstream": "api.example.com:443", "connection": 2, "number": 1, "method": "POST", "path": "/", "bytes": 17, "key": "7", "seen": 1}`:
the second connection, its first request, a body of 17 bytes, and the first request with this key. Two parameters of a query change the
answer: `?wait=0.5` lets it wait for so many seconds, `?status=503` gives it another status.

Files are for functions that read what they are answered. One file is every answer; in a folder `/orders/7?x=1` is answered with `orders/7`,
`orders/7.json` or `orders/7/index.json`. They are read at each request, so that an edit counts at once.
"""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from msgspec import Struct

from ..core.upstream import Upstream
from .connection import Connection
from .ledger import Ledger, key_of

JSON = "application/json"

MAX_WAIT_S = 900.0
"""Lambda's longest timeout."""

MAX_PATH = 2048
"""Characters of a path that are repeated in an answer."""


class Request(Struct):
    """A request, as it is read."""

    method: str = ""
    path: str = ""
    headers: list[tuple[str, str]] = []
    """Names in small letters."""
    bytes: int = 0
    """Of its body."""


class Answer(Struct, frozen=True):
    status: int
    body: bytes
    content_type: str = JSON
    wait_s: float = 0.0


def answer(upstream: Upstream, connection: Connection, ledger: Ledger, request: Request) -> Answer:
    """Count a complete request, and answer it."""
    connection.requests += 1
    key = key_of(request.headers)
    seen = ledger.asked(connection.number, connection.requests, request.method, request.path, key)
    status, wait_s = _wishes(request.path)
    if upstream.answers is not None and (file := _file(Path(upstream.answers), request.path)) is not None:
        try:
            return Answer(status, file.read_bytes(), guess_type(file.name)[0] or JSON, wait_s)
        except OSError as error:
            return Answer(500, msgspec.json.encode({"upstream": upstream.name, "error": f"{file} could not be read: {error.strerror}"}))
    about = {
        "upstream": upstream.name,
        "connection": connection.number,
        "number": connection.requests,
        "method": request.method,
        "path": request.path[:MAX_PATH],
        "bytes": request.bytes,
        "key": key,
        "seen": seen,
    }
    return Answer(status, msgspec.json.encode(about), wait_s=wait_s)


def _file(answers: Path, path: str) -> Path | None:
    """The file that answers this path, when there is one."""
    if not answers.is_dir():
        return answers
    parts = [part for part in PurePosixPath(unquote(urlsplit(path).path)).parts if part != "/"]
    if ".." in parts or any("\0" in part for part in parts):
        return None
    named = answers.joinpath(*parts)
    candidates = (named, named.with_name(f"{named.name}.json"), named / "index.json") if parts else (named / "index.json",)
    return next((one for one in candidates if one.is_file()), None)


def _wishes(path: str) -> tuple[int, float]:
    """Status and seconds to wait. What makes no sense is no wish: a real API may have parameters of these names."""
    query = parse_qs(urlsplit(path).query)
    status, wait = query.get("status", [""])[-1], query.get("wait", [""])[-1]
    try:
        wait_s = float(wait)
    except ValueError:
        wait_s = 0.0
    wished = status.isascii() and status.isdecimal() and 200 <= int(status) <= 599
    return int(status) if wished else 200, wait_s if 0 <= wait_s <= MAX_WAIT_S else 0.0
