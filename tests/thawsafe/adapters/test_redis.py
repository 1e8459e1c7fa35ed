from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import warnings

import pytest
import redis as bare
import redis.asyncio as bare_asyncio

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.redis import RedisServer
from tests.thawsafe.servers.tcp import CountingServer, running
from thawsafe import NO_RETRIES, UNLIMITED, UnknownClient, counters, in_region, lambda_
from thawsafe._runtime.deadline import set_for_process
from thawsafe.adapters import redis, redis_asyncio
from thawsafe.adapters._clients import known


class RudeServer(RedisServer):
    """Carries INCR out, and closes the connection instead of answering it; says nothing at all to INCRBY slow."""

    def _answer(self, name: str, *arguments: str) -> bytes:
        answer = super()._answer(name, *arguments)
        if name.startswith("INCR") and arguments[0] == "slow":
            time.sleep(1.0)
        if name.startswith("INCR"):
            raise EOFError
        return answer


def test_a_configuration_becomes_a_pools_options() -> None:
    pool = redis.ConnectionPool(lambda_())
    assert pool.max_connections == 10
    assert pool.connection_kwargs["socket_connect_timeout"] == 5.0
    assert pool.connection_kwargs["socket_timeout"] == 10.0
    assert pool.connection_kwargs["socket_keepalive"] is False
    unlimited = lambda_().replace(connections_per_host=UNLIMITED, request_timeout=UNLIMITED, connect_timeout=UNLIMITED)
    pool = redis.ConnectionPool(unlimited)
    assert pool.max_connections > 1_000_000
    assert pool.connection_kwargs["socket_timeout"] is None and pool.connection_kwargs["socket_connect_timeout"] is None
    assert redis.ConnectionPool(lambda_(), max_connections=3, socket_timeout=1.5).connection_kwargs["socket_timeout"] == 1.5
    assert redis.ConnectionPool.from_url("redis://h:1/2", configuration=lambda_()).connection_kwargs["db"] == 2
    unix = redis.ConnectionPool(lambda_(), connection_class=bare.UnixDomainSocketConnection, path="/run/redis.sock")
    assert redis.peer(unix.make_connection()) == "/run/redis.sock"


def test_keepalive_is_given_to_sockets() -> None:
    with running(RedisServer()) as server:
        pool = redis.ConnectionPool(in_region(), host="127.0.0.1", port=server.port)
        connection = pool.get_connection()
        assert connection._get_socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        pool.release(connection)
        pool.close()


def test_a_command_whose_connection_broke_is_not_sent_again() -> None:
    """By redis-py's default it would be, ten times."""
    with running(RudeServer()) as server:
        client = bare.Redis.from_pool(redis.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port))
        died = counters()["died"]
        with pytest.raises(bare.ConnectionError):
            client.incr("once")
        assert server.seen["once"] == 1
        assert counters()["died"] == died + 1, "what its connection died of is learned from"
        client.close()


async def test_a_command_of_asyncio_whose_connection_broke_is_not_sent_again() -> None:
    with running(RudeServer()) as server:
        client = bare_asyncio.Redis.from_pool(redis_asyncio.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port))
        with pytest.raises(bare.ConnectionError):
            await client.incr("once")
        assert server.seen["once"] == 1
        await client.aclose()


def test_retries_that_somebody_gives_are_kept() -> None:
    with running(RudeServer()) as server:
        chosen = bare.retry.Retry(bare.backoff.NoBackoff(), 2)
        client = bare.Redis.from_pool(redis.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port, retry=chosen))
        with pytest.raises(bare.ConnectionError):
            client.incr("thrice")
        assert server.seen["thrice"] == 3
        client.close()


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def test_connecting_is_tried_again(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []
    monkeypatch.setattr(time, "sleep", attempts.append)
    with pytest.raises(bare.ConnectionError):
        redis.ConnectionPool(lambda_(), port=closed_port, host="127.0.0.1").get_connection()
    assert attempts == [0.05, 0.1]
    attempts.clear()
    with pytest.raises(bare.ConnectionError):
        redis.ConnectionPool(lambda_().replace(retries=NO_RETRIES), port=closed_port, host="127.0.0.1").get_connection()
    assert attempts == []


def test_an_answer_that_does_not_come_ends_with_the_invocation(clocks: Clocks) -> None:
    """On a connection that was opened before; and the next invocation has its own time."""
    with running(RudeServer()) as server:
        pool = redis.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port)
        client = bare.Redis.from_pool(pool)
        client.get("before")
        set_for_process(0.2)
        began = time.perf_counter()
        with pytest.raises(bare.TimeoutError):
            client.incr("slow")
        assert time.perf_counter() - began < 5.0
        set_for_process(None)
        client.get("after")
        [connection] = pool._available_connections
        assert connection._get_socket().gettimeout() == 10.0
        client.close()


