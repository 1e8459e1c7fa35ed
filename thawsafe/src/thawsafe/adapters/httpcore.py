"""httpcore, which is below httpx: pools whose connections are judged when a request is about to be written.

    from thawsafe.adapters import httpcore
    pool = httpcore.judge_pool(some_pool, Guard("httpcore", configuration))

What httpcore does itself: an idle HTTP/1.1 connection whose socket is readable is dropped, and one that is older than `keepalive_expiry` by
the monotonic clock. For HTTP/2 only that clock counts, and nothing looks at the socket.

The hook is httpcore's own: a connection may answer a request with `ConnectionNotAvailable` as long as nothing was written, and its pool finds
another, or opens one. So proxies, limits and TLS are the pool's. Private is only what HTTP/2's PING needs (`_http2.py`): where an httpcore
looks different, such a connection counts as one that cannot be asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import httpcore

from .._core.configurations import Configuration
from .._core.lives import Life
from .._core.paths import SILENCE
from .._runtime.deadline import seconds_left, time_left, within_time_left
from .._runtime.guard import Guard
from .._runtime.watch import WATCH
from ._clients import Patches, known
from ._http2 import PING, answer, bounded, http2_of

__all__ = ["judge_async_pool", "judge_pool"]

DISTRIBUTION = MODULE = "httpcore"
VERSIONS = ("1.0.3", "2")

known(
    DISTRIBUTION,
    httpcore.__version__,
    VERSIONS,
    [(pool_class, "create_connection") for pool_class in (httpcore.ConnectionPool, httpcore.AsyncConnectionPool)],
)


class _Connection:
    """One connection of a pool, and its way to send: what sync and asyncio have in common."""

    def __init__(self, connection: Any, send: Callable[[httpcore.Request], Any], guard: Guard) -> None:
        self.connection = connection
        self.send = send
        self.guard = guard
        self.life: Life | None = None
        self.stream: Any = None
        """httpcore's network stream, as its answers carry it."""
        self.http2: Any = None
        """httpcore's HTTP/2 connection, when it is one and can be asked."""
        self.asked = False
        """A request waits, or has waited, for its first answer."""
        self.waiting: list[None] = []
        """One for each request that waits for its answer: threads can add to a list without a lock, and not to a number."""

    def in_use(self) -> bool:
        """It carries a request. httpcore counts a connection of HTTP/2 as idle when one answer ended while another request waited for its stream."""
        return bool(self.waiting) or not self.connection.is_idle() or (self.http2 is not None and bool(self.http2._events))

    def is_doubtful(self) -> bool:
        """Who asked first went without an answer (HTTP/2: was cancelled), so that nothing is known of it, not since when it is idle."""
        return self.asked and not self.in_use() and self.life is None

    def began(
        self, request: httpcore.Request, response: httpcore.Response, opening: _Opening, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        """The first answer on this connection."""
        if self.life is not None:
            return  # another request on this connection was answered first
        origin = request.url.origin
        life = self.guard.opened(f"{origin.host.decode('ascii', 'replace')}:{origin.port}", opening.took, loop)
        self.stream = response.extensions["network_stream"]
        if response.extensions.get("http_version") == b"HTTP/2":
            self.http2 = http2_of(self.connection)
            life.shared = True
            life.path.served(opening.answered)
        else:
            for name, value in response.headers:
                if name.lower() == b"keep-alive":
                    self.guard.hinted(life, value.decode("ascii", "replace"))
        self.life = life

    def failed(self, life: Life) -> None:
        """A request raised. Only when it took the connection with it, and not for a timeout, does that say something about the path."""
        if not self.connection.is_available():
            self.guard.failed(life)

    def is_readable(self) -> bool:
        """There is something to be read: for HTTP/1.1 its end, for HTTP/2 that or a frame."""
        return bool(self.stream.get_extra_info("is_readable"))


_BROKEN = (httpcore.NetworkError, httpcore.RemoteProtocolError)


class _SyncConnection(_Connection):
    """`handle` replaces the connection's `handle_request`."""

    def __init__(self, connection: Any, send: Callable[[httpcore.Request], Any], guard: Guard) -> None:
        super().__init__(connection, send, guard)
        self.lock = threading.Lock()

    def handle(self, request: httpcore.Request) -> httpcore.Response:
        """A request on this connection. Raises ConnectionNotAvailable, httpcore's sign for another one, before anything is written."""
        life = self.life
        if life is None:
            return self._first(request)
        if not (
            life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall
        ) and not self._usable(life):
            self.connection.close()
            raise httpcore.ConnectionNotAvailable
        left = seconds_left()
        try:
            own = request.extensions["timeout"]
            enough = own["write"] <= left and own["read"] <= left
        except (KeyError, TypeError):  # there is none
            enough = left == math.inf
        if not enough:
            _limited(request)
        began = WATCH.monotonic() if life.judged else math.nan
        self.waiting.append(None)
        try:
            response: httpcore.Response = self.send(request)
        except _BROKEN:
            self.failed(life)
            raise
        finally:
            self.waiting.pop()
        life.used = WATCH.monotonic()
        if life.judged:
            life.path.served(life.used - began)
            life.proved()
        return response

    def _first(self, request: httpcore.Request) -> httpcore.Response:
        """A request that opens the connection, or joins one that does."""
        if self.is_doubtful():
            self.connection.close()
            raise httpcore.ConnectionNotAvailable
        opening = _Opening(request, _limited(request))
        self.waiting.append(None)
        self.asked = True
        try:
            response: httpcore.Response = self.send(request)
        finally:
            self.waiting.pop()
        with self.lock:
            self.began(request, response, opening, None)
        return response

    def _usable(self, life: Life) -> bool:
        with self.lock:  # one asks, and the others, who find it fresh then, wait for what it learns
            if self.in_use():
                return True  # it carries a request at this moment; when it breaks, that is not because it was idle
            if self.http2 is None:
                return self.guard.usable(life, self.is_readable)
            return self.guard.usable(life, self._unread_end, self._ping)

    def _unread_end(self) -> bool:
        """Something unread on HTTP/2 may be the end, or a frame. A PING reads it all."""
        return self.is_readable() and not self._ping(SILENCE)

    def _ping(self, timeout: float) -> bool:
        http2 = self.http2
        until = time.perf_counter() + timeout
        with contextlib.suppress(Exception):  # h2's errors too: what is no HTTP/2, or comes after a GOAWAY, is no answer
            http2._h2_state.ping(PING)
            while True:
                request = bounded(until - time.perf_counter())
                http2._write_outgoing_data(request)
                answered, settings = answer(http2._read_incoming_data(request))
                for event in settings:
                    http2._receive_remote_settings_change(event)
                if answered is not None:
                    http2._write_outgoing_data(request)
                    return answered
        return False


class _AsyncConnection(_Connection):
    """`handle` replaces the connection's `handle_async_request`. Under trio there is no asyncio whose loop could turn, and no probe is made."""

    def __init__(self, connection: Any, send: Callable[[httpcore.Request], Any], guard: Guard) -> None:
        super().__init__(connection, send, guard)
        self.lock = asyncio.Lock()

    async def handle(self, request: httpcore.Request) -> httpcore.Response:
        """As with a connection without asyncio."""
        life = self.life
        if life is None:
            return await self._first(request)
        at_home = life.loop is None or life.loop is _running_loop()
        if not (
            at_home and life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall
        ) and not await self._usable(life, at_home):
            await self._close()
            raise httpcore.ConnectionNotAvailable
        left = seconds_left()
        try:
            own = request.extensions["timeout"]
            enough = own["write"] <= left and own["read"] <= left
        except (KeyError, TypeError):  # there is none
            enough = left == math.inf
        if not enough:
            _limited(request)
        began = WATCH.monotonic() if life.judged else math.nan
        self.waiting.append(None)
        try:
            response: httpcore.Response = await self.send(request)
        except _BROKEN:
            self.failed(life)
            raise
        finally:
            self.waiting.pop()
        life.used = WATCH.monotonic()
        if life.judged:
            life.path.served(life.used - began)
            life.proved()
        return response

    async def _first(self, request: httpcore.Request) -> httpcore.Response:
        """A request that opens the connection, or joins one that does."""
        if self.is_doubtful():
            await self._close()
            raise httpcore.ConnectionNotAvailable
        opening = _AsyncOpening(request, _limited(request))
        self.waiting.append(None)
        self.asked = True
        try:
            response: httpcore.Response = await self.send(request)
        finally:
            self.waiting.pop()
        self.began(request, response, opening, _running_loop())
        return response

    async def _close(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed
            await self.connection.aclose()

    async def _usable(self, life: Life, at_home: bool) -> bool:
        if life.loop is None:
            return self.in_use() or self.guard.usable(life, self.is_readable)
        if not at_home:
            return await self.guard.usable_async(life, bool)  # says no, and notes it
        async with self.lock:  # one asks, and the others, who find it fresh then, wait for what it learns
            if self.in_use():
                return True  # it carries a request at this moment; when it breaks, that is not because it was idle
            if self.http2 is None:
                return await self.guard.usable_async(life, self.is_readable)
            return await self.guard.usable_async(life, self._unread_end, self._ping)

    async def _unread_end(self) -> bool:
        """Something unread on HTTP/2 may be the end, or a frame. A PING reads it all; not the answer to somebody who came while the loop turned."""
        return not self.in_use() and self.is_readable() and not await self._ping(SILENCE)

    async def _ping(self, within: float) -> bool:
        http2 = self.http2
        until = time.perf_counter() + within
        with contextlib.suppress(Exception):  # h2's errors too: what is no HTTP/2, or comes after a GOAWAY, is no answer
            http2._h2_state.ping(PING)
            while True:
                request = bounded(until - time.perf_counter())
                await http2._write_outgoing_data(request)
                answered, settings = answer(await http2._read_incoming_data(request))
                for event in settings:
                    await http2._receive_remote_settings_change(event)
                if answered is not None:
                    await http2._write_outgoing_data(request)
                    return answered
        return False


def judge_pool(pool: httpcore.ConnectionPool, guard: Guard) -> None:
    """From now on, the connections that `pool` opens are judged by `guard`."""
    _judge(pool, guard, "handle_request", _SyncConnection)


def judge_async_pool(pool: httpcore.AsyncConnectionPool, guard: Guard) -> None:
    """From now on, the connections that `pool` opens are judged by `guard`."""
    _judge(pool, guard, "handle_async_request", _AsyncConnection)


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every pool that is made from now on, those for proxies and of httpx too. Says what it did; twice is once."""
    if _patches:
        return []
    guard = Guard("httpcore", configuration)
    for pool_class, judge in ((httpcore.ConnectionPool, judge_pool), (httpcore.AsyncConnectionPool, judge_async_pool)):
        _patches.replace(pool_class, "__init__", _judging(pool_class.__init__, judge, guard))
    return [
        "httpcore, httpx: connections of pools are judged when a request is about to be written; requests end before the invocation does."
    ]


def _judging(make: Any, judge: Any, guard: Guard) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes that method
        make(self, *args, **kwargs)
        judge(self, guard)

    return __init__


def uninstall() -> None:
    """Undo `install`, for tests. Pools that were made meanwhile go on judging."""
    _patches.undo()


def _judge(pool: Any, guard: Guard, method: str, judged: type[_SyncConnection | _AsyncConnection]) -> None:
    create = pool.create_connection
    # When `install` came first, its guard judges by the environment's configuration: this one is somebody's choice.
    create = getattr(create, "thawsafe_replaces", create)

    def create_connection(origin: httpcore.Origin) -> Any:
        connection = create(origin)
        # On the object: a wrapper around it would cost the pool a call for each of the questions that it asks all its connections.
        setattr(connection, method, judged(connection, getattr(connection, method), guard).handle)
        return connection

    create_connection.thawsafe_replaces = create  # type: ignore[attr-defined] # a function can have it
    pool.create_connection = create_connection


def _limited(request: httpcore.Request) -> dict[str, float | None] | None:
    """Lets no timeout of a request end after the invocation. Returns httpcore's timeouts, when they were changed."""
    left = time_left()
    if left is None:
        return None
    timeouts: dict[str, float | None] = dict(request.extensions.get("timeout", {}))
    for phase in ("connect", "write", "read"):
        own = timeouts.get(phase)
        timeouts[phase] = left if own is None else min(left, own)
    request.extensions = {**request.extensions, "timeout": timeouts}
    return timeouts


class _Opening:
    """How long opening a connection took, told by httpcore's own trace of the first request on it."""

    def __init__(self, request: httpcore.Request, timeouts: dict[str, float | None] | None) -> None:
        self._timeouts = timeouts
        self._began = time.perf_counter()
        self.took = 0.0
        """Seconds until the request was written: the last time counts, because a tunnel has a request of its own."""
        self._users = request.extensions.get("trace")
        # A copy: what is given belongs to the caller, and httpx hands it on to other requests.
        request.extensions = {**request.extensions, "trace": self.trace}

    @property
    def answered(self) -> float:
        """Seconds from the request to now."""
        return time.perf_counter() - self._began - self.took

    def saw(self, event: str) -> None:
        """One event of httpcore's trace."""
        if event.endswith("send_request_headers.started"):
            self.took = time.perf_counter() - self._began
            if self._timeouts is not None:  # httpcore looks at them when it needs them: what opening took is gone
                for phase in ("write", "read"):
                    self._timeouts[phase] = within_time_left(self._timeouts[phase])

    def trace(self, event: str, info: dict[str, Any]) -> Any:
        """Httpcore's callback."""
        self.saw(event)
        if self._users is not None:
            return self._users(event, info)
        return None


class _AsyncOpening(_Opening):
    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Httpcore's callback."""
        self.saw(event)
        if self._users is not None:
            await self._users(event, info)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # trio
        return None
