"""What connections of redis-py get, of both its kinds: timeouts that end with the invocation, and another connection when one that is held is stale.

Most connections are judged when a pool hands them out. Some are held: a client with `single_connection_client=True` has one for its life, a
transaction one from WATCH to EXEC. Before each command, redis-py has a connection check its own health, and there one that is held is judged
again when there was or may have been a freeze. Of one that is stale nothing is written, and `Stale` is raised: the one error that redis-py is told to try again
by itself. It connects anew, or raises its WatchError where keys were watched, as for every connection that broke.

Pub/sub holds a connection too, and reads more than it writes. What it repeats, SUBSCRIBE and reading, cannot happen twice, so there redis-py's
default of connecting again and subscribing again is kept.
"""

from __future__ import annotations

import copy
import inspect
import math
import time
from collections.abc import Callable
from typing import Any, ClassVar

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError  # noqa: A004 - redis' own

from .._core.configurations import Configuration
from .._core.freezes import freeze_between
from .._core.lives import Life
from .._runtime.deadline import seconds_left, within_time_left
from .._runtime.guard import Guard
from .._runtime.watch import WATCH

POOLED, TAKEN, HELD = range(3)
"""Where a connection is: in its pool or being connected; taken and judged for the next command; still taken after that."""


class Stale(ConnectionError):
    """A connection that was held over a freeze does not live any more. Nothing was written on it."""


class Seen:
    """What is kept on a connection: its life, what it was connected by, and its present use. A connection object can reconnect."""

    __slots__ = ("began", "connection", "guard", "life", "limit", "line", "state")

    def __init__(self, guard: Guard, line: object, life: Life, began: float, connection: Any = None, limit: float | None = None) -> None:
        self.guard = guard
        self.line = line
        """Its socket, or its stream writer."""
        self.life = life
        self.began = began
        """When it was taken out, on `time.perf_counter`."""
        self.connection = connection
        """For the sync kind: the connection that has the socket. The one of a pool with a cache is a proxy of that."""
        self.limit = limit
        """For the sync kind: its socket's timeout, its own or the time that was left of an invocation."""
        self.state = TAKEN


class Limited:
    """What connections of both kinds get."""

    configuration: ClassVar[Configuration]
    thawsafe: Seen | None = None
    retry: Any
    _made = False
    """While a connection is being made it notes its timeouts as those to go back to, which must be the real ones."""
    _own_retry: dict[str, Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made = True
        if not self.retry.get_retries():
            self.retry = type(self.retry)(NoBackoff(), 1, (Stale,))

    @property
    def socket_timeout(self) -> float | None:
        """Seconds that sending and reading may take, now."""
        own = self._socket_timeout
        if not self._made:
            return own
        left = seconds_left()
        return own if left == math.inf or (own is not None and own <= left) else left

    @socket_timeout.setter
    def socket_timeout(self, value: float | None) -> None:
        self._socket_timeout = value

    @property
    def socket_connect_timeout(self) -> float | None:
        """Seconds that connecting may take, now."""
        return within_time_left(self._socket_connect_timeout) if self._made else self._socket_connect_timeout

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, value: float | None) -> None:
        self._socket_connect_timeout = value

    def register_connect_callback(self, callback: Callable[..., Any]) -> None:
        """Pub/sub takes the connection, or somebody else wants to hear of a new one."""
        super().register_connect_callback(callback)  # type: ignore[misc] # of the connection class
        if _subscribes(callback) and self._own_retry is None and Stale in self.retry._supported_errors:
            # In place: the proxy of a connection with a cache has the same object.
            self._own_retry = dict(vars(self.retry))
            vars(self.retry).update(copy.deepcopy(vars(DEFAULT_RETRY)))

    def deregister_connect_callback(self, callback: Callable[..., Any]) -> None:
        """Pub/sub gives the connection back."""
        super().deregister_connect_callback(callback)  # type: ignore[misc] # as above
        if _subscribes(callback) and self._own_retry is not None:
            vars(self.retry).update(self._own_retry)
            self._own_retry = None


DEFAULT_RETRY: Any = inspect.signature(redis.Redis.__init__).parameters["retry"].default


def _subscribes(callback: Callable[..., Any]) -> bool:
    return isinstance(getattr(callback, "__self__", None), (redis.client.PubSub, redis.asyncio.client.PubSub))


def was_frozen(seen: Seen) -> bool:
    """Was there a freeze, or may there have been one, since the last command on a connection that is held? Without one it goes on, however old."""
    life = seen.life
    if life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall:
        return False
    now, unannounced = WATCH.now(), seen.guard.configuration.unannounced_freezes
    return now.era.forks != life.last.era.forks or freeze_between(life.last, now, unannounced=unannounced) != "none"


def lost(guard: Guard, seen: Seen, timeout: float | None) -> None:
    """A connection came back closed. When a timeout did it, that says nothing about its path."""
    if timeout is None or time.perf_counter() - seen.began < timeout:
        guard.failed(seen.life)
