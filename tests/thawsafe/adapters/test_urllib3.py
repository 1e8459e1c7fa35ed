from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3 as bare
from urllib3.exceptions import EmptyPoolError, MaxRetryError, NewConnectionError, ProtocolError

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.http_server import TaggedServer, http_server
from thawsafe import NO_RETRIES, UNLIMITED, Retries, in_region, invocation, lambda_
from thawsafe._runtime.journal import JOURNAL
from thawsafe.adapters import urllib3


@pytest.fixture
def server() -> Iterator[TaggedServer]:
    with http_server() as server:
        yield server


def test_a_configuration_becomes_a_pools_options() -> None:
    manager = urllib3.PoolManager(lambda_())
    pool = manager.connection_from_url("http://127.0.0.1:1")

    assert (pool.timeout.connect_timeout, pool.timeout.read_timeout) == (5.0, 10.0), "TLS counts as connecting"
    assert pool.pool is not None
    assert (pool.pool.maxsize, pool.block) == (10, True)
    assert manager.pools._maxsize == 5, "fifty connections, ten to a host"
    assert "socket_options" not in pool.conn_kw


def test_keepalive_is_given_to_sockets(server: TaggedServer) -> None:
    import socket

    manager = urllib3.PoolManager(in_region())
    manager.request("GET", f"http://127.0.0.1:{server.port}/tag")
    [connection] = [one for one in manager.connection_from_url(f"http://127.0.0.1:{server.port}").pool.queue if one]  # type: ignore[union-attr]

    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1, "urllib3's own options stay"
    manager.clear()


def test_unlimited_is_said_in_urllib3s_words() -> None:
    unlimited = lambda_().replace(request_timeout=UNLIMITED, connections=UNLIMITED, connections_per_host=UNLIMITED)
    pool = urllib3.PoolManager(unlimited).connection_from_url("http://127.0.0.1:1")

    assert pool.timeout.read_timeout is None
    assert pool.block is False


def test_what_is_given_goes_before_the_configuration() -> None:
    pool = urllib3.PoolManager(lambda_(), timeout=7.0, maxsize=3).connection_from_url("http://127.0.0.1:1")

    assert pool.timeout.read_timeout == 7.0
    assert pool.pool is not None
    assert pool.pool.maxsize == 3


def test_waiting_for_a_connection_has_an_end(server: TaggedServer) -> None:
    manager = urllib3.PoolManager(lambda_().replace(connections_per_host=1, request_timeout=0.2, retries=NO_RETRIES))
    url = f"http://127.0.0.1:{server.port}/tag"
    held = manager.request("GET", url, preload_content=False)

    with pytest.raises(EmptyPoolError):
        manager.request("GET", url)
    held.release_conn()
    manager.clear()


def test_and_that_before_the_invocations_whatever_the_caller_names(server: TaggedServer) -> None:
    manager = urllib3.PoolManager(lambda_().replace(connections_per_host=1, retries=NO_RETRIES))
    url = f"http://127.0.0.1:{server.port}/tag"
    held = manager.request("GET", url, preload_content=False)
    began = time.monotonic()

    with invocation(0.2), pytest.raises(EmptyPoolError):
        manager.request("GET", url, pool_timeout=30.0)

    assert time.monotonic() - began < 10.0
    held.release_conn()
    manager.clear()


@pytest.fixture
def installed() -> Iterator[None]:
    urllib3.install(lambda_())
    yield
    urllib3.uninstall()


def test_retries_of_the_users_end_before_the_invocation_does(installed: None) -> None:
    """The peer accepts, and answers nothing; the pauses between three attempts would be 8 s."""
    proxy = FateProxy("127.0.0.1", 1)
    proxy.deaf = True
    manager = bare.PoolManager(retries=bare.Retry(2, backoff_factor=4.0))

    with invocation(0.3), pytest.raises(MaxRetryError, match="Read timed out"):
        manager.request("GET", f"http://127.0.0.1:{proxy.port}/tag")

    assert proxy.accepted == 1
    proxy.close()


