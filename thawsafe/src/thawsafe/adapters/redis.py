"""redis: connection pools whose connections are judged when they are taken out.

    import redis
    from thawsafe.adapters.redis import ConnectionPool
    client = redis.Redis.from_pool(ConnectionPool(host="cache.internal"))

What redis-py does itself: before reuse it polls the socket, which finds a connection whose end has arrived. It has no limit of idleness or
age. A command whose connection broke is sent again, ten times by default and whatever it does: INCR after a lost answer counts twice.

Here a connection that was idle over a freeze answers a PING before it is used, and one that does not is closed in its place and connected
anew. What may be tried again is connecting, by the configuration's `retries`; commands are not, because redis-py does not tell which of
them may run twice. Who wants that gives `retry=redis.retry.Retry(...)`, which goes before the configuration.

Used though private: `_sock` of connections, `_conn` of those with a cache. Of the configuration, `connections` counts for nothing: a pool has one host.
Connections that a client, a transaction or pub/sub holds: see `_redis`. For asyncio: `redis_asyncio`.
"""

from __future__ import annotations

import functools
import inspect
import math
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import redis
import redis.connection
from redis.exceptions import AuthenticationError, ConnectionError, TimeoutError  # noqa: A004 - redis' own

from .._core.configurations import Configuration
from .._core.limits import finite, whole
from .._core.lives import Life
from .._runtime.deadline import seconds_left, within_time_left
from .._runtime.guard import Guard
from .._runtime.sockets import keepalive_options
from .._runtime.watch import WATCH
from ._clients import Attempts, Patches, detected, known
from ._redis import DEFAULT_RETRY, HELD, POOLED, TAKEN, Limited, Seen, Stale, lost, was_frozen

if TYPE_CHECKING:
    _Connection = redis.connection.AbstractConnection
else:
    _Connection = object

__all__ = ["BlockingConnectionPool", "ConnectionPool", "install", "uninstall"]

DISTRIBUTION = MODULE = "redis"
VERSIONS = ("7.0", "9")
"""The first version that is known, and the first that is not."""
_PARTS = ("_get_socket", "update_current_socket_timeout", "socket_timeout", "socket_connect_timeout")
known(DISTRIBUTION, redis.__version__, VERSIONS, [(redis.connection.AbstractConnection, name) for name in _PARTS])

MOST_CONNECTIONS = 2**31
"""UNLIMITED for redis-py, which reads None as 100."""


class JudgedConnection(Limited, _Connection):
    """What is added to a connection class: connecting is tried again, timeouts end with the invocation, and one that is held is judged."""

    def connect(self) -> None:
        """Connect, unless it is connected."""
        attempts: Attempts | None = None
        while self._get_socket() is None:
            try:
                super().connect()  # type: ignore[no-untyped-call]
            except (ConnectionError, TimeoutError) as error:
                attempts = attempts or Attempts(self.configuration)
                if isinstance(error, AuthenticationError) or not attempts.another():
                    raise
                time.sleep(attempts.pause)

    def check_health(self) -> None:
        """Before a command is written. Raises Stale when the connection was held over a freeze and does not live any more."""
        seen = self.thawsafe
        if seen is not None:
            if seen.state == TAKEN:
                seen.state = HELD
            elif seen.state == HELD:
                self._check_held(seen)
        super().check_health()  # type: ignore[no-untyped-call]

    def _check_held(self, seen: Seen) -> None:
        line: Any = self._sock
        if seen.line is not line:  # connected anew meanwhile
            seen.line, seen.life, seen.limit = line, seen.guard.opened(peer(self)), line.gettimeout()
        elif self._is_stale(seen):
            self.disconnect()  # type: ignore[no-untyped-call]
            raise Stale(f"the connection to {seen.life.peer} was held over a freeze and does not live any more")
        seen.life.used, seen.began = WATCH.monotonic(), time.perf_counter()
        _limit(seen)

    def _is_stale(self, seen: Seen) -> bool:
        if seen.life.opened.era.forks == WATCH.era.forks and self._has_ended():
            seen.guard.usable(seen.life, _seen_closed)  # to have it counted
            return True
        return was_frozen(seen) and not _usable(seen.guard, self, seen.life)

    def _has_ended(self) -> bool:
        try:
            self.can_read()  # what there is to read is kept: it may be a message that nobody asked for
        except (ConnectionError, TimeoutError, OSError):
            return True
        return False


