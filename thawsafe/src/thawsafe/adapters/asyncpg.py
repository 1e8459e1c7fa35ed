"""asyncpg: pools whose connections are judged when they are acquired.

    from thawsafe.adapters import asyncpg
    async with asyncpg.create_pool(dsn="postgresql://app@db.internal/app") as pool: ...

What asyncpg does itself: it looks whether a connection is closed, which after a freeze it does not know yet, because the loop was frozen too;
and a timer closes what was idle for 300 s, which may run before the first acquire after a thaw, or after it.

Here the loop turns first, and a connection that was idle over a freeze answers `SELECT 1` within a bounded time before it is used. One that
does not is terminated, and another opened in its place.

Used though private: `_acquire`, `_get_new_connection` and `_queue` of pools, `_con` and `_holder` of what they hand out. Of the configuration,
`connections` counts for nothing, since a pool has one host; asyncpg has no option for TCP keepalive; `retries` is for connecting. A pool
belongs to the event loop that it was made in.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
import asyncpg.pool  # type: ignore[import-untyped]

from .._core.configurations import Configuration
from .._core.limits import finite, whole
from .._core.lives import Life
from .._runtime.deadline import time_left, within_time_left
from .._runtime.guard import Guard
from .._runtime.watch import WATCH
from ._asyncpg import answers, has_ended, peer
from ._clients import Attempts, Patches, detected, known

if TYPE_CHECKING:
    _Pool = object
else:
    _Pool = asyncpg.pool.Pool

__all__ = ["Pool", "create_pool", "install", "uninstall"]

DISTRIBUTION = MODULE = "asyncpg"
VERSIONS = ("0.30", "0.33")
"""The first version that is known, and the first that is not."""
known(DISTRIBUTION, asyncpg.__version__, VERSIONS, [(asyncpg.pool.Pool, name) for name in ("_acquire", "_get_new_connection", "_queue")])

MOST_CONNECTIONS = 10_000
"""UNLIMITED for asyncpg, whose pools make a place for each connection beforehand."""

ANOTHER_LOOP = (
    "This pool belongs to another event loop, so its connections cannot be used here. Make a pool in the loop that uses it: `asyncio.run` "
    "closes its loop, so keep one loop over the invocations, or make the pool in each."
)


@functools.lru_cache(maxsize=64)
def judged_class(connection_class: type) -> type:
    """`connection_class` with a place for what is known about a connection: asyncpg's own has none for anybody."""
    if hasattr(connection_class, "thawsafe"):
        return connection_class
    return type(f"Judged{connection_class.__name__}", (connection_class,), {"__slots__": ("thawsafe",), "__module__": __name__})


class _Stale(Exception):
    """A connection was terminated in place of being set up."""


async def _usable(guard: Guard, connection: Any, life: Life) -> bool:
    """May the connection be used? Else it is terminated, and asyncpg puts its place back."""
    usable = False
    try:
        usable = await guard.usable_async(life, functools.partial(has_ended, connection), functools.partial(answers, connection))
    finally:
        if not usable:
            connection.terminate()
    return usable


def judged_setup(setup: Callable[..., Any]) -> Callable[..., Any]:
    """A pool's `setup`, on a connection that was judged: asyncpg calls it with what it takes out, and it may wait for ever."""

    @functools.wraps(setup)
    async def judged(proxy: Any) -> None:
        life: Life | None = getattr(proxy._con, "thawsafe", None)
        if life is not None:
            if life.loop is not asyncio.get_running_loop():
                raise asyncpg.InterfaceError(ANOTHER_LOOP)
            if not await _usable(proxy._holder._pool.guard, proxy._con, life):
                raise _Stale
        await setup(proxy)

    return judged


