"""pymongo: clients whose connections are judged when they are taken out of their pools.

    from thawsafe.adapters import pymongo
    client = pymongo.MongoClient("mongodb://db.internal/app")          # or pymongo.AsyncMongoClient

What PyMongo does itself: a connection that was idle for more than a second is looked at before it is used, which finds one whose end has
arrived, and one that was idle for longer than `maxIdleTimeMS` is closed; that has no default. One that the network has forgotten is used: a
read, and a write in a replica set, is then sent again, which the server can tell; any other write fails. Its monitors are threads, or tasks,
that ask each server every 10 s: after a freeze theirs fail as well, and then every connection of the client is closed, those in use too.

Here every connection is judged that PyMongo takes from a pool, its monitors' too: theirs get a new one after a freeze, others answer a ping
first, bounded in time. Monitors that keep a request waiting (`serverMonitoringMode` stream) cannot be judged: where freezes are unannounced
they poll, as PyMongo does by itself on Lambda.

PyMongo has no public place for this. Used though private: `_pool_class`, its parameter for deep customization; `_get_conn`, `_perished`,
`connect` and `checkin` of pools, and what of them says that a connection waits; `get_server_selection_timeout` of topologies; `apply_timeout`,
`set_conn_timeout` and `last_timeout` of connections; where there is one, `_retry_policy` of clients. Of the configuration, `connections` counts for
nothing (a pool has one host), nor does `keepalive` (PyMongo sets its own, 120 s); `retries` switches PyMongo's retries on or off.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pymongo
from pymongo import helpers_shared
from pymongo.asynchronous.pool import AsyncConnection
from pymongo.asynchronous.pool import Pool as AsyncPool
from pymongo.asynchronous.topology import Topology as AsyncTopology
from pymongo.synchronous.pool import Connection, Pool
from pymongo.synchronous.topology import Topology

from .._core.configurations import Configuration, NoRetries
from .._core.limits import finite, whole
from .._core.lives import Life
from .._runtime.deadline import LEAST, seconds_left, time_left
from .._runtime.guard import Guard
from .._runtime.sockets import is_readable
from .._runtime.watch import WATCH
from ._clients import Patches, detected, known

if TYPE_CHECKING:
    _MongoClient = pymongo.MongoClient[Any]
    _AsyncMongoClient = pymongo.AsyncMongoClient[Any]
else:
    _MongoClient = pymongo.MongoClient
    _AsyncMongoClient = pymongo.AsyncMongoClient

__all__ = ["AsyncMongoClient", "MongoClient", "install", "uninstall"]

DISTRIBUTION = MODULE = "pymongo"
VERSIONS = ("4.14", "4.21")
"""The first version that is known, and the first that is not."""
SLACK = 0.02
"""Seconds that a socket's timeout may be longer than what is left of the invocation: setting one is a system call."""
STEP = 0.5
"""Seconds between PyMongo's looks at the time while it waits for a server: so much longer than it is told it can take."""
_PARTS = [
    *((pool, name) for pool in (Pool, AsyncPool) for name in ("_get_conn", "_perished", "connect", "checkin")),
    *((connection, name) for connection in (Connection, AsyncConnection) for name in ("apply_timeout", "set_conn_timeout")),
]
known(
    DISTRIBUTION,
    pymongo.version,
    VERSIONS,
    [*_PARTS, *((topology, "get_server_selection_timeout") for topology in (Topology, AsyncTopology))],
)


class _Seen:
    """What is kept on a connection."""

    __slots__ = ("began", "life")

    def __init__(self, life: Life) -> None:
        self.life = life
        self.began = time.monotonic()
        """When it was taken out, or opened."""


def _opened(pool: Any, connection: Any, took: float) -> None:
    address = connection.address
    life = pool.guard.opened(f"{address[0]}:{address[1]}" if address[1] else str(address[0]), took)
    connection.thawsafe = _Seen(life)
    connection.__class__ = _judged_class(connection.__class__)


@functools.lru_cache(maxsize=16)
def _judged_class(connection_class: Any) -> type:
    """`connection_class` whose commands end with the invocation."""
    apply = connection_class.apply_timeout

    def limit(connection: Any, timeout: Any) -> Any:
        left = seconds_left()
        last = connection.last_timeout
        if (math.inf if last is None else last) > left + SLACK:
            connection.set_conn_timeout(left)
        return timeout

    # PyMongo's own, which sets the timeout of a command; reading its answer goes by that. Every command calls it, and passing on what a function
    # does not name costs as much as three calls (measured).
    if len(inspect.signature(apply).parameters) == 2:

        def apply_timeout(self: Any, cmd: Any) -> Any:
            return limit(self, apply(self, cmd))
    else:

        def apply_timeout(self: Any, client: Any, cmd: Any) -> Any:  # type: ignore[misc] # before 4.18
            return limit(self, apply(self, client, cmd))

    return type(connection_class.__name__, (connection_class,), {"apply_timeout": apply_timeout, "__module__": __name__})


