"""urllib3: pools whose connections are judged when they are taken out.

    from thawsafe.adapters import urllib3
    http = urllib3.PoolManager()

What urllib3 does itself: before reuse it asks the socket whether it is readable, which finds a connection whose end has arrived. It has no
limit of idleness or age, so one whose end was lost is used, and the request on it fails.

A judged connection that is discarded is closed and stays in its place: urllib3 reconnects a closed connection when it is used, as it does
with one whose end it has seen itself. Limits, proxies, tunnels and TLS are therefore urllib3's own.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import MaxRetryError, ResponseError
from urllib3.util import Retry, Timeout

from .._core.configurations import Configuration, NoRetries
from .._core.limits import finite, whole
from .._core.lives import Life
from .._runtime.deadline import LEAST, seconds_left, within_time_left
from .._runtime.detection import detect
from .._runtime.guard import Guard
from .._runtime.sockets import keepalive_options
from .._runtime.watch import WATCH
from ._clients import Patches, known

_Known = tuple[Any, Life] | None
"""What a connection object carries: the socket that it had, and what is known of that connection."""

__all__ = ["PoolManager", "ProxyManager", "hosts", "judged_pool", "judged_pools", "retries", "timeout"]

BACKOFF = 0.05
"""Seconds before the second further attempt, doubled for each more; the first follows at once, because a new connection is the cure."""
REDIRECTS = 10
"""How many redirects are followed; they are no failures and not part of a configuration."""


_DEFAULT = Timeout.DEFAULT_TIMEOUT

_HOOKS = ("_get_conn", "_put_conn", "_get_timeout")
"""The methods of a pool that are its hooks: take out, put back, the timeout of one request."""


DISTRIBUTION = MODULE = "urllib3"
VERSIONS = ("2.0", "3")

_version: str = urllib3.__version__  # type: ignore[attr-defined] # there, and not in its stubs' list
known(DISTRIBUTION, _version, VERSIONS, [*((HTTPConnectionPool, name) for name in _HOOKS), (Timeout(), "_connect"), (Timeout(), "_read")])


def _hooks(pool_class: type[HTTPConnectionPool], guard: Guard, longest_wait: float | None) -> dict[str, Any]:
    """The hooks of `pool_class` with `guard` in them. `longest_wait`: for a connection of a pool that blocks, when the caller names none."""
    get, put, limit = (_unjudged(getattr(pool_class, name)) for name in _HOOKS)
    hooks = (_judged_get(get, guard, longest_wait), _judged_put(put), _judged_timeout(limit))
    for hook, original in zip(hooks, (get, put, limit), strict=True):
        hook.thawsafe_replaces = original  # type: ignore[attr-defined] # a function can have it
    return dict(zip(_HOOKS, hooks, strict=True))


def _judged_get(get: Callable[..., Any], guard: Guard, longest_wait: float | None) -> Callable[..., Any]:
    def _get_conn(self: Any, timeout: float | None = None) -> Any:
        if self.block:
            if timeout is None:
                timeout = longest_wait
            if timeout is None or timeout > seconds_left():
                timeout = within_time_left(timeout)
        connection = get(self, timeout)
        known: _Known = getattr(connection, "thawsafe", None)
        if known is not None and known[0] is connection.sock:
            life = known[1]
            if life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall:
                return connection
            if guard.usable(life, _open):
                if life.judged:
                    _Answer(guard, self, connection, life).await_()
                return connection
        _renew(guard, self, connection, known)
        return connection

    return _get_conn


def _judged_put(put: Callable[..., None]) -> Callable[..., None]:
    def _put_conn(self: Any, conn: Any) -> None:
        known: _Known = getattr(conn, "thawsafe", None)  # without a connection, too: it broke
        if known is not None:
            if known[0] is conn.sock:
                life = known[1]
                life.used = WATCH.monotonic()
                if life.judged:
                    life.proved()
            else:  # the server has closed it with its answer
                conn.thawsafe = None
        put(self, conn)

    return _put_conn


def _judged_timeout(limit: Callable[..., Timeout]) -> Callable[..., Timeout]:
    plain = limit is _PLAIN_LIMIT

    def _get_timeout(self: Any, timeout: Any) -> Timeout:
        if plain and isinstance(timeout, Timeout):
            own = timeout.clone()  # what urllib3 does, in another call
        else:
            own = limit(self, timeout)  # a copy, whatever was given
            if plain and self.proxy is None:
                return own  # urllib3 asks again, with this one, before it connects or sends
        left = seconds_left()
        if left < math.inf:
            connect, read = own._connect, own._read
            # urllib3 does more where there is a `total`, so it gets one only where that ends something earlier.
            if connect is None or connect is _DEFAULT or read is None or read is _DEFAULT or connect + read > left:  # type: ignore[operator]
                # `total` is what connecting and waiting for the answer may take together; the smallest of all limits counts.
                own.total = min(left, own.total) if isinstance(own.total, (int, float)) else left
        return own

    return _get_timeout


def _unjudged(method: Any) -> Any:
    """urllib3's own method, whatever `thawsafe.install` has put in its place: nothing is judged twice."""
    return getattr(method, "thawsafe_replaces", method)