def test_a_thread_waits_for_a_place_no_longer_than_the_invocation(clocks: Clocks) -> None:
    with running(RedisServer()) as server:
        pool = redis.BlockingConnectionPool(lambda_().replace(connections_per_host=1), host="127.0.0.1", port=server.port)
        held = pool.get_connection()
        set_for_process(0.1)
        began = time.perf_counter()
        with pytest.raises(bare.ConnectionError):
            pool.get_connection()
        assert time.perf_counter() - began < 4.0
        set_for_process(None)
        pool.release(held)
        pool.disconnect()


def test_threads_share_a_pool_that_blocks_over_a_thaw(clocks: Clocks) -> None:
    with running(RedisServer()) as server:
        proxy = FateProxy("127.0.0.1", server.port)
        pool = redis.BlockingConnectionPool(lambda_().replace(connections_per_host=3), host="127.0.0.1", port=proxy.port)
        client = bare.Redis.from_pool(pool)
        client.get("before")
        proxy.freeze("lost")
        clocks.pass_(10.0)
        mark_invocation()
        threads = [threading.Thread(target=client.incr, args=(f"t{number}",)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(server.seen[f"t{number}"] == 1 for number in range(12))
        assert proxy.accepted <= 1 + 3
        client.close()
        proxy.close()


def test_a_client_of_asyncio_goes_on_in_another_loop() -> None:
    """A handler that calls `asyncio.run` closes its loop, with the connections in it."""
    with running(RedisServer()) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Python's, about the transport that went with its loop
        client = bare_asyncio.Redis.from_pool(redis_asyncio.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port))

        async def handler(tag: str) -> None:
            assert await client.incr(tag) == 1

        asyncio.run(handler("first"))
        asyncio.run(handler("second"))

        async def last() -> None:
            await handler("third")
            await client.aclose()

        asyncio.run(last())
        assert server.seen == {"first": 1, "second": 1, "third": 1}
        assert server.accepted == 3
        gc.collect()


async def test_a_task_that_is_cancelled_while_its_connection_is_asked_leaves_its_place(clocks: Clocks, patient: None) -> None:
    with running(RedisServer()) as server:
        proxy = FateProxy("127.0.0.1", server.port)
        configuration = lambda_().replace(connections_per_host=1, probe_timeout=5.0)
        pool = redis_asyncio.ConnectionPool(configuration, host="127.0.0.1", port=proxy.port)
        client = bare_asyncio.Redis.from_pool(pool)
        await client.get("before")
        proxy.freeze("blackhole")
        clocks.pass_(10.0)
        mark_invocation()
        task = asyncio.get_running_loop().create_task(client.incr("cancelled"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.incr("next")
        assert server.seen == {"before": 1, "next": 1}
        await client.aclose()
        proxy.close()


def test_pubsub_reads_on_after_a_freeze(clocks: Clocks) -> None:
    """A connection that is held is not in the pool, and a message that waits on it is no end."""
    with running(PublishingServer()) as server:
        client = bare.Redis.from_pool(redis.ConnectionPool(lambda_(), host="127.0.0.1", port=server.port, protocol=2))
        subscriber = client.pubsub()
        subscriber.subscribe("news")
        assert _message(subscriber)["type"] == "subscribe"
        clocks.pass_(10.0)
        mark_invocation()
        assert _message(subscriber)["data"] == b"hello"
        assert server.accepted == 1
        subscriber.close()
        client.close()


def _message(subscriber: bare.client.PubSub) -> dict[str, object]:
    message = subscriber.get_message(timeout=2.0)
    assert message is not None
    return message


class PublishingServer(RedisServer):
    def _answer(self, name: str, *arguments: str) -> bytes:
        if name == "SUBSCRIBE":
            return b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
        return super()._answer(name, *arguments)


def test_a_version_that_is_not_known_is_refused() -> None:
    with pytest.raises(UnknownClient, match=r"redis from 7.0 to below 9, and this is 9.0.0b1"):
        known("redis", "9.0.0b1", redis.VERSIONS)
    with pytest.raises(UnknownClient, match=r"no CountingServer.nothing"):
        known("redis", "8.1.0", redis.VERSIONS, [(CountingServer, "nothing")])
    known("redis", "8.99", redis.VERSIONS)
