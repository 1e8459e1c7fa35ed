"""Which client it is, and which of its settings is named."""

from __future__ import annotations

import pytest

from frostline.diagnose.clients import CLIENTS, Language, Protocol, by_code, by_habit, by_library, by_words, language_of, protocol_of
from frostline.diagnose.cures import SAFE_AGE_S, Ailment, ages, below, cures, cures_by_client
from frostline.diagnose.errors import about_the_network, trouble
from frostline.diagnose.rules import RULES
from frostline.testing.builders import function


@pytest.mark.parametrize(
    ("text", "language", "client"),
    [
        (
            "[ERROR] ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
            "python",
            "requests",
        ),
        (
            "ConnectionError(ProtocolError('Connection aborted.', RemoteDisconnected('Remote end closed connection without response')))",
            "python",
            "requests",
        ),
        ('File "/var/task/requests/adapters.py", line 1\n  File "/var/task/urllib3/connectionpool.py"', "python", "requests"),
        ("ProtocolError('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))", "python", "urllib3"),
        ("RemoteDisconnected: Remote end closed connection without response", "python", "http.client"),
        ("RemoteProtocolError: Server disconnected without sending a response.", "python", "httpx"),
        ("ServerDisconnectedError: Server disconnected", "python", "aiohttp"),
        ("ConnectionError: Error 104 while reading from redis.local:6379 : (104, 'Connection reset by peer')", "python", "redis-py"),
        ("OperationalError: consuming input failed: server closed the connection unexpectedly", "python", "psycopg"),
        ("(psycopg.OperationalError) x (Background on this error at: https://sqlalche.me/e/20/e3q8)", "python", "SQLAlchemy"),
        ("_InactiveRpcError: status = StatusCode.UNAVAILABLE", "python", "grpcio"),
        ("Error: 4 DEADLINE_EXCEEDED: Deadline exceeded", "node", "grpc-js"),
        ("AxiosError: socket hang up\n at /var/task/node_modules/axios/lib/core/AxiosError.js", "node", "axios"),
        ("TypeError: fetch failed", "node", "undici"),
        ("Error: socket hang up\n    at Socket.socketOnEnd (node:_http_client:524:23)", "node", "node:http"),
        ("MaxRetriesPerRequestError: Reached the max retries per request limit", "node", "ioredis"),
        ("Error: Connection terminated unexpectedly\n at /var/task/node_modules/pg/lib/client.js", "node", "pg"),
        ('*url.Error: Post "http://x/": read tcp 1.2.3.4:5->6.7.8.9:80: read: connection reset by peer', None, "net/http"),
        ("*status.Error: rpc error: code = Unavailable desc = error reading from server: EOF", None, "grpc-go"),
    ],
)
def test_a_clients_words(text: str, language: Language | None, client: str) -> None:
    assert [found.name for found in by_words(text, language)] == [client]


@pytest.mark.parametrize(
    ("language", "protocol", "clients"),
    [
        ("python", "http", ["requests", "httpx", "aiohttp"]),
        ("node", "redis", ["ioredis", "node-redis"]),
        ("node", "grpc", ["grpc-js"]),
        (None, "http", ["net/http"]),
    ],
)
def test_clients_that_are_common(language: Language | None, protocol: Protocol, clients: list[str]) -> None:
    assert [found.name for found in by_habit(language, protocol)] == clients


def test_a_library_that_traces_is_its_client() -> None:
    assert [found.name for library in ("grpc-js", "grpc-core", "grpc-go", "") for found in by_library(library)] == [
        "grpc-js",
        "grpcio",
        "grpc-go",
    ]


def test_protocols() -> None:
    known = {
        ("a", 6379): "redis",
        ("my-redis.internal", 1): "redis",
        ("x.rds.amazonaws.com", 1): "sql",
        (None, 443): None,
        ("api.local", 8080): None,
    }
    assert {destination: protocol_of(*destination) for destination in known} == known


def test_languages() -> None:
    runtimes = {"python3.13": "python", "nodejs22.x": "node", "go1.x": "go", "provided.al2023": None, "java21": None}
    assert {runtime: language_of(function(runtime=runtime)) for runtime in runtimes} == runtimes
    assert language_of(None) is None


