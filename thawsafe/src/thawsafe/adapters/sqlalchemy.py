"""SQLAlchemy: engines whose connections are judged when they are taken out of the pool.

    from thawsafe.adapters import sqlalchemy
    engine = sqlalchemy.create_engine("postgresql+psycopg://app@db.internal/app")       # or, with an engine of your own:
    sqlalchemy.protect(engine)                                                          # AsyncEngine too

What SQLAlchemy does itself: nothing at checkout, unless it is given `pool_pre_ping=True`, which costs a round trip every time, waits for ever
on a black hole, and throws the whole pool away for one dead connection. `pool_recycle` counts from connecting, not from the last use.

Here the pool's events say when a connection is taken and given back. One that was idle over a freeze answers a question that is bounded in
time, where the driver can do that: psycopg (sync and asyncio) an empty query, asyncpg `SELECT 1`. Of other drivers it is not used again. A
connection that is not used again is closed, and SQLAlchemy opens another in its place, as it does for any listener that raises
DisconnectionError. With `pool_pre_ping` a connection is judged before that ping, unless the engine was given a `creator`. Nothing private is used.
SQLite and DuckDB are left alone: they open files, and an in-memory database would be lost.

Of the configuration, `connections` counts for nothing (an engine has one host), nor do `retries` (SQLAlchemy connects once); how long a query
takes is limited by asyncpg's `command_timeout` or the server's `statement_timeout`. Inside an invocation, connecting ends with it.
"""

from __future__ import annotations

import asyncio
import functools
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc, util
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.engine.url import URL
from sqlalchemy.pool import Pool

from .._core.configurations import Configuration
from .._core.limits import finite, whole
from .._core.lives import Life
from .._runtime.deadline import time_left
from .._runtime.guard import Guard
from .._runtime.sockets import is_readable
from .._runtime.watch import WATCH
from ._clients import connect_within, detected, known

__all__ = ["create_async_engine", "create_engine", "install", "protect", "uninstall"]

DISTRIBUTION, MODULE = "SQLAlchemy", "sqlalchemy"
VERSIONS = ("2.0", "2.2")
"""The first version that is known, and the first that is not."""
known(DISTRIBUTION, sqlalchemy.__version__, VERSIONS)

WITHOUT_NETWORK = frozenset({"sqlite", "sqlite3", "aiosqlite", "sqlcipher3", "duckdb"})
"""Databases, and modules of their drivers, whose connections are open files, or memory that ends with them."""
LONGEST_WAIT = 30 * 86400.0
"""Seconds. UNLIMITED for SQLAlchemy's pools, whose threads cannot wait longer than a lock can."""

_await: Callable[[Awaitable[bool]], bool] = getattr(util, "await_", None) or util.await_only


class _Line:
    """What is kept of a driver's connection, and what can be asked of it."""

    def __init__(self, connection: Any, took: float, guard: Guard) -> None:
        loop = asyncio.get_running_loop() if self.is_async else None
        self.connection = connection
        self.life: Life = guard.opened(self.peer(), took, loop)

    is_async = False

    def peer(self) -> str:
        return type(self.connection).__module__.partition(".")[0]

    def usable(self, guard: Guard) -> bool:
        return guard.usable(self.life, self.has_ended)

    def has_ended(self) -> bool:
        fileno = getattr(self.connection, "fileno", None)
        try:
            return fileno is not None and is_readable(fileno())
        except Exception:  # noqa: BLE001 - drivers have their own errors for a closed connection
            return True

    def terminate(self) -> None:
        """Before SQLAlchemy closes it, which could wait for an answer."""


class _Psycopg(_Line):
    def peer(self) -> str:
        return f"{self.connection.info.host}:{self.connection.info.port}"

    def has_ended(self) -> bool:
        from ._postgres import has_ended

        return has_ended(self.connection.pgconn)

    def usable(self, guard: Guard) -> bool:
        from ._postgres import answers

        return guard.usable(self.life, self.has_ended, lambda timeout: answers(self.connection.pgconn, timeout))


class _AsyncPsycopg(_Psycopg):
    is_async = True

    def usable(self, guard: Guard) -> bool:
        from ._postgres import answers_async

        return _await(guard.usable_async(self.life, self.has_ended, lambda _: answers_async(self.connection.pgconn)))


class _Asyncpg(_Line):
    is_async = True

    def peer(self) -> str:
        from ._asyncpg import peer

        return peer(self.connection)

    def has_ended(self) -> bool:
        from ._asyncpg import has_ended

        return has_ended(self.connection)

    def usable(self, guard: Guard) -> bool:
        from ._asyncpg import answers

        return _await(guard.usable_async(self.life, self.has_ended, lambda timeout: answers(self.connection, timeout)))

    def terminate(self) -> None:
        self.connection.terminate()  # its `close` waits for the server