_PLAIN_LIMIT = HTTPConnectionPool._get_timeout


def _renew(guard: Guard, pool: HTTPConnectionPool, connection: Any, known: _Known) -> None:
    """The connection object is to connect, for the first time or again."""
    if known is not None and known[0] is connection.sock:
        connection.close()
    elif known is not None:  # urllib3 has asked the socket, and closed the connection: its end had arrived
        guard.usable(known[1], _closed)
    _Answer(guard, pool, connection, None).await_()


def _open() -> bool:
    return False


def _closed() -> bool:
    return True


class _Answer:
    """Waits for the next answer on a connection that is new, or was judged: it tells what became of it. Others cost nothing."""

    def __init__(self, guard: Guard, pool: HTTPConnectionPool, connection: Any, life: Life | None) -> None:
        self._guard = guard
        self._pool = pool
        self._connection = connection
        self._life = life

    def await_(self) -> None:
        """Stand in for the connection's `getresponse`, once."""
        if self._life is None:
            self._connection.thawsafe = None
        self._connection.getresponse = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        connection = self._connection
        # Not by its `__dict__`: an object that was once asked for that has slower attributes from then on (CPython 3.11 and later).
        with contextlib.suppress(AttributeError):  # somebody kept this, and calls it again
            del connection.getresponse
        try:
            response = connection.getresponse(*args, **kwargs)
        except TimeoutError:
            raise  # it says nothing about the connection: its peer may be slow
        except (OSError, HTTPException):
            if self._life is not None:
                self._guard.failed(self._life)
            raise
        if self._life is None and connection.sock is not None:  # as it is when the server has closed it with its answer
            life = self._guard.opened(f"{self._pool.host}:{self._pool.port}")
            hint = response.headers.get("Keep-Alive")
            if hint:
                self._guard.hinted(life, hint)
            # urllib3's connection object outlives its connection, so the socket is kept to tell one from the next.
            connection.thawsafe = (connection.sock, life)
        return response


def judged_pool(pool_class: type[HTTPConnectionPool], guard: Guard, longest_wait: float | None = None) -> type[HTTPConnectionPool]:
    """`pool_class` with its connections judged by `guard`: for `PoolManager.pool_classes_by_scheme`, urllib3's own place for such classes.

    longest_wait: seconds for a free connection in a pool that blocks, when the caller names none; None: for ever, as urllib3 does.
    """
    attributes = {"judged_by": guard, "__module__": __name__} | _hooks(pool_class, guard, longest_wait)
    return type(f"Judged{pool_class.__name__}", (pool_class,), attributes)


def judged_pools(guard: Guard, longest_wait: float | None = None) -> dict[str, type[HTTPConnectionPool]]:
    """The classes for both schemes."""
    return {
        "http": judged_pool(HTTPConnectionPool, guard, longest_wait),
        "https": judged_pool(HTTPSConnectionPool, guard, longest_wait),
    }


