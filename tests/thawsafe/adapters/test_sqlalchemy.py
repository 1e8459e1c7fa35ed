from __future__ import annotations

import os
import time

import pytest
import sqlalchemy as bare
from sqlalchemy import exc, text

from tests.thawsafe.fate_proxy import FATES, Fate, FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.postgres import PostgresServer
from thawsafe import UNLIMITED, counters, install, lambda_
from thawsafe._install.installer import uninstall
from thawsafe._runtime.deadline import set_for_process
from thawsafe.adapters import sqlalchemy

SEEN = text("SELECT seen(:tag)")


def url(proxy: FateProxy) -> str:
    return f"postgresql+psycopg://u@127.0.0.1:{proxy.port}/d"


def seen(engine: bare.Engine, tag: str) -> None:
    with engine.connect() as connection:
        assert connection.execute(SEEN, {"tag": tag}).scalar() == tag


def thaw(clocks: Clocks) -> None:
    clocks.pass_(10.0)
    mark_invocation()


def test_a_configuration_becomes_an_engines_options() -> None:
    address = bare.make_url("postgresql+psycopg://u@h/d?connect_timeout=30")
    options = sqlalchemy._options(address, lambda_(), {"pool_timeout": 3.0, "connect_args": {"keepalives": 1}})
    assert (options["pool_size"], options["max_overflow"], options["pool_timeout"]) == (10, 0, 3.0)
    assert options["connect_args"] == {"keepalives": 1, "tcp_user_timeout": 10_000}
    unlimited = sqlalchemy._options(address, lambda_().replace(connections_per_host=UNLIMITED), {})
    assert unlimited["pool_size"] == 0, "SQLAlchemy's word for no limit"
    asynchronous = sqlalchemy._options(bare.make_url("postgresql+asyncpg://u@h/d"), lambda_(), {"poolclass": bare.NullPool})
    assert asynchronous["connect_args"] == {"timeout": 5.0, "command_timeout": 10.0}
    assert "pool_size" not in asynchronous
    assert sqlalchemy._options(bare.make_url("postgresql+psycopg2://u@h/d"), lambda_(), {})["connect_args"] == {"connect_timeout": 5}


