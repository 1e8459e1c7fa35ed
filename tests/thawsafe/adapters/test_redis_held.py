"""Connections of redis-py that somebody holds over a freeze, and the timeouts that a connection has from one invocation to the next."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis as bare
import redis.asyncio as bare_asyncio
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection
from redis.exceptions import WatchError

from tests.thawsafe.fate_proxy import FATES, Fate, FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.redis import RedisServer
from tests.thawsafe.servers.tcp import running
from thawsafe import in_region, invocation, lambda_
from thawsafe.adapters import redis, redis_asyncio


class HeldServer(RedisServer):
    """Knows transactions of one command, and who subscribes."""

    def _answer(self, name: str, *arguments: str) -> bytes:
        match name:
            case "SUBSCRIBE":
                return b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
            case "WATCH" | "MULTI" | "UNWATCH":
                return b"+OK\r\n"
            case "EXEC":
                return b"*1\r\n:1\r\n"
        return super()._answer(name, *arguments)


@pytest.fixture
def server() -> Iterator[HeldServer]:
    server = HeldServer()
    with running(server):
        yield server


@pytest.fixture
def proxy(server: HeldServer) -> Iterator[FateProxy]:
    proxy = FateProxy("127.0.0.1", server.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("own", [None, 10.0, 5])
def test_a_connection_has_the_timeout_of_the_present_invocation(protocol: int, own: float | None, server: HeldServer) -> None:
    """redis-py looks at a connection before it hands it out, and then sets its timeout to what its parser was told when it was connected."""
    for opened_in in (None, 1.0):
        pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port, protocol=protocol, socket_timeout=own)
        with invocation(opened_in):
            _timeout(pool)
        with invocation(1.0):
            assert all(0.5 < (_timeout(pool) or 99.0) <= 0.9 for _ in range(3))
        assert [_timeout(pool) for _ in range(3)] == [own] * 3
        pool.close()


def _timeout(pool: bare.ConnectionPool) -> float | None:
    connection = pool.get_connection()
    timeout: float | None = connection._get_socket().gettimeout()
    pool.release(connection)
    return timeout


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("fate", FATES)
def test_a_client_with_a_single_connection_survives_a_freeze(
    fate: Fate, protocol: int, proxy: FateProxy, server: HeldServer, clocks: Clocks
) -> None:
    pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=proxy.port, protocol=protocol)
    client = bare.Redis(connection_pool=pool, single_connection_client=True)
    for thaw in range(3):
        client.incr(f"before {thaw}")
        proxy.freeze(fate)
        clocks.pass_(10.0)
        mark_invocation()
        client.incr(f"first {thaw}")
        client.incr(f"second {thaw}")
    assert set(server.seen.values()) == {1}
    assert proxy.accepted <= 4
    client.close()
    pool.close()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("fate", FATES)
async def test_a_client_of_asyncio_with_a_single_connection_survives_a_freeze(
    fate: Fate, protocol: int, proxy: FateProxy, server: HeldServer, clocks: Clocks
) -> None:
    pool = redis_asyncio.ConnectionPool(lambda_(), host="127.0.0.1", port=proxy.port, protocol=protocol)
    client = bare_asyncio.Redis(connection_pool=pool, single_connection_client=True)
    for thaw in range(3):
        await client.incr(f"before {thaw}")
        proxy.freeze(fate)
        clocks.pass_(10.0)
        mark_invocation()
        await client.incr(f"first {thaw}")
        await client.incr(f"second {thaw}")
    assert set(server.seen.values()) == {1}
    assert proxy.accepted <= 4
    await client.aclose()
    await pool.aclose()


def test_a_server_that_ended_a_single_connection_without_a_freeze_is_noticed(proxy: FateProxy, server: HeldServer, clocks: Clocks) -> None:
    pool = redis.ConnectionPool(in_region(), host="127.0.0.1", port=proxy.port)
    client = bare.Redis(connection_pool=pool, single_connection_client=True)
    client.incr("before")
    proxy.freeze("fin_delivered")
    client.incr("after")
    assert server.seen == {"before": 1, "after": 1}
    client.close()
    pool.close()


def test_a_single_connection_has_the_timeout_of_the_present_invocation(server: HeldServer) -> None:
    pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port, socket_timeout=None)
    with invocation(1.0):
        client = bare.Redis(connection_pool=pool, single_connection_client=True)
        client.incr("short")
        client.incr("short")
        assert client.connection is not None
        assert 0.5 < _held_timeout(client) <= 0.9
    with invocation(60.0):
        client.incr("long")
        assert 50.0 < _held_timeout(client) < 60.0
    client.incr("outside")
    assert client.connection._get_socket().gettimeout() is None
    client.close()
    pool.close()


def _held_timeout(client: bare.Redis) -> float:
    connection: Any = client.connection
    timeout: float = connection._get_socket().gettimeout()
    return timeout


@pytest.mark.parametrize("fate", FATES)
def test_a_watched_transaction_is_told_that_its_connection_is_another(
    fate: Fate, proxy: FateProxy, server: HeldServer, clocks: Clocks
) -> None:
    """As by redis-py itself: on another connection the keys are not watched."""
    client = bare.Redis.from_pool(redis.ConnectionPool(lambda_(), host="127.0.0.1", port=proxy.port))
    pipeline = client.pipeline()
    pipeline.watch("key")
    proxy.freeze(fate)
    clocks.pass_(10.0)
    mark_invocation()
    pipeline.multi()
    pipeline.ping()
    if fate == "survive":
        assert pipeline.execute()
    else:
        with pytest.raises(WatchError):
            pipeline.execute()
    pipeline.reset()
    client.close()


def test_a_transaction_without_a_freeze_goes_on_however_old_its_connection_is(proxy: FateProxy, server: HeldServer, clocks: Clocks) -> None:
    client = bare.Redis.from_pool(redis.ConnectionPool(in_region(), host="127.0.0.1", port=proxy.port))
    pipeline = client.pipeline()
    pipeline.watch("key")
    clocks.pass_(10_000.0)
    pipeline.multi()
    pipeline.ping()
    assert pipeline.execute()
    assert proxy.accepted == 1
    client.close()


def test_pubsub_subscribes_again_when_its_server_has_ended_the_connection(proxy: FateProxy, server: HeldServer) -> None:
    """By redis-py's own retries, which a connection has while it is held by pub/sub."""
    pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=proxy.port, protocol=2)
    client = bare.Redis.from_pool(pool)
    subscriber = client.pubsub()
    for _ in range(2):
        subscriber.subscribe("news")
        assert subscriber.get_message(timeout=5.0)
        proxy.freeze("fin_delivered")
        message = subscriber.get_message(timeout=5.0)
        assert message is not None and message["type"] == "subscribe"
        connection: Any = subscriber.connection
        assert connection.retry.get_retries() > 1
        subscriber.close()
        assert connection.retry.get_retries() == 1, "commands do not get them"
    client.close()