def judged_acquire(acquire: Callable[..., Any]) -> Callable[..., Any]:
    """A pool class's `_acquire` that judges what it hands out."""

    @functools.wraps(acquire)
    async def judged(self: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's
        while True:
            # Only who has to wait gets a limit: a timer costs more than all the rest, and stays in the loop's heap until its time comes.
            queue = self._queue  # None before the pool is initialized
            try:
                proxy = await acquire(self, timeout if queue is not None and not queue.empty() else within_time_left(timeout))
            except _Stale:
                continue  # it was terminated, and its place is back
            connection = proxy._con  # which the proxy loses when it is closed
            life: Life | None = getattr(connection, "thawsafe", None)
            if life is None:
                return proxy
            if life.loop is not asyncio.get_running_loop():
                raise asyncpg.InterfaceError(ANOTHER_LOOP)
            if life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall:
                return proxy
            if await _usable(self.guard, connection, life):
                return proxy

    return judged


def judged_new(get_new_connection: Callable[..., Any]) -> Callable[..., Any]:
    """A pool class's `_get_new_connection` that takes the time, tries again, and ends with the invocation."""

    @functools.wraps(get_new_connection)
    async def judged(self: Any) -> Any:
        began = time.perf_counter()
        attempts: Attempts | None = None
        while True:
            try:
                connection = await asyncio.wait_for(get_new_connection(self), time_left())
                break
            except (asyncio.TimeoutError, OSError, asyncpg.CannotConnectNowError):  # noqa: UP041 - it is not Python's own before 3.11
                attempts = attempts or Attempts(self.guard.configuration)
                if not attempts.another():
                    raise
            await asyncio.sleep(attempts.pause)
        connection.thawsafe = self.guard.opened(peer(connection), time.perf_counter() - began, asyncio.get_running_loop())
        return connection

    return judged


def judged_release(release: Callable[..., Any]) -> Callable[..., Any]:
    """A pool class's `release` that notes what comes back."""

    @functools.wraps(release)
    def noting(self: Any, connection: Any, *, timeout: float | None = None) -> Any:
        own: Any = getattr(connection, "_con", None)  # None when it was released before
        life: Life | None = getattr(own, "thawsafe", None)
        if life is not None:
            if own.is_closed():
                self.guard.failed(life)
            else:
                life.used = WATCH.monotonic()
                if life.judged:
                    life.proved()
        return release(self, connection, timeout=timeout)

    return noting


class Pool(_Pool):
    """asyncpg's Pool with judged connections; made by `create_pool`."""

    def __init__(self, configuration: Configuration, *arguments: Any, **options: Any) -> None:
        self.guard = Guard("asyncpg", configuration)
        super().__init__(*arguments, **_judged_options(options))

    _acquire = judged_acquire(asyncpg.pool.Pool._acquire)
    _get_new_connection = judged_new(asyncpg.pool.Pool._get_new_connection)
    release = judged_release(asyncpg.pool.Pool.release)


def create_pool(configuration: Configuration | None = None, dsn: str | None = None, **options: Any) -> Pool:
    """Asyncpg's `create_pool` with judged connections: `await` it, or enter it with `async with`.

    configuration: the limits; None for `thawsafe.detect()` with an idle age of 240 s. Everything else is asyncpg's, and goes before it. No
    connection is opened before it is asked for, unless `min_size` is given.
    """
    configuration = configuration or detected()
    ours: dict[str, Any] = {
        "min_size": 0,
        "max_size": max(whole(configuration.connections_per_host) or MOST_CONNECTIONS, options.get("min_size", 0)),
        "max_queries": 50_000,  # asyncpg's own
        "max_inactive_connection_lifetime": finite(configuration.idle_age) or 0,  # its word for no limit
        "connection_class": asyncpg.Connection,
        "record_class": asyncpg.Record,
        "loop": None,
        "timeout": finite(configuration.connect_timeout + configuration.tls_timeout),
        "command_timeout": finite(configuration.request_timeout),
    }
    return Pool(configuration, dsn, **(ours | options))


def _judged_options(options: dict[str, Any]) -> dict[str, Any]:
    setup = options.get("setup")
    return options | {
        "connection_class": judged_class(options["connection_class"]),
        "setup": None if setup is None else judged_setup(setup),
    }


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every pool of asyncpg that is made from now on. Says what it did; twice is once."""
    if _patches:
        return []
    pool: Any = asyncpg.pool.Pool
    make = pool.__init__

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807 - what it is
        make(self, *args, **_judged_options(options))

    _patches.replace(pool, "guard", Guard("asyncpg", configuration))
    _patches.replace(pool, "__init__", __init__)
    _patches.replace(pool, "_acquire", judged_acquire(pool._acquire))
    _patches.replace(pool, "_get_new_connection", judged_new(pool._get_new_connection))
    _patches.replace(pool, "release", judged_release(pool.release))
    return ["asyncpg: connections of pools are judged when they are acquired; after a freeze they answer `SELECT 1` first."]


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