class BudgetedRetry(Retry):
    """urllib3's `Retry` with a budget of time."""

    def __init__(self, *args: Any, within: float = 0.0, until: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.within = within
        """Seconds after the first failure in which a further attempt may begin."""
        self.until = until
        """On `time.monotonic`; None before the first failure."""

    def new(self, **kwargs: Any) -> BudgetedRetry:
        """A copy with changes, as urllib3 makes one for every failure."""
        return super().new(**{"within": self.within, "until": self.until, **kwargs})

    def increment(self, *args: Any, **kwargs: Any) -> Retry:  # type: ignore[override] # whatever urllib3 passes goes on to urllib3
        """The attempts that are left after a failure. Raises MaxRetryError, or the failure, when none is, or the budget is spent."""
        now = time.monotonic()
        until = now + self.within if self.until is None else self.until
        none_left = {"connect": 0, "read": 0} if now > until else {}
        return Retry.increment(self.new(until=until, **none_left), *args, **kwargs)


def retries(configuration: Configuration) -> Retry:
    """A configuration's retries as urllib3's: for failed connects, and for methods that are idempotent (RFC 9110, 9.2.2)."""
    chosen = configuration.retries
    # Answers are not retried, whatever their status says: whether a 503 was carried out, its sender knows and we do not.
    common: dict[str, Any] = {"total": None, "redirect": REDIRECTS, "status": 0, "other": 0, "respect_retry_after_header": False}
    if isinstance(chosen, NoRetries):
        return Retry(connect=0, read=0, **common)
    attempts = whole(chosen.attempts)
    return BudgetedRetry(connect=attempts, read=attempts, backoff_factor=BACKOFF, within=chosen.within, **common)


def timeout(configuration: Configuration) -> Timeout:
    """A configuration's timeouts as urllib3's, which counts the TLS handshake as connecting. UNLIMITED becomes urllib3's None."""
    return Timeout(
        connect=finite(configuration.connect_timeout + configuration.tls_timeout),
        read=finite(configuration.request_timeout),
    )


def _options(configuration: Configuration, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a pool manager: what was given goes before the configuration."""
    per_host = whole(configuration.connections_per_host)
    options: dict[str, Any] = {"timeout": timeout(configuration), "retries": retries(configuration)}
    if per_host is not None:
        options |= {"maxsize": per_host, "block": True}
    keepalive = keepalive_options(configuration.keepalive)
    if keepalive:
        options["socket_options"] = [*urllib3.connection.HTTPConnection.default_socket_options, *keepalive]
    return options | given


def hosts(configuration: Configuration) -> int:
    """How many hosts' pools are kept, so that all their connections stay below `connections`."""
    total, per_host = whole(configuration.connections), whole(configuration.connections_per_host)
    return max(1, total // per_host) if total is not None and per_host is not None else 100


class PoolManager(urllib3.PoolManager):
    """urllib3's PoolManager with judged connections.

    configuration: the limits; None for `thawsafe.detect()`. Everything else is urllib3's, and goes before the configuration.
    """

    def __init__(
        self, configuration: Configuration | None = None, *, num_pools: int | None = None, headers: Any = None, **options: Any
    ) -> None:
        configuration = configuration or detect()
        super().__init__(num_pools or hosts(configuration), headers, **_options(configuration, options))
        self.guard = Guard("urllib3", configuration)
        self.pool_classes_by_scheme = judged_pools(self.guard, finite(configuration.request_timeout))


class ProxyManager(urllib3.ProxyManager):
    """urllib3's ProxyManager with judged connections; see `PoolManager`."""

    def __init__(self, proxy_url: str, configuration: Configuration | None = None, *, num_pools: int | None = None, **options: Any) -> None:
        configuration = configuration or detect()
        super().__init__(proxy_url, num_pools or hosts(configuration), **_options(configuration, options))
        self.guard = Guard("urllib3", configuration)
        self.pool_classes_by_scheme = judged_pools(self.guard, finite(configuration.request_timeout))


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every pool, existing ones too, and with them those of requests and botocore. Says what it did; twice is once."""
    if _patches:
        return []
    for name, hook in _hooks(HTTPConnectionPool, Guard("urllib3", configuration), None).items():
        _patches.replace(HTTPConnectionPool, name, hook)
    _patches.replace(Retry, "increment", _within_invocation(Retry.increment))
    return [
        "urllib3, requests, botocore: connections of pools are judged when they are taken out; requests end before the invocation does.",
    ]


def _within_invocation(increment: Callable[..., Retry]) -> Callable[..., Retry]:
    """Retries of the user's: no pause between two attempts is waited for that ends after the invocation. What failed is raised instead."""

    def limited(
        self: Retry,
        method: Any = None,
        url: Any = None,
        response: Any = None,
        error: Any = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Retry:
        retry = increment(self, method, url, response, error, _pool, _stacktrace)
        left = seconds_left()
        failed = error is not None or (response is not None and not response.get_redirect_location())
        if left == math.inf or not failed:
            return retry
        told = retry.get_retry_after(response) if response is not None and retry.respect_retry_after_header else None
        if LEAST < left > (told or retry.get_backoff_time()):
            return retry
        raise MaxRetryError(_pool, url, error or ResponseError(ResponseError.SPECIFIC_ERROR.format(status_code=response.status))) from error

    return limited


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
