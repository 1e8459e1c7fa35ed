from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from typing import Any

import psycopg
import psycopg_pool as bare
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.thawsafe.fate_proxy import FATES, Fate, FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.postgres import PostgresServer
from thawsafe import UNLIMITED, counters, in_region, install, lambda_
from thawsafe._install.installer import uninstall
from thawsafe._runtime.deadline import set_for_process
from thawsafe.adapters import psycopg_pool
from thawsafe.adapters._postgres import limits


def conninfo(proxy: FateProxy) -> str:
    return f"host=127.0.0.1 port={proxy.port} user=u dbname=d"


def seen(connection: psycopg.Connection, tag: str) -> None:
    assert connection.execute("SELECT seen(%s)", (tag,)).fetchone() == (tag,)


def test_a_configuration_becomes_a_pools_options() -> None:
    pool = psycopg_pool.ConnectionPool(lambda_(), "host=db", open=False)
    assert (pool.min_size, pool.max_size, pool.timeout, pool.max_idle, pool.max_lifetime) == (0, 10, 10.0, 50.0, 900.0)
    assert psycopg_pool.ConnectionPool(lambda_(), min_size=20, open=False).max_size == 20
    unlimited = lambda_().replace(connections_per_host=UNLIMITED, idle_age=UNLIMITED)
    assert psycopg_pool.ConnectionPool(unlimited, open=False).max_size == 10_000
    default = psycopg_pool.ConnectionPool(conninfo="host=db", open=False)
    assert default.guard.configuration.idle_age == 240.0, "no load balancer with its 60 s stands before a database"


