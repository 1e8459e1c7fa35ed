"""psycopg_pool: pools whose connections are judged when they are taken out.

    from thawsafe.adapters.psycopg_pool import ConnectionPool
    pool = ConnectionPool(None, "host=db.internal dbname=app", open=True)

What psycopg_pool does itself: nothing at checkout, unless it is given `check=ConnectionPool.check_connection`, which costs a round trip every
time, waits for ever on a black hole, and after a second dead connection sleeps for a second before it looks at the next. Connections over
`max_idle` are closed by a scheduler thread, which a freeze starves; new ones are opened by worker threads.

Here a connection that was idle over a freeze answers an empty query, bounded in time, before it is used. One that does not is closed and
another opened in its place, without psycopg's workers. psycopg counts the time for connecting in whole seconds, at least 2, so inside an
invocation a thread connects, and is left behind when the invocation's time is over.

Used though private: `_connect` and `_getconn_unchecked` of pools, `_pool` of connections, and what of pools is renewed after a fork (see
`_renew`). Of the configuration, `connections` counts for nothing, since a pool has one host; `retries` is for connecting; how long a query
takes is limited by the server (`statement_timeout`).
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg_pool

from .._core.configurations import Configuration
from .._core.limits import whole
from .._core.lives import Life
from .._runtime.deadline import seconds_left, time_left, within_time_left
from .._runtime.guard import Guard
from .._runtime.watch import WATCH
from ._clients import Attempts, Patches, connect_within, detected, known
from ._postgres import answers, answers_async, has_ended, with_limits

if TYPE_CHECKING:
    _SyncPool = psycopg_pool.ConnectionPool[Any]
    _AsyncPool = psycopg_pool.AsyncConnectionPool[Any]
else:
    _SyncPool = psycopg_pool.ConnectionPool
    _AsyncPool = psycopg_pool.AsyncConnectionPool

__all__ = ["AsyncConnectionPool", "ConnectionPool", "install", "uninstall"]

DISTRIBUTION, MODULE = "psycopg-pool", "psycopg_pool"
VERSIONS = ("3.2", "3.4")
"""The first version that is known, and the first that is not."""
known(
    DISTRIBUTION,
    psycopg_pool.__version__,
    VERSIONS,
    [
        (pool, name)
        for pool in (psycopg_pool.ConnectionPool, psycopg_pool.AsyncConnectionPool)
        for name in ("_connect", "_getconn_unchecked")
    ],
)

LONGEST = 30 * 86400.0
"""Seconds. UNLIMITED for psycopg_pool, whose threads cannot wait longer than a lock can."""
MOST_CONNECTIONS = 10_000
"""UNLIMITED for psycopg_pool, which has no word for it."""


def _options(configuration: Configuration, given: dict[str, Any]) -> dict[str, Any]:
    """A configuration as a pool's arguments; what was given goes before it.

    No connection is opened that nobody asked for (`min_size`): a worker thread would do it, perhaps in the middle of a freeze.
    """
    per_host = whole(configuration.connections_per_host) or MOST_CONNECTIONS
    ours: dict[str, Any] = {
        "min_size": 0,
        "max_size": max(per_host, given.get("min_size", 0)),
        "timeout": min(configuration.request_timeout, LONGEST),
        "max_idle": min(configuration.idle_age, LONGEST),
        "max_lifetime": min(configuration.connection_age, LONGEST),
    }
    return ours | given


def _opened(pool: Any, connection: Any, took: float = 0.0) -> Life:
    info = connection.info
    life: Life = pool.guard.opened(f"{info.host}:{info.port}", took)
    connection.thawsafe = life
    return life


def _life(pool: Any, connection: Any) -> Life:
    """What is known about a connection; of one that was opened before `install`, only that it is there."""
    life: Life | None = getattr(connection, "thawsafe", None)
    return life if life is not None else _opened(pool, connection)


def _renew(pool: Any) -> None:
    """In another era, begin anew in a child process: there a pool's threads do not live, a lock may be held by one of them, and the connections are
    the parent's. They are dropped and not closed, which would say goodbye to the server in the parent's name.
    """
    with _renewing:
        if pool._sched_runner is not None and not pool._sched_runner.is_alive():  # it is open, and was opened in another process
            pool._lock = type(pool._lock)()
            pool._pool.clear()
            pool._waiting.clear()
            pool._workers.clear()
            pool._sched_runner = None
            pool._nconns = pool.min_size
            pool._growing = False
            pool._closed, pool._opened = True, False
            pool.open()
        pool.thawsafe_era = WATCH.era


_renewing = threading.Lock()
"""Threads of a child process come at the same time, and the first renews the pool for all."""


def _after_fork() -> None:
    global _renewing  # noqa: PLW0603 - there is one process
    _renewing = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


_RENEWED = ("_sched_runner", "_pool", "_waiting", "_workers", "_nconns", "_growing", "_closed", "_opened")


def _note(pool: Any, connection: Any) -> None:
    """A connection comes back."""
    if not connection.closed:
        pool.guard.used(_life(pool, connection))
    elif connection.broken:
        pool.guard.failed(_life(pool, connection))


def _usable(pool: Any, connection: Any) -> bool:
    guard: Guard = pool.guard
    life = _life(pool, connection)
    pgconn = connection.pgconn
    return guard.usable(life, lambda: has_ended(pgconn), lambda timeout: answers(pgconn, timeout))


def _closed(connection: Any) -> Any:
    """Closes a connection, which with `close_returns` would go back to its pool, and is to."""
    pool, connection._pool = connection._pool, None
    connection.close()
    connection._pool = pool
    return connection


def judged_getconn(getconn: Callable[..., Any]) -> Callable[..., Any]:
    """A pool class's `getconn` that waits no longer than the invocation lasts."""

    @functools.wraps(getconn)
    def limited(self: Any, timeout: float | None = None) -> Any:
        if self.thawsafe_era is not WATCH.era:
            _renew(self)
        limit: float = self.timeout if timeout is None else timeout
        if limit > seconds_left():
            limit = within_time_left(limit)  # type: ignore[assignment] # a number, as it is given one
        return getconn(self, limit)

    return limited