@functools.lru_cache(maxsize=64)
def judged_class(added: type, connection_class: type, configuration: Configuration) -> type:
    """`connection_class` with what is `added`: one class for all pools that want the same."""
    if issubclass(connection_class, added):
        return connection_class
    return type(f"Judged{connection_class.__name__}", (added, connection_class), {"configuration": configuration, "__module__": __name__})


SLACK = 0.02
"""Seconds that a socket's timeout may be longer than what is left of the invocation: setting one is a system call, and not made for less.
`time_left` has kept more than this for the handler."""


def judged_get(get_connection: Callable[..., Any]) -> Callable[..., Any]:
    """A pool class's `get_connection` that judges what it hands out."""

    @functools.wraps(get_connection)
    def judged(self: Any, command_name: Any = None, *keys: Any, **options: Any) -> Any:
        began = time.perf_counter()
        # Without arguments, as redis calls it: passing on what a function does not name costs as much as five calls (measured).
        connection = get_connection(self, command_name, *keys, **options) if command_name or options else get_connection(self)
        seen: Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None:
            life, own = seen.life, seen.connection
            if seen.line is not own._sock:
                self.guard.usable(life, _seen_closed)  # redis has polled it, and connected anew
            elif (life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall) or _usable(
                self.guard, own, life
            ):
                seen.began, seen.state = began, TAKEN
                limit, timeout = seen.limit, own._socket_timeout
                if limit != timeout or (timeout or math.inf) > seconds_left():
                    _limit(seen)
                return connection
            else:
                began = time.perf_counter()
                _reconnect(self, connection)
        life = self.guard.opened(peer(connection), time.perf_counter() - began)
        own = getattr(connection, "_conn", connection)
        connection.thawsafe = own.thawsafe = Seen(self.guard, own._sock, life, began, own, own._sock.gettimeout())
        return connection

    return judged


def _usable(guard: Guard, connection: Any, life: Life) -> bool:
    return guard.usable(life, _polled, lambda timeout: _answers(connection, timeout))


def _limit(seen: Seen) -> None:
    """Sets the socket's timeout to what `socket_timeout` says now, unless it says nearly the same as when it was set."""
    limit, wanted = seen.limit, seen.connection.socket_timeout
    if limit != wanted and (limit is None or wanted is None or not wanted <= limit <= wanted + SLACK):
        own = seen.connection
        seen.limit = wanted
        own.update_current_socket_timeout(wanted)
        buffer = own._parser._buffer
        if hasattr(buffer, "socket_timeout"):
            # What redis sets the socket back to after each look at it. It changes that itself, but not for RESP2, and not to None.
            buffer.socket_timeout = wanted


def _polled() -> bool:
    """The free check has been made: redis has polled the socket."""
    return False


def _seen_closed() -> bool:
    return True


def _answers(connection: Any, timeout: float) -> bool:
    """PING. After an error, a timeout too, redis has closed the connection. Not by the proxy of one with a cache, which looks at the connection
    before it writes, and that sets the timeout back.
    """
    line = connection._get_socket()
    own = line.gettimeout()
    line.settimeout(timeout)
    connection.send_command("PING", check_health=False)
    answer = connection.read_response()
    line.settimeout(own)
    return answer in (b"PONG", "PONG")


def _reconnect(pool: Any, connection: Any) -> None:
    _forget(connection)
    try:
        connection.disconnect()
        connection.connect()
    except BaseException:
        pool.release(connection)
        raise


def _forget(connection: Any) -> None:
    own = getattr(connection, "_conn", connection)
    connection.thawsafe = own.thawsafe = None


def peer(connection: Any) -> str:
    """Whom a connection talks to, for logs."""
    port = getattr(connection, "port", None)
    return getattr(connection, "path", "unknown") if port is None else f"{connection.host}:{port}"


def judged_release(release: Callable[..., None]) -> Callable[..., None]:
    """A pool class's `release` that notes what comes back."""

    @functools.wraps(release)
    def noting(self: Any, connection: Any) -> None:
        seen: Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None:
            commanded, seen.state = seen.state == HELD, POOLED
            if seen.connection._sock is not seen.line:
                _forget(connection)
                lost(self.guard, seen, connection.socket_timeout)
            elif commanded:  # else nothing was answered, as when a cache had it
                life = seen.life
                life.used = WATCH.monotonic()
                if life.judged:
                    life.proved()
        release(self, connection)

    return noting