def _line(connection: Any, took: float, guard: Guard) -> _Line | None:
    """What to keep of a driver's connection; None for one without a network."""
    driver = type(connection).__module__.partition(".")[0]
    if driver in WITHOUT_NETWORK:
        return None
    if driver == "psycopg":
        return (_AsyncPsycopg if hasattr(connection, "__aenter__") else _Psycopg)(connection, took, guard)
    return (_Asyncpg if driver == "asyncpg" else _Line)(connection, took, guard)


def _connect_in_task(left: float, connect: Callable[[], Any]) -> Any:
    """As `connect_within`, for a driver of asyncio, whose waiting SQLAlchemy hides: the task is interrupted when the time is over."""
    task = asyncio.current_task()
    assert task is not None  # SQLAlchemy has one for every connect
    over = False

    def interrupt() -> None:
        nonlocal over
        over = True
        task.cancel()

    alarm = asyncio.get_running_loop().call_later(left, interrupt)
    try:
        return connect()
    except asyncio.CancelledError:
        if not over:
            raise
        if hasattr(task, "uncancel"):  # Python 3.11
            task.uncancel()
        raise TimeoutError(f"no connection within the {left:.2f} s that were left of the invocation") from None
    finally:
        alarm.cancel()


class _Listeners:
    """The pool's events of one engine, or of all."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._lines: weakref.WeakValueDictionary[int, _Line] = weakref.WeakValueDictionary()
        """By the identity of the driver's connection, which the line keeps: all that a dialect has when it is to ping."""
        self._pinging: weakref.WeakSet[Any] = weakref.WeakSet()
        """Dialects whose `do_ping` was replaced."""

    def connect(self, _connection: Any, record: Any) -> None:
        """A connection was opened, or reconnected in its place, and SQLAlchemy has asked what it asks first."""
        took = max(time.time() - getattr(record, "starttime", time.time()), 0.0)
        line = record.info["thawsafe"] = _line(record.driver_connection, took, self.guard)
        if line is not None:
            self._lines[id(line.connection)] = line

    def checkout(self, _connection: Any, record: Any, proxy: Any) -> None:
        """A connection is taken. Raises DisconnectionError, SQLAlchemy's sign for a reconnect, when it is not used again."""
        line: _Line | None = record.info.get("thawsafe")
        if line is None:
            if "thawsafe" not in record.info:
                self.connect(_connection, record)  # opened before anybody listened
            return
        life = line.life
        here = life.loop is None or life.loop is asyncio.get_running_loop()
        if here and life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall:
            return
        if not here:
            self._drop(record, proxy, "it belongs to another event loop")
        if life.opened.era.forks != WATCH.era.forks:
            self._drop(record, proxy, "it belongs to the parent process")
        self._judge(line)

    def _judge(self, line: _Line) -> None:
        if not line.usable(self.guard):
            line.terminate()
            raise exc.DisconnectionError(f"the connection to {line.life.peer} may not live any more")

    def judge_before_pings(self, dialect: Any) -> None:
        """With `pool_pre_ping`, SQLAlchemy pings before it says that a connection is taken, and waits for ever on a black hole."""
        if "do_ping" in vars(dialect):
            return
        ping = dialect.do_ping

        def do_ping(connection: Any) -> bool:
            line = self._lines.get(id(dialect.get_driver_connection(connection)))
            if line is not None:
                life = line.life
                if life.opened.era.forks != WATCH.era.forks or not (life.loop is None or life.loop is asyncio.get_running_loop()):
                    return True  # it must not be used here at all, and `checkout` drops it
                self._judge(line)
            answered: bool = ping(connection)
            return answered

        dialect.do_ping = do_ping
        self._pinging.add(dialect)

    def _drop(self, record: Any, proxy: Any, reason: str) -> None:
        """Leave a connection that must not be closed from here: as in SQLAlchemy's FAQ on pools and fork."""
        life: Life = record.info["thawsafe"].life
        self.guard.usable(life, lambda: True)  # to have it counted
        record.dbapi_connection = proxy.dbapi_connection = None
        raise exc.DisconnectionError(f"the connection to {life.peer} is not used: {reason}")

    def checkin(self, connection: Any, record: Any) -> None:
        """A connection comes back; without it, when it broke."""
        line: _Line | None = record.info.get("thawsafe")
        if line is not None and connection is not None:
            life = line.life
            life.used = WATCH.monotonic()
            if life.judged:
                life.proved()

    def invalidate(self, _connection: Any, record: Any, error: BaseException | None) -> None:
        """A connection broke in use, or was judged."""
        line: _Line | None = record.info.get("thawsafe")
        if line is not None and error is not None and not isinstance(error, (exc.DisconnectionError, TimeoutError)):
            self.guard.failed(line.life)

    def do_connect(self, dialect: Any, _record: Any, cargs: Any, cparams: dict[str, Any]) -> Any:
        """Connecting ends with the invocation. None: SQLAlchemy connects, as always."""
        if dialect.name in WITHOUT_NETWORK:
            return None
        self.judge_before_pings(dialect)
        left = time_left()
        if left is None:
            return None
        connect = functools.partial(dialect.connect, *cargs, **cparams)
        try:
            return _connect_in_task(left, connect) if dialect.is_async else connect_within(left, connect, lambda late: late.close())
        except TimeoutError as error:
            raise dialect.loaded_dbapi.OperationalError(str(error)) from None

    def listen(self, engine: Any) -> None:
        """To one engine and its pool, or to the classes of them."""
        for owner, name in self._places(engine):
            event.listen(owner, name, getattr(self, name))

    def leave(self, engine: Any) -> None:
        for owner, name in self._places(engine):
            event.remove(owner, name, getattr(self, name))
        while self._pinging:
            del self._pinging.pop().do_ping  # the one of its class shows again

    @staticmethod
    def _places(engine: Any) -> list[tuple[Any, str]]:
        pool = Pool if engine is Engine else engine
        return [(pool, name) for name in ("connect", "checkout", "checkin", "invalidate")] + [(engine, "do_connect")]


