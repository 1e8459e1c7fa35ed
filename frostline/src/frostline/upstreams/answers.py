"""What HTTP upstreams answer: JSON about the request.

`{"upstream": "api.example.com:443", "connection": 2, "number": 1, "method": "POST", "path": "/", "bytes": 17, "key": "7", "seen": 1}`:
the second connection, its first request, a body of 17 bytes, and the first request with this key. Two parameters of a query change the
answer: `?wait=0.5` lets it wait for so many seconds, `?status=503` gives it another status.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from .connection import Connection
from .ledger import Ledger, key_of

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
    wait_s: float = 0.0


def answer(upstream: str, connection: Connection, ledger: Ledger, request: Request) -> Answer:
    """Count a complete request, and answer it."""
    connection.requests += 1
    key = key_of(request.headers)
    seen = ledger.asked(connection.number, connection.requests, request.method, request.path, key)
    about = {
        "upstream": upstream,
        "connection": connection.number,
        "number": connection.requests,
        "method": request.method,
        "path": request.path[:MAX_PATH],
        "bytes": request.bytes,
        "key": key,
        "seen": seen,
    }
    try:
        status, wait_s = _wishes(request.path)
    except ValueError as error:
        return Answer(400, msgspec.json.encode(about | {"error": str(error)}))
    return Answer(status, msgspec.json.encode(about), wait_s)


def _wishes(path: str) -> tuple[int, float]:
    query = parse_qs(urlsplit(path).query)
    status, wait = query.get("status", ["200"])[-1], query.get("wait", ["0"])[-1]
    if not (status.isascii() and status.isdecimal() and 200 <= int(status) <= 599):
        raise ValueError(f"{status!r} is not a status of an answer: 200 to 599")
    try:
        wait_s = float(wait)
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise ValueError(f"{wait!r} is not a time to wait: seconds, {MAX_WAIT_S:g} at most")
    return int(status), wait_s