def options(configuration: Configuration) -> dict[str, Any]:
    """A configuration as a pool's arguments. redis-py counts the TLS handshake as connecting, and its None is no limit."""
    keepalive = {option: value for level, option, value in keepalive_options(configuration.keepalive) if level == socket.IPPROTO_TCP}
    return {
        "max_connections": whole(configuration.connections_per_host) or MOST_CONNECTIONS,
        "socket_connect_timeout": finite(configuration.connect_timeout + configuration.tls_timeout),
        "socket_timeout": finite(configuration.request_timeout),
        "socket_keepalive": bool(keepalive),
        "socket_keepalive_options": keepalive,
    }


def settled(configuration: Configuration, given: dict[str, Any]) -> dict[str, Any]:
    """A pool's arguments: what was given goes before the configuration. A Unix socket has no timeouts of connecting, and no keepalive."""
    ours = options(configuration)
    if "path" in given:
        ours = {name: ours[name] for name in ("max_connections", "socket_timeout")}
    return ours | given


class ConnectionPool(redis.ConnectionPool):
    """redis-py's ConnectionPool with judged connections.

    configuration: the limits; None for `thawsafe.detect()` with an idle age of 240 s. Everything else is redis-py's, and goes before it.
    """

    def __init__(
        self, configuration: Configuration | None = None, *, connection_class: type = redis.connection.Connection, **arguments: Any
    ) -> None:
        configuration = configuration or detected()
        self.guard = Guard("redis", configuration)
        judged = judged_class(JudgedConnection, connection_class, configuration)
        super().__init__(connection_class=judged, **settled(configuration, arguments))

    get_connection = judged_get(redis.ConnectionPool.get_connection)
    release = judged_release(redis.ConnectionPool.release)


class BlockingConnectionPool(redis.BlockingConnectionPool):
    """redis-py's BlockingConnectionPool with judged connections; see `ConnectionPool`.

    A thread waits for a free connection as long as for an answer, unless `timeout` is given, and no longer than the invocation lasts.
    """

    def __init__(
        self, configuration: Configuration | None = None, *, connection_class: type = redis.connection.Connection, **arguments: Any
    ) -> None:
        configuration = configuration or detected()
        self.guard = Guard("redis", configuration)
        judged = judged_class(JudgedConnection, connection_class, configuration)
        ours = {"timeout": finite(configuration.request_timeout)}
        super().__init__(connection_class=judged, **(ours | settled(configuration, arguments)))  # type: ignore[no-untyped-call]

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for a free connection, now."""
        return within_time_left(self._timeout)

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self._timeout = value

    get_connection = judged_get(redis.BlockingConnectionPool.get_connection)
    release = judged_release(redis.BlockingConnectionPool.release)


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every pool of redis-py that is made from now on, of both kinds. Says what it did; twice is once."""
    from . import redis_asyncio

    if _patches:
        return []
    kinds = (
        (redis.ConnectionPool, redis.BlockingConnectionPool, JudgedConnection, judged_get, judged_release, DEFAULT_RETRY),
        redis_asyncio.kind(),
    )
    for pool_class, blocking_class, added, get, release, default_retry in kinds:
        _patches.replace(pool_class, "guard", Guard("redis", configuration))
        _patches.replace(pool_class, "__init__", _patched(pool_class.__init__, added, configuration, default_retry))
        for owner in (pool_class, blocking_class):
            _patches.replace(owner, "get_connection", get(owner.get_connection))
            _patches.replace(owner, "release", release(owner.release))
    return [
        "redis: connections of pools, sync and asyncio, are judged before a command is written; after a freeze they answer a PING first.",
        "redis: its default of sending a command whose connection broke again, 10 times, INCR too, is off; connecting is tried again.",
    ]


def _patched(make: Callable[..., None], added: type, configuration: Configuration, default_retry: Any) -> Callable[..., None]:
    """A pool class's `__init__` that takes the judged connection class, and leaves out the default retries."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - what it is
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        connection_class = bound.arguments["connection_class"]
        bound.arguments["connection_class"] = judged_class(added, connection_class, configuration)
        if bound.arguments["connection_kwargs"].get("retry") == default_retry:
            del bound.arguments["connection_kwargs"]["retry"]
        make(*bound.args, **bound.kwargs)

    return __init__


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