def protect(engine: Any, configuration: Configuration | None = None) -> Guard:
    """Judge the connections of an engine, sync or asyncio. Returns what judges them.

    configuration: the limits; None for `thawsafe.detect()` with an idle age of 240 s. Connections that the engine holds are adopted.
    Raises TypeError for what is no engine, and ValueError for an engine without a network.
    """
    engine = getattr(engine, "sync_engine", engine)
    if not isinstance(engine, Engine):
        raise TypeError(f"{engine!r} is no engine of SQLAlchemy. Give an Engine or an AsyncEngine.")
    if engine.dialect.name in WITHOUT_NETWORK:
        raise ValueError(f"{engine!r} opens files, not connections: there is nothing to judge.")
    guard = Guard("sqlalchemy", configuration or detected())
    listeners = _Listeners(guard)
    listeners.listen(engine)
    listeners.judge_before_pings(engine.dialect)
    return guard


def create_engine(url: str | URL, configuration: Configuration | None = None, **options: Any) -> Engine:
    """SQLAlchemy's `create_engine` with judged connections and a configuration's limits.

    configuration: as for `protect`. Everything else is SQLAlchemy's, and goes before it; so does what the URL says.
    """
    configuration = configuration or detected()
    engine = sqlalchemy.create_engine(url, **_options(make_url(url), configuration, options))
    protect(engine, configuration)
    return engine


def create_async_engine(url: str | URL, configuration: Configuration | None = None, **options: Any) -> Any:
    """SQLAlchemy's `create_async_engine`; see `create_engine`. Returns an AsyncEngine."""
    from sqlalchemy.ext.asyncio import create_async_engine as create

    configuration = configuration or detected()
    engine = create(url, **_options(make_url(url), configuration, options))
    protect(engine, configuration)
    return engine


def _options(url: URL, configuration: Configuration, given: dict[str, Any]) -> dict[str, Any]:
    """A configuration as an engine's arguments. For its pools, SQLAlchemy's 0 is no limit of connections."""
    ours = {name: value for name, value in _connect_args(url, configuration).items() if name not in url.query}
    pool: dict[str, Any] = {}
    if "poolclass" not in given and "pool" not in given:
        pool = {
            "pool_size": whole(configuration.connections_per_host) or 0,
            "max_overflow": 0,
            "pool_timeout": min(configuration.request_timeout, LONGEST_WAIT),
            "pool_use_lifo": True,  # those that are not needed grow old, and the others stay warm
        }
    return pool | given | {"connect_args": ours | given.get("connect_args", {})}


def _connect_args(url: URL, configuration: Configuration) -> dict[str, Any]:
    driver = url.get_dialect().driver
    connect = configuration.connect_timeout + configuration.tls_timeout
    if driver in ("psycopg", "psycopg_async"):
        from ._postgres import limits

        return limits(configuration)
    if driver == "asyncpg":
        return {"timeout": finite(connect), "command_timeout": finite(configuration.request_timeout)}
    if driver in ("psycopg2", "pymysql", "mysqldb", "aiomysql", "asyncmy") and finite(connect) is not None:
        return {"connect_timeout": max(2, round(connect))}
    return {}


_installed: list[_Listeners] = []


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every engine but those without a network. Says what it did; twice is once."""
    if _installed:
        return []
    listeners = _Listeners(Guard("sqlalchemy", configuration))
    listeners.listen(Engine)
    _installed.append(listeners)
    return [
        "sqlalchemy: connections of engines are judged when they are taken from their pool, through its events; SQLite's are left alone."
    ]


def uninstall() -> None:
    """Undo `install`, for tests."""
    while _installed:
        _installed.pop().leave(Engine)