def judged_unchecked(getconn: Callable[..., Any], putconn: Callable[..., None]) -> Callable[..., Any]:
    """A pool class's `_getconn_unchecked` that judges what it hands out, before the pool's own `check`: that may wait for ever."""

    @functools.wraps(getconn)
    def judged(self: Any, timeout: float) -> Any:
        connection = getconn(self, timeout)
        life: Life | None = getattr(connection, "thawsafe", None)
        if life is None or not (life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall):
            while not _usable(self, connection):
                connection = another(self, connection)
        return connection

    def another(self: Any, connection: Any) -> Any:
        _closed(connection)
        attempts = Attempts(self.guard.configuration)
        while True:
            try:
                return connect_within(time_left(), self._connect, _closed)
            except TimeoutError as error:
                putconn(self, connection)  # its place must not be lost
                raise psycopg_pool.PoolTimeout(str(error)) from None
            except psycopg.OperationalError:
                if not attempts.another():
                    putconn(self, connection)
                    raise
            except BaseException:
                putconn(self, connection)
                raise
            time.sleep(attempts.pause)

    return judged


def judged_connect(connect: Callable[..., Any]) -> Callable[..., Any]:
    """A pool class's `_connect` that takes the time, and ends with the invocation where the caller waits: in a NullConnectionPool."""

    @functools.wraps(connect)
    def timed(self: Any, timeout: float | None = None) -> Any:
        began = time.perf_counter()
        if timeout is None:
            connection = connect(self)
        else:
            try:
                connection = connect_within(time_left(), functools.partial(connect, self, timeout), _closed)
            except TimeoutError as error:
                raise psycopg.errors.ConnectionTimeout(str(error)) from None
        _opened(self, connection, time.perf_counter() - began)
        return connection

    return timed


def judged_putconn(putconn: Callable[..., None]) -> Callable[..., None]:
    """A pool class's `putconn` that notes what comes back."""

    @functools.wraps(putconn)
    def noting(self: Any, conn: Any) -> None:
        life: Life | None = getattr(conn, "thawsafe", None)
        if life is None or life.judged or conn.closed:
            _note(self, conn)
        else:
            life.used = WATCH.monotonic()
        putconn(self, conn)

    return noting


async def _usable_async(pool: Any, connection: Any) -> bool:
    guard: Guard = pool.guard
    life = _life(pool, connection)
    pgconn = connection.pgconn
    return await guard.usable_async(life, lambda: has_ended(pgconn), lambda _: answers_async(pgconn))


async def _closed_async(connection: Any) -> Any:
    """As `_closed`, for asyncio."""
    pool, connection._pool = connection._pool, None
    await connection.close()
    connection._pool = pool
    return connection


def judged_getconn_async(getconn: Callable[..., Any]) -> Callable[..., Any]:
    """As `judged_getconn`, for asyncio."""

    @functools.wraps(getconn)
    def limited(self: Any, timeout: float | None = None) -> Any:
        limit: float = self.timeout if timeout is None else timeout
        if limit > seconds_left():
            limit = within_time_left(limit)  # type: ignore[assignment] # a number, as it is given one
        return getconn(self, limit)  # its coroutine, without another around it

    return limited