async def test_pubsub_of_asyncio_subscribes_again_when_its_server_has_ended_the_connection(proxy: FateProxy, server: HeldServer) -> None:
    client = bare_asyncio.Redis.from_pool(redis_asyncio.ConnectionPool(lambda_(), host="127.0.0.1", port=proxy.port, protocol=2))
    subscriber = client.pubsub()
    await subscriber.subscribe("news")
    assert await subscriber.get_message(timeout=5.0)
    proxy.freeze("fin_delivered")
    message = await subscriber.get_message(timeout=5.0)
    assert message is not None and message["type"] == "subscribe"
    await subscriber.aclose()  # type: ignore[no-untyped-call] # redis'
    await client.aclose()


def test_a_connection_that_was_given_back_without_a_command_has_not_answered(server: HeldServer, clocks: Clocks) -> None:
    """As when a cache of the client's had the answer: it would be the quickest of all, and no peer is as quick."""
    pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port)
    connection: Any = pool.get_connection()
    pool.release(connection)
    assert connection.thawsafe.life.path.quickest == float("inf")
    bare.Redis(connection_pool=pool).incr("command")
    assert connection.thawsafe.life.path.quickest < float("inf")
    pool.close()


def test_a_connection_with_a_cache_is_not_asked_for_longer_than_another(
    proxy: FateProxy, server: HeldServer, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py wraps it, and looks at it before each command for what the server says is stale."""
    monkeypatch.setattr(CacheProxyConnection, "connect", lambda self: self._conn.connect())  # whatever the server's version is
    pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=proxy.port, protocol=3, cache_config=CacheConfig())
    client = bare.Redis(connection_pool=pool)
    client.incr("before")
    proxy.freeze("blackhole")
    clocks.pass_(10.0)
    mark_invocation()
    began = time.perf_counter()
    client.incr("after")
    assert time.perf_counter() - began < 5.0, "the timeout of an answer is 10 s"
    assert server.seen == {"before": 1, "after": 1}
    pool.close()


def test_a_child_process_leaves_a_single_connection_to_its_parent(proxy: FateProxy, server: HeldServer) -> None:
    pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=proxy.port)
    client = bare.Redis(connection_pool=pool, single_connection_client=True)
    client.incr("before")
    child = os.fork()
    if child == 0:
        try:
            client.incr("child")
        except BaseException:  # noqa: BLE001 - whatever it is, the child must end here
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    client.incr("parent")
    assert os.waitstatus_to_exitcode(status) == 0
    assert server.seen == {"before": 1, "child": 1, "parent": 1}
    assert proxy.accepted == 2
    client.close()
    pool.close()
