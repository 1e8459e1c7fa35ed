"""`install` on bare clients of databases, caches and gRPC: they keep the contract without a line changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import asyncpg
import grpc
import grpc.aio
import psycopg_pool
import pymongo
import pytest
import redis
import redis.asyncio
import sqlalchemy

from tests.thawsafe.fate_proxy import FATES, Fate, FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.grpc import SERVICE, grpc_server
from tests.thawsafe.servers.mongo import MongoServer
from tests.thawsafe.servers.postgres import PostgresServer
from tests.thawsafe.servers.redis import RedisServer
from tests.thawsafe.servers.tcp import running
from thawsafe import install, lambda_
from thawsafe._install.installer import uninstall

Call = Callable[[str], object]
closing: list[Callable[[], object]] = []
"""What ends the clients of a test."""


@pytest.fixture
def installed() -> Iterator[None]:
    install(lambda_())
    yield
    while closing:
        closing.pop()()
    uninstall()


def with_redis(port: int) -> Call:
    client = redis.Redis(port=port)
    closing.append(client.close)
    return client.incr


def with_redis_asyncio(port: int) -> Call:
    loop = asyncio.new_event_loop()
    client = redis.asyncio.Redis(port=port)
    closing.extend([loop.close, lambda: loop.run_until_complete(client.aclose())])
    return lambda tag: loop.run_until_complete(client.incr(tag))


def with_grpc(port: int) -> Call:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    closing.append(channel.close)
    one = channel.unary_unary(f"/{SERVICE}/One")
    return lambda tag: one(tag.encode(), timeout=20.0)


def with_grpc_aio(port: int) -> Call:
    loop = asyncio.new_event_loop()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    one = channel.unary_unary(f"/{SERVICE}/One")
    closing.extend([loop.close, lambda: loop.run_until_complete(channel.close())])

    async def call(tag: str) -> None:
        await one(tag.encode(), timeout=20.0)

    return lambda tag: loop.run_until_complete(call(tag))


def with_psycopg_pool(port: int) -> Call:
    pool = psycopg_pool.ConnectionPool(f"host=127.0.0.1 port={port} user=u dbname=d", min_size=0, max_size=2, open=True)
    closing.append(pool.close)

    def call(tag: str) -> None:
        with pool.connection() as connection:
            connection.execute("SELECT seen(%s)", (tag,))

    return call


def with_psycopg_pool_async(port: int) -> Call:
    loop = asyncio.new_event_loop()
    pool = psycopg_pool.AsyncConnectionPool(f"host=127.0.0.1 port={port} user=u dbname=d", min_size=0, max_size=2, open=False)
    loop.run_until_complete(pool.open())
    closing.extend([loop.close, lambda: loop.run_until_complete(pool.close())])

    async def call(tag: str) -> None:
        async with pool.connection() as connection:
            await connection.execute("SELECT seen(%s)", (tag,))

    return lambda tag: loop.run_until_complete(call(tag))


def with_sqlalchemy(port: int) -> Call:
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://u@127.0.0.1:{port}/d")
    closing.append(engine.dispose)

    def call(tag: str) -> None:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT seen(:tag)"), {"tag": tag})

    return call


def with_asyncpg(port: int) -> Call:
    loop = asyncio.new_event_loop()

    async def open_pool() -> Any:
        return await asyncpg.create_pool(host="127.0.0.1", port=port, user="u", database="d", ssl=False, min_size=0)

    pool = loop.run_until_complete(open_pool())
    closing.extend([loop.close, lambda: loop.run_until_complete(asyncio.sleep(0)), pool.terminate])
    return lambda tag: loop.run_until_complete(pool.fetchval("SELECT seen($1)", tag))


def with_pymongo(port: int) -> Call:
    client: pymongo.MongoClient[dict[str, str]] = pymongo.MongoClient(f"mongodb://127.0.0.1:{port}/?loadBalanced=true&retryWrites=false")
    closing.append(client.close)
    return lambda tag: client["d"]["tags"].insert_one({"_id": tag})


SERVERS: dict[Callable[[int], Call], Callable[[], AbstractContextManager[Any]]] = {
    with_redis: lambda: running(RedisServer()),
    with_redis_asyncio: lambda: running(RedisServer()),
    with_grpc: grpc_server,
    with_grpc_aio: grpc_server,
    with_psycopg_pool: lambda: running(PostgresServer()),
    with_psycopg_pool_async: lambda: running(PostgresServer()),
    with_sqlalchemy: lambda: running(PostgresServer()),
    with_asyncpg: lambda: running(PostgresServer()),
    with_pymongo: lambda: running(MongoServer()),
}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("client", SERVERS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("fate", FATES)
def test_a_client_that_nobody_changed_survives_a_freeze(client: Callable[[int], Call], fate: Fate, clocks: Clocks) -> None:
    with SERVERS[client]() as server:
        proxy = FateProxy("127.0.0.1", server.port)
        call = client(proxy.port)
        call("first")
        proxy.freeze(fate)
        clocks.pass_(10.0)
        mark_invocation()

        call("thaw")

        assert server.seen["thaw"] == 1
        assert proxy.accepted <= 2
        while closing:
            closing.pop()()
        proxy.close()


@pytest.mark.usefixtures("installed")
def test_redis_keeps_the_retries_that_somebody_chose() -> None:
    chosen = redis.retry.Retry(redis.backoff.NoBackoff(), 3)
    assert redis.Redis(retry=chosen).get_retry() == chosen
    assert redis.Redis().connection_pool.connection_kwargs.get("retry") is None, "the default repeats INCR"


@pytest.mark.usefixtures("installed")
def test_sqlite_is_left_alone(clocks: Clocks) -> None:
    """An in-memory database ends with its connection."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE tags (tag TEXT)"))
    clocks.pass_(1000.0)
    mark_invocation()

    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT count(*) FROM tags")).scalar() == 0
    engine.dispose()


def test_everything_is_put_back() -> None:
    places = [
        (redis.ConnectionPool, "get_connection"),
        (redis.asyncio.ConnectionPool, "release"),
        (grpc, "insecure_channel"),
        (grpc.aio, "secure_channel"),
        (psycopg_pool.ConnectionPool, "getconn"),
        (asyncpg.pool.Pool, "_acquire"),
        (pymongo.synchronous.pool.Pool, "_perished"),
    ]
    before = [getattr(owner, name) for owner, name in places]
    install(lambda_())
    assert all(getattr(owner, name) is not original for (owner, name), original in zip(places, before, strict=True))
    uninstall()
    assert [getattr(owner, name) for owner, name in places] == before
