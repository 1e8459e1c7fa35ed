"""redis.asyncio: connection pools whose connections are judged when they are taken out.

    import redis.asyncio
    from thawsafe.adapters.redis_asyncio import ConnectionPool
    client = redis.asyncio.Redis.from_pool(ConnectionPool(host="cache.internal"))

As `redis`, with what is particular to asyncio: the loop was frozen too, so that redis-py's own look at a connection does not see an end
that the kernel has had for long, and without its retries the next command fails. Here the loop turns before a connection is judged. A
connection of a loop that was closed (`asyncio.run` in a handler, twice) is left, and another opened in the present one.

Used though private: `_reader` and `_writer` of connections. Redis Cluster for asyncio has pools of its own and is not covered.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import redis.asyncio
import redis.asyncio.connection
from redis.exceptions import AuthenticationError, ConnectionError, TimeoutError  # noqa: A004 - redis' own

from .._core.configurations import Configuration
from .._core.limits import finite
from .._runtime.deadline import within_time_left
from .._runtime.guard import Guard
from .._runtime.watch import WATCH
from ._clients import Attempts, detected, is_ended, known
from ._redis import HELD, POOLED, TAKEN, Limited, Seen, Stale, lost, was_frozen
from .redis import DISTRIBUTION, VERSIONS, judged_class, peer, settled

if TYPE_CHECKING:
    _Connection = redis.asyncio.connection.AbstractConnection
else:
    _Connection = object

__all__ = ["BlockingConnectionPool", "ConnectionPool"]

known(DISTRIBUTION, redis.__version__, VERSIONS, [(redis.asyncio.connection.AbstractConnection, "_close")])


class JudgedConnection(Limited, _Connection):
    """What is added to a connection class: connecting is tried again, timeouts end with the invocation, one that is held is judged.

    And a closed loop is noticed.
    """

    async def connect(self) -> None:
        """Connect, unless it is connected in this loop."""
        loop = None if self.thawsafe is None else self.thawsafe.life.loop
        if loop is not None and loop is not asyncio.get_running_loop():
            self._leave(loop)
        attempts: Attempts | None = None
        while not self.is_connected:
            try:
                await super().connect()  # type: ignore[no-untyped-call]
            except (ConnectionError, TimeoutError) as error:
                attempts = attempts or Attempts(self.configuration)
                if isinstance(error, AuthenticationError) or not attempts.another():
                    raise
                await asyncio.sleep(attempts.pause)

    def check_health(self) -> Coroutine[Any, Any, None]:
        """Before a command is written. Raises Stale when the connection was held over a freeze and does not live any more."""
        seen = self.thawsafe
        if seen is not None:
            if seen.state == TAKEN:
                seen.state = HELD
            elif seen.state == HELD:
                return self._check_held(seen)
        return super().check_health()  # type: ignore[no-untyped-call]

    async def _check_held(self, seen: Seen) -> None:
        life, loop = seen.life, asyncio.get_running_loop()
        if seen.line is not self._writer:  # connected anew meanwhile
            seen.line, seen.life = self._writer, seen.guard.opened(peer(self), loop=loop)
        elif await self._is_stale(seen):
            if life.loop is not None and life.loop is not loop:
                self._leave(life.loop)
            await self.disconnect(nowait=True)
            raise Stale(f"the connection to {life.peer} was held over a freeze and does not live any more")
        seen.life.used, seen.began = WATCH.monotonic(), time.perf_counter()
        await super().check_health()  # type: ignore[no-untyped-call]

    async def _is_stale(self, seen: Seen) -> bool:
        life = seen.life
        if life.loop is asyncio.get_running_loop() and not was_frozen(seen):
            return self._reader is None or self._reader.at_eof()
        return not await _usable(seen.guard, self, seen)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the connection of another loop, which cannot be awaited from here."""
        writer, self._reader, self._writer = self._writer, None, None
        self._parser.on_disconnect()  # type: ignore[no-untyped-call]
        if writer is None:
            return
        try:
            loop.call_soon_threadsafe(writer.close)
        except RuntimeError:  # closed; the descriptor goes with the transport, the server is told now
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def judged_get(get_connection: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """A pool class's `get_connection` that judges what it hands out."""

    @functools.wraps(get_connection)
    async def judged(self: Any, command_name: Any = None, *keys: Any, **options: Any) -> Any:
        began = time.perf_counter()
        connection = await (get_connection(self, command_name, *keys, **options) if command_name or options else get_connection(self))
        seen: Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None:
            if seen.line is not connection._writer:
                await self.guard.usable_async(seen.life, _seen_closed)  # of another loop, or redis has seen its end
            # `connect` has seen to the loop.
            elif (
                (life := seen.life).era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall
            ) or await _taken_usable(self, connection, seen):
                seen.began, seen.state = began, TAKEN
                return connection
            else:
                began = time.perf_counter()
                await _reconnect(self, connection)
        life = self.guard.opened(peer(connection), time.perf_counter() - began, asyncio.get_running_loop())
        connection.thawsafe = Seen(self.guard, connection._writer, life, began)
        return connection

    return judged


async def _usable(guard: Guard, connection: Any, seen: Seen) -> bool:
    return await guard.usable_async(seen.life, lambda: _is_closed(connection), lambda _: _answers(connection))


async def _taken_usable(pool: Any, connection: Any, seen: Seen) -> bool:
    try:
        return await _usable(pool.guard, connection, seen)
    except BaseException:  # cancelled in between: the place must not be lost
        await pool.release(connection)
        raise


async def _reconnect(pool: Any, connection: Any) -> None:
    connection.thawsafe = None
    try:
        await connection.disconnect(nowait=True)
        await connection.connect()
    except BaseException:
        await pool.release(connection)
        raise


def _seen_closed() -> bool:
    return True


def _is_closed(connection: Any) -> bool:
    reader, writer = connection._reader, connection._writer
    return reader is None or writer is None or reader.at_eof() or reader.exception() is not None or is_ended(writer.transport)


async def _answers(connection: Any) -> bool:
    """PING, for as long as the judge waits. After an error, a cancellation too, redis has closed the connection."""
    await connection.send_command("PING", check_health=False)
    return await connection.read_response() in (b"PONG", "PONG")


def judged_release(release: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """A pool class's `release` that notes what comes back."""

    @functools.wraps(release)
    def noting(self: Any, connection: Any) -> Awaitable[None]:
        seen: Seen | None = getattr(connection, "thawsafe", None)
        if seen is not None:
            commanded, seen.state = seen.state == HELD, POOLED
            if connection._writer is not seen.line:
                connection.thawsafe = None
                lost(self.guard, seen, connection.socket_timeout)
            elif commanded:
                life = seen.life
                life.used = WATCH.monotonic()
                if life.judged:
                    life.proved()
        return release(self, connection)

    return noting


class ConnectionPool(redis.asyncio.ConnectionPool):
    """redis.asyncio's ConnectionPool with judged connections.

    configuration: the limits; None for `thawsafe.detect()` with an idle age of 240 s. Everything else is redis-py's, and goes before it.
    """

    def __init__(
        self, configuration: Configuration | None = None, *, connection_class: type = redis.asyncio.connection.Connection, **arguments: Any
    ) -> None:
        configuration = configuration or detected()
        self.guard = Guard("redis", configuration)
        judged = judged_class(JudgedConnection, connection_class, configuration)
        super().__init__(connection_class=judged, **settled(configuration, arguments))

    get_connection = judged_get(redis.asyncio.ConnectionPool.get_connection)
    release = judged_release(redis.asyncio.ConnectionPool.release)


class BlockingConnectionPool(redis.asyncio.BlockingConnectionPool):
    """redis.asyncio's BlockingConnectionPool with judged connections; see `ConnectionPool`.

    A task waits for a free connection as long as for an answer, unless `timeout` is given, and no longer than the invocation lasts.
    """

    def __init__(
        self, configuration: Configuration | None = None, *, connection_class: type = redis.asyncio.connection.Connection, **arguments: Any
    ) -> None:
        configuration = configuration or detected()
        self.guard = Guard("redis", configuration)
        judged = judged_class(JudgedConnection, connection_class, configuration)
        ours = {"timeout": finite(configuration.request_timeout)}
        super().__init__(connection_class=judged, **(ours | settled(configuration, arguments)))

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for a free connection, now."""
        return within_time_left(self._timeout)

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self._timeout = value

    get_connection = judged_get(redis.asyncio.BlockingConnectionPool.get_connection)
    release = judged_release(redis.asyncio.BlockingConnectionPool.release)


def kind() -> tuple[Any, ...]:
    """What `redis.install` replaces for asyncio."""
    default = inspect.signature(redis.asyncio.Redis.__init__).parameters["retry"].default
    return redis.asyncio.ConnectionPool, redis.asyncio.BlockingConnectionPool, JudgedConnection, judged_get, judged_release, default