def test_an_engine_of_ones_own_is_protected_with_what_it_holds(proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    engine = bare.create_engine(url(proxy))
    seen(engine, "before")
    sqlalchemy.protect(engine, lambda_())
    seen(engine, "adopted")
    proxy.freeze("blackhole")
    thaw(clocks)
    began = time.perf_counter()
    seen(engine, "thaw")
    assert time.perf_counter() - began < 5.0
    assert proxy.accepted == 2
    engine.dispose()
    seen(engine, "of another pool")
    proxy.freeze("lost")
    thaw(clocks)
    seen(engine, "too")
    assert server.seen["too"] == 1
    engine.dispose()


@pytest.mark.parametrize("fate", FATES)
def test_a_connection_is_judged_before_it_is_pinged(fate: Fate, proxy: FateProxy, server: PostgresServer, clocks: Clocks) -> None:
    """`pool_pre_ping` by itself waits for ever on a black hole."""
    engine = sqlalchemy.create_engine(url(proxy), lambda_(), pool_pre_ping=True)
    with engine.connect(), engine.connect():
        pass
    proxy.freeze(fate)
    thaw(clocks)
    for number in range(3):
        seen(engine, f"t{number}")
    assert all(server.seen[f"t{number}"] == 1 for number in range(3))
    assert proxy.accepted <= 4
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("fate", FATES)
async def test_a_connection_of_asyncio_is_judged_before_it_is_pinged(
    fate: Fate, driver: str, proxy: FateProxy, server: PostgresServer, clocks: Clocks
) -> None:
    address = f"postgresql+{driver}://u@127.0.0.1:{proxy.port}/d" + ("?ssl=disable" if driver == "asyncpg" else "")
    engine = sqlalchemy.create_async_engine(address, lambda_(), pool_pre_ping=True)
    async with engine.connect() as connection:
        await connection.execute(SEEN, {"tag": "before"})
    proxy.freeze(fate)
    thaw(clocks)
    async with engine.connect() as connection:
        await connection.execute(SEEN, {"tag": "after"})
    assert server.seen["after"] == 1
    await engine.dispose()


def test_pings_are_put_back(proxy: FateProxy) -> None:
    install(lambda_())
    try:
        engine = bare.create_engine(url(proxy), pool_pre_ping=True)
        seen(engine, "installed")
        assert "do_ping" in vars(engine.dialect)
    finally:
        uninstall()
    assert "do_ping" not in vars(engine.dialect)
    engine.dispose()


@pytest.mark.usefixtures("patient")
def test_only_the_dead_connection_goes(proxy: FateProxy, clocks: Clocks) -> None:
    """`pool_pre_ping` throws all of them away."""
    engine = sqlalchemy.create_engine(url(proxy), lambda_())
    with engine.connect() as one, engine.connect() as other:
        one.execute(SEEN, {"tag": "one"})
        other.execute(SEEN, {"tag": "other"})
    proxy.freeze("survive")
    proxy._pairs[1].meet("lost")
    thaw(clocks)
    with engine.connect() as one, engine.connect() as other:
        one.execute(SEEN, {"tag": "one"})
        other.execute(SEEN, {"tag": "other"})
    assert proxy.accepted == 3
    engine.dispose()


def test_a_transaction_is_not_interrupted(proxy: FateProxy, clocks: Clocks) -> None:
    """A connection that is out is not judged."""
    engine = sqlalchemy.create_engine(url(proxy), lambda_())
    with engine.begin() as connection:
        connection.execute(SEEN, {"tag": "first"})
        thaw(clocks)
        connection.execute(SEEN, {"tag": "second"})
    assert proxy.accepted == 1
    engine.dispose()


def test_what_a_connection_died_of_in_use_is_counted(proxy: FateProxy, clocks: Clocks) -> None:
    engine = sqlalchemy.create_engine(url(proxy), lambda_())
    seen(engine, "before")
    died = counters()["died"]
    with engine.connect() as connection:
        proxy.freeze("lost")
        with pytest.raises(exc.OperationalError):
            connection.execute(SEEN, {"tag": "lost"})
    assert counters()["died"] == died + 1
    engine.dispose()


def test_connecting_ends_with_the_invocation(proxy: FateProxy, clocks: Clocks) -> None:
    """Psycopg itself gives up after 2 s at the earliest."""
    engine = sqlalchemy.create_engine(url(proxy), lambda_())
    proxy.deaf = True
    set_for_process(0.2)
    with pytest.raises(exc.OperationalError, match="left of the invocation"):
        seen(engine, "late")
    proxy.close()  # so that nobody waits for it any longer
    engine.dispose()


def test_a_child_does_not_say_goodbye_for_its_parent(proxy: FateProxy, server: PostgresServer) -> None:
    engine = sqlalchemy.create_engine(url(proxy), lambda_())
    seen(engine, "before")
    child = os.fork()
    if child == 0:
        try:
            seen(engine, "child")
        except BaseException:  # noqa: BLE001 - whatever it is, the child must end here
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    seen(engine, "parent")
    assert os.waitstatus_to_exitcode(status) == 0
    assert server.terminated == 0
    assert proxy.accepted == 2
    engine.dispose()


def test_what_has_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="opens files"):
        sqlalchemy.protect(bare.create_engine("sqlite://"))
    with pytest.raises(TypeError, match="no engine"):
        sqlalchemy.protect("postgresql://")


def test_a_driver_that_cannot_be_asked_is_not_trusted_after_a_freeze(clocks: Clocks) -> None:
    """Here one that thawsafe has never heard of."""

    class Connection:
        closed = False

        def close(self) -> None:
            self.closed = True

        def rollback(self) -> None: ...

    made: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection())
        return made[-1]

    engine = bare.create_engine("postgresql+psycopg://", creator=connect, poolclass=bare.QueuePool, _initialize=False)
    sqlalchemy.protect(engine, lambda_())
    engine.raw_connection().close()
    engine.raw_connection().close()
    assert len(made) == 1
    thaw(clocks)
    engine.raw_connection().close()
    assert len(made) == 2 and made[0].closed
    engine.dispose()