def judged_unchecked_async(getconn: Callable[..., Any], putconn: Callable[..., Any]) -> Callable[..., Any]:
    """As `judged_unchecked`, for asyncio."""

    @functools.wraps(getconn)
    async def judged(self: Any, timeout: float) -> Any:  # noqa: ASYNC109 - psycopg's
        connection = await getconn(self, timeout)
        life: Life | None = getattr(connection, "thawsafe", None)
        if life is not None and life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall:
            return connection
        try:
            while not await _usable_async(self, connection):
                await _closed_async(connection)
                connection = await another(self)
        except BaseException:
            await putconn(self, await _closed_async(connection))  # its place must not be lost; a worker opens another
            raise
        return connection

    async def another(self: Any) -> Any:
        attempts = Attempts(self.guard.configuration)
        while True:
            left = time_left()
            try:
                return await asyncio.wait_for(self._connect(), left)
            except asyncio.TimeoutError:  # noqa: UP041 - it is not Python's own before 3.11
                if left is None:
                    raise  # from the pool's `configure`
                raise psycopg_pool.PoolTimeout(f"no new connection within the {left:.2f} s that were left of the invocation") from None
            except psycopg.OperationalError:
                if not attempts.another():
                    raise
            await asyncio.sleep(attempts.pause)

    return judged


def judged_connect_async(connect: Callable[..., Any]) -> Callable[..., Any]:
    """As `judged_connect`, for asyncio."""

    @functools.wraps(connect)
    async def timed(self: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - psycopg's
        began = time.perf_counter()
        if timeout is None:
            connection = await connect(self)
        else:
            left = time_left()
            try:
                connection = await asyncio.wait_for(connect(self, timeout), left)
            except asyncio.TimeoutError:  # noqa: UP041 - as above
                if left is None:
                    raise
                raise psycopg.errors.ConnectionTimeout(f"no connection within the {left:.2f} s that were left of the invocation") from None
        _opened(self, connection, time.perf_counter() - began)
        return connection

    return timed


def judged_putconn_async(putconn: Callable[..., Any]) -> Callable[..., Any]:
    """As `judged_putconn`, for asyncio."""

    @functools.wraps(putconn)
    def noting(self: Any, conn: Any) -> Any:
        life: Life | None = getattr(conn, "thawsafe", None)
        if life is None or life.judged or conn.closed:
            _note(self, conn)
        else:
            life.used = WATCH.monotonic()
        return putconn(self, conn)  # its coroutine, without another around it

    return noting


class ConnectionPool(_SyncPool):
    """psycopg_pool's ConnectionPool with judged connections.

    configuration: the limits; None for `thawsafe.detect()` with an idle age of 240 s. Everything else is psycopg's, and goes before it, in
    `conninfo` too.
    """

    def __init__(self, configuration: Configuration | None = None, conninfo: Any = "", **options: Any) -> None:
        configuration = configuration or detected()
        self.guard = Guard("psycopg_pool", configuration)
        super().__init__(with_limits(configuration, conninfo), **_options(configuration, options))
        known(DISTRIBUTION, psycopg_pool.__version__, VERSIONS, [(self, name) for name in _RENEWED])

    thawsafe_era = None
    getconn = judged_getconn(_SyncPool.getconn)
    _getconn_unchecked = judged_unchecked(_SyncPool._getconn_unchecked, _SyncPool.putconn)
    putconn = judged_putconn(_SyncPool.putconn)
    _connect = judged_connect(_SyncPool._connect)


class AsyncConnectionPool(_AsyncPool):
    """psycopg_pool's AsyncConnectionPool with judged connections; see `ConnectionPool`."""

    def __init__(self, configuration: Configuration | None = None, conninfo: Any = "", **options: Any) -> None:
        configuration = configuration or detected()
        self.guard = Guard("psycopg_pool", configuration)
        super().__init__(with_limits(configuration, conninfo), **_options(configuration, options))

    getconn = judged_getconn_async(_AsyncPool.getconn)
    _getconn_unchecked = judged_unchecked_async(_AsyncPool._getconn_unchecked, _AsyncPool.putconn)
    putconn = judged_putconn_async(_AsyncPool.putconn)
    _connect = judged_connect_async(_AsyncPool._connect)


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every pool of psycopg_pool. Says what it did; twice is once."""
    if _patches:
        return []
    sync, asynchronous = psycopg_pool.ConnectionPool, psycopg_pool.AsyncConnectionPool
    for pool_class, get, unchecked, put, connect in (
        (sync, judged_getconn, judged_unchecked, judged_putconn, judged_connect),
        (asynchronous, judged_getconn_async, judged_unchecked_async, judged_putconn_async, judged_connect_async),
    ):
        original: Any = pool_class
        _patches.replace(original, "guard", Guard("psycopg_pool", configuration))
        _patches.replace(original, "thawsafe_era", None)
        _patches.replace(original, "getconn", get(original.getconn))
        _patches.replace(original, "_getconn_unchecked", unchecked(original._getconn_unchecked, original.putconn))
        _patches.replace(original, "putconn", put(original.putconn))
        _patches.replace(original, "_connect", connect(original._connect))
    return [
        "psycopg_pool: connections of pools, sync and asyncio, are judged when they are taken; after a freeze they answer an empty query first."
    ]


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