def test_a_configuration_becomes_libpqs_parameters() -> None:
    assert limits(lambda_()) == {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives": 0}
    assert limits(in_region())["keepalives_idle"] == 60
    unlimited = lambda_().replace(connect_timeout=UNLIMITED, request_timeout=UNLIMITED)
    assert limits(unlimited) == {"connect_timeout": 0, "keepalives": 0}


def test_what_a_conninfo_says_goes_first() -> None:
    pool = psycopg_pool.ConnectionPool(lambda_(), "host=db connect_timeout=30", open=False)
    assert isinstance(pool.conninfo, str)
    said = conninfo_to_dict(pool.conninfo)
    assert (said["connect_timeout"], said["tcp_user_timeout"], said["host"]) == ("30", "10000", "db")
    later = psycopg_pool.ConnectionPool(lambda_(), lambda: "host=later", open=False)
    assert callable(later.conninfo)
    assert conninfo_to_dict(later.conninfo())["connect_timeout"] == "5"  # type: ignore[arg-type] # no coroutine


def test_connections_that_are_all_dead_cost_one_new_one(proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    """With `check=`, psycopg asks one after the other, and sleeps for a second after the second dead one."""
    with psycopg_pool.ConnectionPool(lambda_(), conninfo(proxy), min_size=4, max_size=4) as pool:
        pool.wait(10.0)
        proxy.freeze("blackhole")
        clocks.pass_(10.0)
        mark_invocation()
        before = counters()
        with pool.connection() as connection:
            seen(connection, "thaw")
        assert counters()["discarded"] == before["discarded"] + 1
        assert proxy.accepted == 5
    assert server.seen["thaw"] == 1


def test_a_connection_that_was_opened_before_the_freeze_and_never_used_is_judged(proxy: FateProxy, clocks: Clocks) -> None:
    """Pools that are made in the init phase open their connections there."""
    with psycopg_pool.ConnectionPool(lambda_(), conninfo(proxy), min_size=1, max_size=1) as pool:
        pool.wait(10.0)
        proxy.freeze("lost")
        clocks.pass_(10.0)
        with pool.connection() as connection:
            seen(connection, "first")


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(
    "option", [{"check": bare.ConnectionPool.check_connection}, {"close_returns": True}], ids=lambda option: next(iter(option))
)
def test_options_of_the_pool_that_have_to_do_with_dead_connections(
    option: dict[str, Any], fate: Fate, proxy: FateProxy, server: PostgresServer, clocks: Clocks
) -> None:
    """`check` by itself waits for ever on a black hole, and with `close_returns` a connection that is closed goes back to the pool."""
    with psycopg_pool.ConnectionPool(lambda_(), conninfo(proxy), min_size=3, max_size=3, **option) as pool:
        pool.wait(10.0)
        proxy.freeze(fate)
        clocks.pass_(10.0)
        mark_invocation()
        for number in range(6):
            with pool.connection() as connection:
                seen(connection, f"t{number}")
        assert pool.get_stats()["pool_available"] <= 3
        assert proxy.accepted <= 6
    assert all(server.seen[f"t{number}"] == 1 for number in range(6))


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(
    "option", [{"check": bare.AsyncConnectionPool.check_connection}, {"close_returns": True}], ids=lambda option: next(iter(option))
)
async def test_options_of_the_pool_of_asyncio_that_have_to_do_with_dead_connections(
    option: dict[str, Any], fate: Fate, proxy: FateProxy, server: PostgresServer, clocks: Clocks
) -> None:
    async with psycopg_pool.AsyncConnectionPool(lambda_(), conninfo(proxy), min_size=3, max_size=3, open=False, **option) as pool:
        await pool.wait(10.0)
        proxy.freeze(fate)
        clocks.pass_(10.0)
        mark_invocation()
        for number in range(6):
            async with pool.connection() as connection:
                await connection.execute("SELECT seen(%s)", (f"t{number}",))
        assert pool.get_stats()["pool_available"] <= 3
        assert proxy.accepted <= 6
    assert all(server.seen[f"t{number}"] == 1 for number in range(6))


@pytest.mark.usefixtures("patient")
def test_a_question_leaves_no_transaction(proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    with psycopg_pool.ConnectionPool(lambda_(), conninfo(proxy), open=True) as pool:
        with pool.connection() as connection:
            seen(connection, "before")
        clocks.pass_(10.0)
        mark_invocation()
        with pool.connection() as connection:
            assert connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
            seen(connection, "after")
    assert server.probes == 1
    assert proxy.accepted == 1


def test_a_notification_is_taken_for_an_end_and_costs_a_connection_only(proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    with psycopg_pool.ConnectionPool(lambda_(), conninfo(proxy), open=True) as pool:
        with pool.connection() as connection:
            seen(connection, "before")
        server.notify()
        assert select.select([connection.fileno()], [], [], 2.0)[0], "it is on its way through the proxy"
        clocks.pass_(0.6)
        with pool.connection() as connection:
            seen(connection, "after")
    assert proxy.accepted == 2


def test_a_place_is_not_lost_when_no_other_connection_can_be_opened(proxy: FateProxy, clocks: Clocks) -> None:
    configuration = lambda_().replace(connections_per_host=1)
    with psycopg_pool.ConnectionPool(configuration, conninfo(proxy), open=True) as pool:
        with pool.connection() as connection:
            seen(connection, "before")
        proxy.freeze("lost")
        clocks.pass_(10.0)
        mark_invocation()
        proxy.deaf = True
        for _ in range(2):
            set_for_process(0.2)
            began = time.perf_counter()
            with pytest.raises(bare.PoolTimeout):
                pool.getconn()
            assert time.perf_counter() - began < 4.0
        proxy.close()  # so that nobody waits for it any longer


def test_a_child_process_has_a_pool_of_its_own(proxy: FateProxy, server: PostgresServer) -> None:
    """More connections than the parent had, too: psycopg's workers do not live there."""
    with psycopg_pool.ConnectionPool(lambda_(), conninfo(proxy), open=True) as pool:
        with pool.connection() as connection:
            seen(connection, "before")
        child = os.fork()
        if child == 0:
            try:
                with pool.connection() as one, pool.connection() as other:
                    seen(one, "one")
                    seen(other, "other")
            except BaseException:  # noqa: BLE001 - whatever it is, the child must end here
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        with pool.connection() as connection:
            seen(connection, "parent")
    assert os.waitstatus_to_exitcode(status) == 0
    assert server.seen == {"before": 1, "one": 1, "other": 1, "parent": 1}
    assert proxy.accepted == 3


def test_threads_of_a_child_process_renew_the_pool_once(proxy: FateProxy, server: PostgresServer) -> None:
    configuration = lambda_().replace(connections_per_host=3)
    with psycopg_pool.ConnectionPool(configuration, conninfo(proxy), min_size=2) as pool:
        pool.wait(10.0)
        child = os.fork()
        if child == 0:
            failed: list[object] = []

            def call(tag: str) -> None:
                try:
                    with pool.connection() as connection:
                        seen(connection, tag)
                except BaseException as error:  # noqa: BLE001 - whatever it is
                    failed.append(error)

            threads = [threading.Thread(target=call, args=(f"c{number}",)) for number in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            os._exit(len(failed) + 100 * (threading.active_count() > 5))
        _, status = os.waitpid(child, 0)
        with pool.connection() as connection:
            seen(connection, "parent")
    assert os.waitstatus_to_exitcode(status) == 0, "calls that failed, and 100 for threads of more than one renewal"
    assert all(server.seen[f"c{number}"] == 1 for number in range(12))
    assert proxy.accepted <= 2 + 3


def test_connecting_in_a_pool_that_keeps_nothing_ends_with_the_invocation(proxy: FateProxy, clocks: Clocks) -> None:
    """It connects where the caller waits, for at least 2 s, and has the timeout of the pool for that."""
    install(lambda_())
    try:
        with bare.NullConnectionPool(conninfo(proxy), open=False) as pool:
            with pool.connection() as connection:
                seen(connection, "well")
            proxy.deaf = True
            set_for_process(0.2)
            began = time.perf_counter()
            with pytest.raises(bare.PoolTimeout):
                pool.getconn()
            assert time.perf_counter() - began < 1.5
            proxy.close()  # so that nobody waits for it any longer
    finally:
        uninstall()


def test_threads_share_a_pool_over_a_thaw(proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    configuration = lambda_().replace(connections_per_host=3)
    with psycopg_pool.ConnectionPool(configuration, conninfo(proxy), open=True) as pool:

        def call(tag: str) -> None:
            with pool.connection() as connection:
                seen(connection, tag)

        call("before")
        proxy.freeze("lost")
        clocks.pass_(10.0)
        mark_invocation()
        threads = [threading.Thread(target=call, args=(f"t{number}",)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(server.seen[f"t{number}"] == 1 for number in range(12))
    assert proxy.accepted <= 1 + 3


async def test_a_task_that_is_cancelled_while_its_connection_is_asked_leaves_its_place(
    proxy: FateProxy, server: PostgresServer, clocks: Clocks, patient: None
) -> None:
    configuration = lambda_().replace(connections_per_host=1, probe_timeout=5.0)
    async with psycopg_pool.AsyncConnectionPool(configuration, conninfo(proxy), open=False) as pool:
        async with pool.connection():
            pass
        proxy.freeze("blackhole")
        clocks.pass_(10.0)
        mark_invocation()
        task = asyncio.get_running_loop().create_task(pool.getconn())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with pool.connection() as connection:
            await connection.execute("SELECT seen(%s)", ("next",))
    assert server.seen == {"next": 1}


def test_an_invocation_is_not_outlasted_by_a_connection_that_comes_late(proxy: FateProxy, clocks: Clocks) -> None:
    """The thread that opens it is left behind; what it gets, it closes."""
    from thawsafe.adapters._clients import connect_within

    closed = threading.Event()
    release = threading.Event()
    with pytest.raises(TimeoutError, match=r"0\.05 s that were left"):
        connect_within(0.05, lambda: release.wait(5), lambda _: closed.set())
    release.set()
    assert closed.wait(10)
    with pytest.raises(KeyError):
        connect_within(1.0, lambda: {}["error"], lambda _: None)