async def _within(left: float, coroutine: Any) -> Any:
    with pymongo.timeout(left):
        return await coroutine


def _returned_closed(pool: Any, connection: Any, seen: _Seen) -> None:
    """It broke. After a timeout it is closed too, and that says nothing about its path."""
    if connection.opts.socket_timeout is None or time.monotonic() - seen.began < connection.opts.socket_timeout:
        pool.guard.failed(seen.life)


def judged(pool_class: Any) -> dict[str, Callable[..., Any]]:
    """What is replaced of PyMongo's pools."""
    get_conn, perished, connect, checkin = pool_class._get_conn, pool_class._perished, pool_class.connect, pool_class.checkin

    @functools.wraps(get_conn)
    def _get_conn(self: Any, began: float, handler: Any = None) -> Any:
        if self.is_sdam or (self.conns and self.requests < self.max_pool_size):
            return get_conn(self, began, handler)  # nobody has to wait; a monitor's pool is not the function's
        left = time_left()
        if left is None:
            return get_conn(self, began, handler)
        with pymongo.timeout(left):
            return get_conn(self, began, handler)

    @functools.wraps(perished)
    def _perished(self: Any, connection: Any) -> bool:
        seen: _Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None and not (
            (life := seen.life).era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall
        ):
            question = None if connection.is_sdam else functools.partial(_answers, connection)
            if not self.guard.usable(seen.life, connection.conn_closed, question):
                connection.close_conn("stale")
                return True
            seen.began = time.monotonic()
        return bool(perished(self, connection))

    @functools.wraps(connect)
    def connect_(self: Any, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        left = None if self.is_sdam else time_left()
        with pymongo.timeout(left) if left is not None else contextlib.nullcontext():
            connection = connect(self, *args, **kwargs)
        _opened(self, connection, time.perf_counter() - began)
        return connection

    @functools.wraps(checkin)
    def checkin_(self: Any, connection: Any) -> None:
        seen: _Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None:
            if connection.closed:
                _returned_closed(self, connection, seen)
            else:
                life = seen.life
                life.used = WATCH.monotonic()
                if life.judged:
                    life.proved()
        checkin(self, connection)

    return {"_get_conn": _get_conn, "_perished": _perished, "connect": connect_, "checkin": checkin_}


def _answers(connection: Any, timeout: float) -> bool:
    """After an error, a timeout too, PyMongo has closed the connection."""
    with pymongo.timeout(timeout):
        connection.set_conn_timeout(timeout)
        connection.command("admin", {"ping": 1}, publish_events=False)
    return True


def judged_async(pool_class: Any) -> dict[str, Callable[..., Any]]:
    """As `judged`, for asyncio."""
    get_conn, perished, connect, checkin = pool_class._get_conn, pool_class._perished, pool_class.connect, pool_class.checkin

    @functools.wraps(get_conn)
    def _get_conn(self: Any, began: float, handler: Any = None) -> Any:
        if self.is_sdam or (self.conns and self.requests < self.max_pool_size):
            return get_conn(self, began, handler)  # nobody has to wait; a monitor's pool is not the function's
        left = time_left()
        coroutine = get_conn(self, began, handler)
        return coroutine if left is None else _within(left, coroutine)

    @functools.wraps(perished)
    async def _perished(self: Any, connection: Any) -> bool:
        seen: _Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None and not (
            (life := seen.life).era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall
        ):
            question = None if connection.is_sdam else functools.partial(_answers_async, connection)
            if not await self.guard.usable_async(seen.life, functools.partial(_has_ended, connection), question):
                await connection.close_conn("stale")
                return True
            seen.began = time.monotonic()
        return bool(await perished(self, connection))

    @functools.wraps(connect)
    async def connect_(self: Any, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        left = None if self.is_sdam else time_left()
        with pymongo.timeout(left) if left is not None else contextlib.nullcontext():
            connection = await connect(self, *args, **kwargs)
        _opened(self, connection, time.perf_counter() - began)
        return connection

    @functools.wraps(checkin)
    def checkin_(self: Any, connection: Any) -> Any:
        seen: _Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None:
            if connection.closed:
                _returned_closed(self, connection, seen)
            else:
                life = seen.life
                life.used = WATCH.monotonic()
                if life.judged:
                    life.proved()
        return checkin(self, connection)

    return {"_get_conn": _get_conn, "_perished": _perished, "connect": connect_, "checkin": checkin_}


def _has_ended(connection: Any) -> bool:
    return bool(connection.conn_closed()) or is_readable(connection.conn.sock.fileno())


async def _answers_async(connection: Any, timeout: float) -> bool:  # noqa: ASYNC109 - PyMongo's own limit
    with pymongo.timeout(timeout):
        connection.set_conn_timeout(timeout)
        await connection.command("admin", {"ping": 1}, publish_events=False)
    return True


def _bounded(selection_timeout: Callable[[Any], float]) -> Callable[[Any], float]:
    """A topology's `get_server_selection_timeout`, inside the invocation; of clients whose connections are judged."""

    @functools.wraps(selection_timeout)
    def bounded(self: Any) -> float:
        own = selection_timeout(self)
        left = seconds_left()
        if own <= left - STEP or not hasattr(self._settings.pool_class, "guard"):
            return own
        return max(left - STEP, LEAST)

    return bounded


def _retried_inside(should_retry: Callable[..., bool]) -> Callable[..., bool]:
    """A client's `should_retry`: not when PyMongo would still be pausing at the invocation's end. `delay`, its last argument, is that pause."""

    @functools.wraps(should_retry)
    def bounded(*args: Any) -> bool:
        return args[-1] < seconds_left() and should_retry(*args)

    return bounded


def _bound_retries(client: Any) -> None:
    """Those of one client. Releases that pause before they try again have an object for that."""
    policy = getattr(client, "_retry_policy", None)
    if policy is not None and not _patches:
        policy.should_retry = _retried_inside(policy.should_retry)


_selection = Patches()


def _bound_selection() -> None:
    """PyMongo has no place for it but its topologies' classes. Clients that nobody judges select as they did."""
    if not _selection:
        for topology in (Topology, AsyncTopology):
            _selection.replace(topology, "get_server_selection_timeout", _bounded(topology.get_server_selection_timeout))


def _options(configuration: Configuration, host: Any, given: dict[str, Any]) -> dict[str, Any]:
    """A configuration as a client's options; what was given goes before it, in URIs too. PyMongo's 0 and None are no limit."""
    connect = configuration.connect_timeout + configuration.tls_timeout
    tried = not isinstance(configuration.retries, NoRetries)
    ours: dict[str, Any] = {
        "connectTimeoutMS": _milliseconds(connect),
        "serverSelectionTimeoutMS": _milliseconds(connect),
        "socketTimeoutMS": _milliseconds(configuration.request_timeout),
        "waitQueueTimeoutMS": _milliseconds(configuration.request_timeout),
        "maxIdleTimeMS": _milliseconds(configuration.idle_age),
        "maxPoolSize": whole(configuration.connections_per_host) or 0,
        "retryReads": tried,
        "retryWrites": tried,
    }
    if configuration.unannounced_freezes:
        ours["serverMonitoringMode"] = "poll"
    hosts = [host] if isinstance(host, str) else host or []
    said = {name.lower() for uri in hosts for name, _ in parse_qsl(str(uri).partition("?")[2])} | {name.lower() for name in given}
    return {name: value for name, value in ours.items() if name.lower() not in said and value is not None} | given


def _milliseconds(seconds: float) -> int | None:
    """None is PyMongo's default, which for most of these is no limit; a server is selected within 30 s."""
    return None if finite(seconds) is None else max(1, round(seconds * 1000))


class MongoClient(_MongoClient):
    """PyMongo's MongoClient with judged connections.

    configuration: the limits; None for `thawsafe.detect()` with an idle age of 240 s. Everything else is PyMongo's, and goes before it.
    """

    def __init__(self, host: Any = None, port: int | None = None, *, configuration: Configuration | None = None, **options: Any) -> None:
        configuration = configuration or detected()
        self.__dict__["guard"] = guard = Guard("pymongo", configuration)
        pool_class = type("JudgedPool", (Pool,), judged(Pool) | {"guard": guard})
        _bound_selection()
        super().__init__(host, port, _pool_class=pool_class, **_options(configuration, host, options))
        _bound_retries(self)


class AsyncMongoClient(_AsyncMongoClient):
    """PyMongo's AsyncMongoClient with judged connections; see `MongoClient`."""

    def __init__(self, host: Any = None, port: int | None = None, *, configuration: Configuration | None = None, **options: Any) -> None:
        configuration = configuration or detected()
        self.__dict__["guard"] = guard = Guard("pymongo", configuration)
        pool_class = type("JudgedPool", (AsyncPool,), judged_async(AsyncPool) | {"guard": guard})
        _bound_selection()
        super().__init__(host, port, _pool_class=pool_class, **_options(configuration, host, options))
        _bound_retries(self)


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every client of PyMongo. Says what it did; twice is once."""
    if _patches:
        return []
    guard = Guard("pymongo", configuration)
    for pool_class, changes in ((Pool, judged(Pool)), (AsyncPool, judged_async(AsyncPool))):
        for name, value in (changes | {"guard": guard}).items():
            _patches.replace(pool_class, name, value)
    _bound_selection()
    policy: Any = getattr(helpers_shared, "_RetryPolicy", None)
    if policy is not None:
        _patches.replace(policy, "should_retry", _retried_inside(policy.should_retry))
    return ["pymongo: connections of pools, sync and asyncio, are judged when they are taken; after a freeze they answer a ping first."]


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
    _selection.undo()