def test_and_what_a_server_wants_to_be_waited_for_as_well(installed: None) -> None:
    with http_server(status=503, retry_after="60") as server:
        manager = bare.PoolManager(retries=bare.Retry(2, status_forcelist=[503], raise_on_status=False))
        with invocation(20.0):
            answer = manager.request("GET", f"http://127.0.0.1:{server.port}/tag")

    assert answer.status == 503
    assert server.seen["tag"] == 1


def test_retries_that_have_the_time_are_left_alone(installed: None) -> None:
    with http_server(status=503) as server:
        manager = bare.PoolManager(retries=bare.Retry(2, status_forcelist=[503], backoff_factor=0.001))
        with invocation(20.0), pytest.raises(MaxRetryError, match="too many 503 error responses"):
            manager.request("GET", f"http://127.0.0.1:{server.port}/tag")

    assert server.seen["tag"] == 3


class Failing:
    """A connection that fails, and counts how often it was tried."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.tries = 0

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.tries += 1
        raise self.error


@pytest.mark.parametrize(
    ("method", "retries", "tries"),
    [("GET", Retries(attempts=2, within=5.0), 3), ("POST", Retries(attempts=2, within=5.0), 1), ("GET", NO_RETRIES, 1)],
)
def test_only_idempotent_requests_are_tried_again(
    monkeypatch: pytest.MonkeyPatch, server: TaggedServer, method: str, retries: Any, tries: int
) -> None:
    failing = Failing(ConnectionResetError(104, "reset"))
    monkeypatch.setattr(bare.connection.HTTPConnection, "request", lambda self, *args, **kwargs: self.connect())
    monkeypatch.setattr(bare.connection.HTTPConnection, "getresponse", failing)
    manager = urllib3.PoolManager(lambda_().replace(retries=retries))

    with pytest.raises((MaxRetryError, ProtocolError)):
        manager.request(method, f"http://127.0.0.1:{server.port}/tag")

    assert failing.tries == tries
    manager.clear()


def test_a_failed_connect_is_tried_again_whatever_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(NewConnectionError(None, "refused"))  # type: ignore[arg-type]
    monkeypatch.setattr(bare.connection.HTTPConnection, "connect", failing)

    with pytest.raises(MaxRetryError):
        urllib3.PoolManager(lambda_()).request("POST", "http://127.0.0.1:1/tag", body=b"x")

    assert failing.tries == 3


def test_a_budget_ends_retries_before_their_number_does(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(NewConnectionError(None, "refused"))  # type: ignore[arg-type]
    monkeypatch.setattr(bare.connection.HTTPConnection, "connect", failing)
    began = time.monotonic()

    with pytest.raises(MaxRetryError):
        urllib3.PoolManager(lambda_().replace(retries=Retries(attempts=1000, within=0.5))).request("GET", "http://127.0.0.1:1/tag")

    assert time.monotonic() - began < 10.0
    assert 2 <= failing.tries <= 6


def test_an_answer_is_an_answer_whatever_its_status() -> None:
    assert not urllib3.retries(lambda_()).is_retry("GET", 503, has_retry_after=True)


def test_a_servers_hint_is_heeded(clocks: Clocks) -> None:
    with http_server(keep_alive="timeout=5, max=1000") as server:
        manager = urllib3.PoolManager(lambda_())
        mark_invocation()
        for tag in ("first", "second"):
            manager.request("GET", f"http://127.0.0.1:{server.port}/{tag}")
        before = JOURNAL.counters().get("discarded_idle", 0)
        clocks.pass_(4.5)
        manager.request("GET", f"http://127.0.0.1:{server.port}/third")

        assert JOURNAL.counters()["discarded_idle"] == before + 1
        manager.clear()


def test_a_server_that_closes_after_every_answer_teaches_nothing(clocks: Clocks) -> None:
    """Its end is no death: it is announced, and urllib3 has closed the connection when the answer was read."""
    with http_server(close=True) as server:
        manager = urllib3.PoolManager(lambda_())
        before = JOURNAL.counters()["discarded"]
        for number in range(3):
            manager.request("GET", f"http://127.0.0.1:{server.port}/{number}")
            clocks.pass_(2.0)

        assert JOURNAL.counters()["discarded"] == before
        manager.clear()
