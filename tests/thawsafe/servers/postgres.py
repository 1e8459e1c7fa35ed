"""As much of PostgreSQL as psycopg, asyncpg and SQLAlchemy need: startup, the simple and the extended query, transactions' status.

`SELECT seen('tag')`, or with the tag as a parameter, counts the tag and answers it. An empty query and `SELECT 1` are counted as probes.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator

from tests.thawsafe.servers.tcp import CountingServer, read_exactly

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
TEXT = 25
PARAMETERS = {
    "server_version": "15.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}
ANSWERS = {
    "version()": "PostgreSQL 15.0 on x86_64-pc-linux-gnu",
    "current_schema": "public",
    "standard_conforming_strings": "on",
    "transaction isolation level": "read committed",
}


class PostgresServer(CountingServer):
    """One per test. `terminated`: connections whose client said that it ends."""

    terminated = 0

    def notify(self) -> None:
        """Send every connection a notification, as for LISTEN."""
        with self.lock:
            for client in self._open:
                client.sendall(_message(b"A", struct.pack("!I", 1) + _text("channel") + _text("news")))

    def serve(self, client: socket.socket) -> None:
        if _started(client):
            _Session(self, client).run()


def _started(client: socket.socket) -> bool:
    while True:
        (size,) = struct.unpack("!I", read_exactly(client, 4))
        body = read_exactly(client, size - 4)
        (code,) = struct.unpack("!I", body[:4])
        if code == CANCEL_REQUEST:
            return False
        if code not in (SSL_REQUEST, GSS_REQUEST):
            break
        client.sendall(b"N")
    status = b"".join(_message(b"S", _text(name) + _text(value)) for name, value in PARAMETERS.items())
    client.sendall(_message(b"R", struct.pack("!I", 0)) + status + _message(b"K", struct.pack("!II", 1, 2)) + _message(b"Z", b"I"))
    return True


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


class _Session:
    """One connection after its startup."""

    def __init__(self, server: PostgresServer, client: socket.socket) -> None:
        self.server = server
        self.client = client
        self.status = b"I"
        self.statements: dict[bytes, str] = {}
        self.portals: dict[bytes, tuple[str, list[str]]] = {}

    def run(self) -> None:
        answers = b""
        while True:
            head = read_exactly(self.client, 5)
            body = read_exactly(self.client, struct.unpack("!I", head[1:])[0] - 4)
            match head[:1]:
                case b"X":
                    self.server.terminated += 1
                    return
                case b"Q":
                    answers += self._simple(body[:-1].decode()) + self._ready()
                case b"S":
                    answers += self._ready()
                case b"H":
                    pass
                case kind:
                    answers += getattr(self, f"_on_{kind.decode()}")(body)
                    continue
            self.client.sendall(answers)
            answers = b""

    def _ready(self) -> bytes:
        return _message(b"Z", self.status)

    def _simple(self, text: str) -> bytes:
        statements = [part.strip() for part in text.split(";") if part.strip()]
        if not statements:
            self.server.probes += 1
            return _message(b"I")
        return b"".join(self._columns(part) + self._execute(part, []) for part in statements)

    def _on_P(self, body: bytes) -> bytes:  # noqa: N802 - the messages' names
        name, query, _ = body.split(b"\0", 2)
        self.statements[name] = query.decode()
        return _message(b"1")

    def _on_B(self, body: bytes) -> bytes:  # noqa: N802
        portal, name, rest = body.split(b"\0", 2)
        self.portals[portal] = (self.statements[name], list(_parameters(rest)))
        return _message(b"2")

    def _on_D(self, body: bytes) -> bytes:  # noqa: N802
        name = body[1:-1]
        if body[:1] == b"P":
            return self._columns(self.portals[name][0]) or _message(b"n")
        query = self.statements[name]
        count = len(set(re.findall(r"\$\d+", query)))
        return _message(b"t", struct.pack("!H", count) + struct.pack("!I", TEXT) * count) + (self._columns(query) or _message(b"n"))

    def _on_E(self, body: bytes) -> bytes:  # noqa: N802
        query, parameters = self.portals[body.split(b"\0", 1)[0]]
        if not query.strip("; "):
            self.server.probes += 1
            return _message(b"I")
        return self._execute(query, parameters)

    def _on_C(self, body: bytes) -> bytes:  # noqa: N802
        return _message(b"3")

    def _columns(self, query: str) -> bytes:
        if not query.lower().startswith(("select", "show")):
            return b""
        return _message(b"T", struct.pack("!H", 1) + _text("value") + struct.pack("!IHIhIH", 0, 0, TEXT, -1, 0xFFFFFFFF, 0))

    def _execute(self, query: str, parameters: list[str]) -> bytes:
        verb = query.split(None, 1)[0].upper()
        if verb in ("BEGIN", "COMMIT", "ROLLBACK"):
            self.status = b"T" if verb == "BEGIN" else b"I"
        if verb not in ("SELECT", "SHOW"):
            return _message(b"C", _text(verb))
        value = self._value(query, parameters)
        row = b"" if value is None else _message(b"D", struct.pack("!HI", 1, len(value.encode())) + value.encode())
        return row + _message(b"C", _text(f"SELECT {len(row) and 1}"))

    def _value(self, query: str, parameters: list[str]) -> str | None:
        found = re.search(r"seen\((?:'([^']+)')?", query)
        if found:
            tag = found[1] or parameters[0]
            self.server.saw(tag)
            return tag
        if query == "SELECT 1":
            self.server.probes += 1
            return "1"
        return next((answer for part, answer in ANSWERS.items() if part in query.lower()), None)


def _parameters(rest: bytes) -> Iterator[str]:
    """The values of a Bind message, after its names."""
    (formats,) = struct.unpack_from("!H", rest)
    at = 2 + 2 * formats
    (count,) = struct.unpack_from("!H", rest, at)
    at += 2
    for _ in range(count):
        (size,) = struct.unpack_from("!i", rest, at)
        at += 4
        yield rest[at : at + size].decode()
        at += size