@pytest.mark.parametrize("ailment", sorted({rule.ailment for rule in RULES}))
def test_every_cure_can_be_written(ailment: Ailment) -> None:
    rows = cures_by_client(ailment)
    assert rows[-1][0] == "any client"
    for client, setting, why in rows:
        assert setting and why.endswith(".") and "{{" not in setting and "|" not in setting + why, client
        assert "age_" not in setting + why
    known = {client.name for client in CLIENTS} | {"python", "node", "go", "any client"}
    assert {client for client, _, _ in rows} <= known


def test_clients_that_fail_have_a_cure_for_it() -> None:
    for ailment in ("stale", "black_hole"):
        assert {client.name for client in CLIENTS} <= {client for client, _, _ in cures_by_client(ailment)}


@pytest.mark.parametrize(("limit", "age"), [(0.4, 0.2), (1.0, 0.5), (3.0, 2), (5.0, 4), (60.0, 48), (350.0, 280)])
def test_a_clients_limit_is_below_the_servers(limit: float, age: float) -> None:
    assert below(limit) == age < limit


def test_numbers_are_written_as_each_language_writes_them() -> None:
    assert ages(4.0) == {"age_s": "4", "age_ms": "4000", "age_int": "4", "age_go": "4 * time.Second"}
    assert ages(0.5) == {"age_s": "0.5", "age_ms": "500", "age_int": "1", "age_go": "500 * time.Millisecond"}


def test_nobody_is_left_without_a_cure() -> None:
    assert [cure.client for cure in cures("left_over", [], "go")] == ["go"]
    [anybody] = cures("stale", [], None)
    assert anybody.client == "any client" and f"{SAFE_AGE_S:g} s" in anybody.setting


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("14 UNAVAILABLE: read ECONNRESET", "grpc"),
        ("Error: socket hang up", "ended"),
        ('Post "http://x": EOF', "ended"),
        ("ReadTimeout: HTTPConnectionPool(host='x', port=80): Read timed out. (read timeout=5)", "waited"),
        ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", "waited"),
        ("timeout of 3000ms exceeded", "waited"),
        ("set the timeout to 5 and went on", None),
        ("the reset button", None),
        ("EOFError-like things in prose: no EOF here", None),
        ("", None),
    ],
)
def test_what_a_text_certainly_speaks_of(text: str, kind: str | None) -> None:
    assert trouble(text) == kind


@pytest.mark.parametrize(
    ("text", "is_about"),
    [
        ("FancyError: transport was closed", True),
        ("TypeError: fetch failed", True),
        ("KeyError: 'id'", False),
        ("TypeError: x is undefined", False),
    ],
)
def test_whether_an_error_can_be_about_the_network(text: str, *, is_about: bool) -> None:
    assert about_the_network(text) is is_about


@pytest.mark.parametrize(
    ("runtime", "packages", "protocol", "clients"),
    [
        ("python3.12", ("requests", "urllib3", "redis"), "http", ["requests"]),
        ("python3.12", ("requests", "urllib3", "redis"), None, ["requests"]),
        ("python3.12", ("requests", "redis"), "redis", ["redis-py"]),
        ("python3.12", ("redis",), None, ["redis-py"]),
        ("python3.12", ("json",), "http", []),
        ("nodejs20.x", ("redis", "http"), "redis", ["node-redis"]),
        ("nodejs20.x", ("@aws-sdk/client-s3", "fetch"), "http", ["aws-sdk-js", "undici"]),
        ("provided.al2023", ("go", "github.com/redis/go-redis/v9"), "redis", ["go-redis"]),
        ("provided.al2023", ("go", "google.golang.org/grpc"), None, ["grpc-go"]),
        ("provided.al2023", ("go",), "http", ["net/http"]),
    ],
)
def test_a_client_is_told_by_what_the_code_imports(
    runtime: str, packages: tuple[str, ...], protocol: Protocol | None, clients: list[str]
) -> None:
    assert [client.name for client in by_code(function(runtime=runtime, packages=packages), protocol)] == clients
