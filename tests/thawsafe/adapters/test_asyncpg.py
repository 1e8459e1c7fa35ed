from __future__ import annotations

import asyncio
import gc
import time
import warnings

import asyncpg as bare  # type: ignore[import-untyped]
import pytest

from tests.thawsafe.fate_proxy import FATES, Fate, FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.postgres import PostgresServer
from thawsafe import UNLIMITED, counters, lambda_
from thawsafe._runtime.deadline import set_for_process
from thawsafe.adapters import asyncpg


def dsn(proxy: FateProxy) -> str:
    return f"postgresql://u@127.0.0.1:{proxy.port}/d?sslmode=disable"


async def test_a_configuration_becomes_a_pools_options() -> None:
    pool = asyncpg.create_pool(lambda_(), "postgresql://u@db/d")
    assert (pool.get_min_size(), pool.get_max_size()) == (0, 10)
    assert (pool._connect_kwargs["timeout"], pool._connect_kwargs["command_timeout"]) == (5.0, 10.0)
    unlimited = lambda_().replace(connections_per_host=UNLIMITED, idle_age=UNLIMITED, request_timeout=UNLIMITED)
    pool = asyncpg.create_pool(unlimited, "postgresql://u@db/d", command_timeout=3.0)
    assert pool.get_max_size() == 10_000
    assert pool._max_inactive_connection_lifetime == 0
    assert pool._connect_kwargs["command_timeout"] == 3.0
    assert asyncpg.create_pool(lambda_(), min_size=20).get_max_size() == 20


async def test_connections_that_are_all_dead_are_not_asked_one_by_one(proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    async with asyncpg.create_pool(lambda_(), dsn(proxy), min_size=4, max_size=4) as pool:
        lives = [holder._con.thawsafe for holder in pool._holders]
        for life in lives:
            life.took = 0.2
        proxy.freeze("blackhole")
        clocks.pass_(10.0)
        mark_invocation()
        before = counters().get("discarded_probe_failed", 0)
        began = time.perf_counter()
        assert await pool.fetchval("SELECT seen($1)", "thaw") == "thaw"
        assert time.perf_counter() - began < 4.0
        assert counters()["discarded_probe_failed"] == before + 1
        pool.terminate()
    assert server.seen["thaw"] == 1


@pytest.mark.parametrize("fate", FATES)
async def test_a_connection_is_judged_before_it_is_set_up(fate: Fate, proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    """By itself asyncpg fails with `setup` on a dead connection, or waits for ever."""

    async def setup(connection: bare.Connection) -> None:
        await connection.fetchval("SELECT seen($1)", "set up")

    async with asyncpg.create_pool(lambda_(), dsn(proxy), min_size=2, max_size=2, setup=setup) as pool:
        proxy.freeze(fate)
        clocks.pass_(10.0)
        mark_invocation()
        for number in range(4):
            assert await pool.fetchval("SELECT seen($1)", f"t{number}") == f"t{number}"
        pool.terminate()
    assert server.seen == {"set up": 4, "t0": 1, "t1": 1, "t2": 1, "t3": 1}


async def test_a_connection_class_of_ones_own_is_kept(proxy: FateProxy) -> None:
    class Own(bare.Connection):  # type: ignore[misc]
        async def tagged(self) -> str:
            return str(await self.fetchval("SELECT seen($1)", "own"))

    async with asyncpg.create_pool(lambda_(), dsn(proxy), connection_class=Own) as pool, pool.acquire() as connection:
        assert await Own.tagged(connection) == "own"


async def test_a_task_that_is_cancelled_while_its_connection_is_asked_leaves_its_place(
    proxy: FateProxy, server: PostgresServer, clocks: Clocks, patient: None
) -> None:
    configuration = lambda_().replace(connections_per_host=1, probe_timeout=5.0)
    async with asyncpg.create_pool(configuration, dsn(proxy)) as pool:
        await pool.fetchval("SELECT 1")
        proxy.freeze("blackhole")
        clocks.pass_(10.0)
        mark_invocation()
        task = asyncio.get_running_loop().create_task(pool.fetchval("SELECT seen($1)", "cancelled"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pool.fetchval("SELECT seen($1)", "next") == "next"
        assert proxy.accepted == 2, "asyncpg opens another connection to cancel a query, which is of no use here"
    assert server.seen == {"next": 1}


async def test_a_task_waits_for_a_place_no_longer_than_the_invocation(proxy: FateProxy, clocks: Clocks) -> None:
    async with asyncpg.create_pool(lambda_().replace(connections_per_host=1), dsn(proxy)) as pool, pool.acquire():
        set_for_process(0.1)
        began = time.perf_counter()
        with pytest.raises(asyncio.TimeoutError):
            await pool.acquire()
        assert time.perf_counter() - began < 4.0


def test_a_pool_says_that_it_belongs_to_another_loop(proxy: FateProxy) -> None:
    async def handler(pool: asyncpg.Pool) -> None:
        assert await pool.fetchval("SELECT seen($1)", "tag") == "tag"

    async def open_and_use() -> asyncpg.Pool:
        pool: asyncpg.Pool = await asyncpg.create_pool(lambda_(), dsn(proxy))
        await handler(pool)
        return pool

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Python's, about the transport that went with its loop
        pool = asyncio.run(open_and_use())
        with pytest.raises(bare.InterfaceError, match="belongs to another event loop"):
            asyncio.run(handler(pool))
        del pool
        gc.collect()
