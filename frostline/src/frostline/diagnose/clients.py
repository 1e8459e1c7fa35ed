"""Which client a function uses, told from what its story has: the function's runtime, what its code imports, the words of its errors and logs, and the
port it dials.

Client libraries have words of their own: names in tracebacks, names of error classes, sentences. Where none is found, the clients that are common
for the function's language and the destination's protocol are meant, so that a cure can be looked up all the same.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from ..core.function import Function

Language = Literal["python", "node", "go"]
Protocol = Literal["http", "grpc", "redis", "sql", "mongo", "websocket"]

PORTS: dict[int, Protocol] = {6379: "redis", 6380: "redis", 5432: "sql", 3306: "sql", 6432: "sql", 27017: "mongo", 50051: "grpc"}
"""Ports that tell the protocol (IANA's registry; 6380 and 6432 are what TLS and PgBouncer are usually given)."""

_WEB: tuple[Protocol, ...] = ("http", "grpc", "websocket")
"""Protocols whose ports are anybody's."""

_NAMES: tuple[tuple[str, Protocol], ...] = (
    ("redis", "redis"),
    ("valkey", "redis"),
    ("postgres", "sql"),
    ("pgbouncer", "sql"),
    ("mysql", "sql"),
    ("mariadb", "sql"),
    (".rds.", "sql"),
    ("mongo", "mongo"),
)
"""Parts of host names that tell it: people name hosts for what runs on them."""


class Client(Struct, frozen=True):
    """A client library."""

    name: str
    language: Language
    protocol: Protocol
    signs: re.Pattern[str]
    """Words that nothing else says."""
    covers: tuple[str, ...] = ()
    """Clients that it is built on: their words are in its errors, too."""
    common: bool = False
    """It is meant where the language and the protocol are all that is known."""
    packages: tuple[str, ...] = ()
    """What code imports to use it: names of packages, or the beginnings of their paths."""


def _client(
    name: str,
    language: Language,
    protocol: Protocol,
    signs: str,
    *,
    packages: str = "",
    covers: tuple[str, ...] = (),
    common: bool = False,
) -> Client:
    return Client(name, language, protocol, re.compile(signs), covers, common, tuple(packages.split()))


CLIENTS: tuple[Client, ...] = (
    # Python. Paths within tracebacks, class names of errors, and the sentences of their messages.
    _client(
        "botocore",
        "python",
        "http",
        r"botocore[./]|boto3[./]|ConnectionClosedError.*endpoint URL",
        covers=("urllib3", "http.client"),
        packages="botocore boto3 aiobotocore aioboto3",
    ),
    _client(
        "requests",
        "python",
        "http",
        r"requests[./](?:exceptions|adapters|sessions|api)|ConnectionError\(\s*(?:ProtocolError|MaxRetryError|ReadTimeoutError)"
        r"|ConnectionError: \('Connection aborted\.'|\[ERROR\] ConnectionError: \(|(?:HTTPS?ConnectionPool|HTTPConnection)\(host=",
        covers=("urllib3", "http.client"),
        common=True,
        packages="requests",
    ),
    _client(
        "urllib3",
        "python",
        "http",
        r"urllib3[./]|ProtocolError\(?'?(?:: )?\(?'Connection aborted|MaxRetryError",
        covers=("http.client",),
        packages="urllib3",
    ),
    _client(
        "httpx",
        "python",
        "http",
        r"httpx[./]|httpcore[./]|RemoteProtocolError|Server disconnected without sending",
        common=True,
        packages="httpx",
    ),
    _client(
        "aiohttp",
        "python",
        "http",
        r"aiohttp[./]|ServerDisconnectedError|ClientOSError|ClientConnectorError",
        common=True,
        packages="aiohttp",
    ),
    _client("http.client", "python", "http", r"http[./]client\b|RemoteDisconnected", packages="http.client urllib.request"),
    _client(
        "grpcio",
        "python",
        "grpc",
        r"grpc[./]_channel|grpc[./]aio|_InactiveRpcError|AioRpcError|_MultiThreadedRendezvous|StatusCode\.[A-Z]",
        common=True,
        packages="grpc",
    ),
    _client(
        "redis-py",
        "python",
        "redis",
        r"redis[./](?:exceptions|client|connection|asyncio)|Error \d+ while (?:reading from|writing to)",
        common=True,
        packages="redis",
    ),
    _client("psycopg_pool", "python", "sql", r"psycopg_pool[./]|PoolTimeout", covers=("psycopg",), packages="psycopg_pool"),
    _client("SQLAlchemy", "python", "sql", r"sqlalchemy[./]|sqlalche\.me", covers=("psycopg", "asyncpg"), packages="sqlalchemy"),
    _client(
        "psycopg",
        "python",
        "sql",
        r"psycopg2?[./]|consuming input failed|server closed the connection unexpectedly",
        common=True,
        packages="psycopg psycopg2",
    ),
    _client("asyncpg", "python", "sql", r"asyncpg[./]|ConnectionDoesNotExistError", packages="asyncpg"),
    _client("pymongo", "python", "mongo", r"pymongo[./]|AutoReconnect|ServerSelectionTimeoutError", common=True, packages="pymongo motor"),
    _client(
        "websockets",
        "python",
        "websocket",
        r"websockets[./]|keepalive ping timeout|ConnectionClosedError: ",
        common=True,
        packages="websockets",
    ),
    # Node.
    _client(
        "grpc-js",
        "node",
        "grpc",
        r"@grpc/grpc-js|\b\d+ (?:DEADLINE_EXCEEDED|UNAVAILABLE|CANCELLED): ",
        covers=("node:http", "node:http2"),
        common=True,
        packages="@grpc/grpc-js",
    ),
    _client(
        "aws-sdk-js", "node", "http", r"@aws-sdk/|@smithy/|aws-sdk/lib", covers=("node:http", "node:http2"), packages="@aws-sdk aws-sdk"
    ),
    _client("axios", "node", "http", r"\baxios\b|AxiosError", covers=("node:http",), common=True, packages="axios"),
    _client(
        "undici",
        "node",
        "http",
        r"\bundici\b|UND_ERR_|\bfetch failed\b|other side closed",
        covers=("node:http",),
        common=True,
        packages="undici fetch",
    ),
    _client("ioredis", "node", "redis", r"\bioredis\b|MaxRetriesPerRequestError", covers=("node:http",), common=True, packages="ioredis"),
    _client(
        "node-redis",
        "node",
        "redis",
        r"@redis/client|SocketClosedUnexpectedly",
        covers=("node:http",),
        common=True,
        packages="redis @redis/client",
    ),
    _client(
        "pg", "node", "sql", r"node_modules/pg[/-]|Connection terminated unexpectedly", covers=("node:http",), common=True, packages="pg"
    ),
    _client(
        "mongodb",
        "node",
        "mongo",
        r"node_modules/mongodb|MongoNetworkError|MongoServerSelectionError",
        covers=("node:http",),
        common=True,
        packages="mongodb mongoose",
    ),
    _client("ws", "node", "websocket", r"node_modules/ws/", common=True, packages="ws"),
    _client(
        "node:http", "node", "http", r"socket hang up|_http_client|node:https?\b", common=True, packages="http https node:http node:https"
    ),
    _client("node:http2", "node", "http", r"ERR_HTTP2_|NGHTTP2_|node:http2\b", packages="http2 node:http2"),
    # Go. Its errors carry no stack, and name the operation: `Post "http://...": read tcp ...: connection reset by peer`.
    _client("grpc-go", "go", "grpc", r"rpc error: code = ", covers=("net/http",), common=True, packages="google.golang.org/grpc"),
    _client(
        "go-redis",
        "go",
        "redis",
        r"redis: |go-redis",
        covers=("net/http",),
        common=True,
        packages="github.com/redis/go-redis github.com/go-redis/redis",
    ),
    _client("pgx", "go", "sql", r"pgconn|pgxpool", covers=("database/sql", "net/http"), packages="github.com/jackc/pgx"),
    _client(
        "database/sql",
        "go",
        "sql",
        r"\bpq: |driver: bad connection|mysql: ",
        covers=("net/http",),
        common=True,
        packages="github.com/lib/pq github.com/go-sql-driver/mysql",
    ),
    _client(
        "mongo-driver",
        "go",
        "mongo",
        r"mongo-driver|connection\(.*?\) (?:socket|incomplete)",
        covers=("net/http",),
        common=True,
        packages="go.mongodb.org/mongo-driver",
    ),
    _client(
        "net/http",
        "go",
        "http",
        r"(?:Get|Post|Put|Patch|Head|Delete|Options) \"https?://|net/http|http: server closed idle connection",
        common=True,
        packages="go",
    ),
)

_LIBRARIES: dict[str, tuple[str, ...]] = {"grpc-js": ("grpc-js",), "grpc-core": ("grpcio",), "grpc-go": ("grpc-go",)}


def protocol_of(host: str | None, port: int) -> Protocol | None:
    """From a destination's port, or its name; None where neither says."""
    return PORTS.get(port) or next((protocol for part, protocol in _NAMES if part in (host or "")), None)


def language_of(function: Function | None) -> Language | None:
    """From the runtime's identifier, and what the code is known to be; None for Java, Ruby, .NET, and what else `provided` may be."""
    runtime = "" if function is None else function.runtime
    if runtime.startswith("python"):
        return "python"
    if runtime.startswith("nodejs"):
        return "node"
    return "go" if runtime.startswith("go") or (function is not None and "go" in function.packages) else None


def by_library(library: str) -> list[Client]:
    """The client whose gRPC traces these are."""
    return [client for client in CLIENTS if client.name in _LIBRARIES.get(library, ())]


def by_words(text: str, language: Language | None, protocol: Protocol | None = None) -> list[Client]:
    """The clients that a text is certainly from, those left out that others are built on."""
    found = [
        client
        for client in CLIENTS
        if language in (None, client.language) and protocol in (None, client.protocol) and client.signs.search(text) is not None
    ]
    return _uncovered(found)


def by_code(function: Function, protocol: Protocol | None) -> list[Client]:
    """The clients that a function's code imports and that speak a protocol; where that is not known, the web's before those of databases."""
    language = language_of(function)
    found = [
        client
        for client in CLIENTS
        if language in (None, client.language) and any(_is_of(package, client) for package in function.packages)
    ]
    chosen = [client for client in found if client.protocol == protocol]
    if protocol is None:
        chosen = [client for client in found if client.protocol in _WEB] or found
    return _uncovered(chosen)


def _is_of(package: str, client: Client) -> bool:
    return any(package == name or package.startswith(f"{name}/") for name in client.packages)


def _uncovered(found: list[Client]) -> list[Client]:
    covered = {name for client in found for name in client.covers}
    return [client for client in found if client.name not in covered]


def by_habit(language: Language | None, protocol: Protocol) -> list[Client]:
    """The clients that are common for a language and a protocol; Go's, where the language is not known: most `provided` functions are written in it."""
    return [client for client in CLIENTS if client.common and client.language == (language or "go") and client.protocol == protocol]
