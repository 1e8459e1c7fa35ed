"""aiohttp: a connector whose connections are judged when they are taken out of its pool.

    from thawsafe.adapters import aiohttp
    session = aiohttp.session()                                    # or, with a session of your own:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector())

What aiohttp does itself: it reuses a connection that was idle for at most 15 s, by its own clock, and whose transport is not closing. It does
not ask the socket; and after a freeze the loop has not read what the kernel has, so even a connection whose FIN has arrived is used. It
tries idempotent requests once more when a reused connection breaks, others fail.

Private and used: a connector's `_get`, `_release` and `_create_connection`, and its protocol's `_on_read_timeout`. A connector does not see the
headers of answers, so a server's `Keep-Alive: timeout=` is not known here; what connections died of is.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import aiohttp
from aiohttp import ClientSession, ClientTimeout
from aiohttp.client_proto import ResponseHandler

from .._core.configurations import Configuration
from .._core.limits import finite, whole
from .._core.lives import Life
from .._runtime.deadline import seconds_left
from .._runtime.detection import detect
from .._runtime.guard import Guard
from .._runtime.sockets import is_readable, keepalive_options
from .._runtime.watch import WATCH
from ._clients import Patches, known

__all__ = ["ClientSession", "TCPConnector", "session", "timeout"]


_HOOKS = ("connect", "_get", "_release", "_create_connection")
"""The methods of a connector that are its hooks: a connection for a request, out of the pool, back into it, and a new one."""


DISTRIBUTION = MODULE = "aiohttp"
VERSIONS = ("3.12", "4")

known(
    DISTRIBUTION,
    aiohttp.__version__,
    VERSIONS,
    [*((aiohttp.TCPConnector, name) for name in _HOOKS), (ResponseHandler, "_on_read_timeout")],
)


def _hooks(guard: Guard | None) -> dict[str, Any]:
    """The hooks with `guard` in them; without one, with the connector's own, its attribute `guard`."""
    connect, get, release, create = (_unjudged(getattr(aiohttp.TCPConnector, name)) for name in _HOOKS)

    def judged_connect(self: Any, req: Any, traces: Any, timeout: Any) -> Awaitable[Any]:
        left = seconds_left()
        if left == math.inf or (timeout.total and timeout.total <= left):  # 0 is none, as None is
            return connect(self, req, traces, timeout)  # type: ignore[no-any-return]
        return _within(left, partial(connect, self, req, traces), timeout)

    async def judged_get(self: Any, key: Any, traces: Any) -> Any:
        while (connection := await get(self, key, traces)) is not None:
            life: Life | None = getattr(connection.protocol, "thawsafe", None)  # none when it was opened before `thawsafe.install`
            if (
                life is None
                or (life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall)
                or await _is_usable(guard or self.guard, life, connection)
            ):
                return connection
            connection.close()
        return None

    async def judged_create(self: Any, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's
        began = time.perf_counter()
        protocol = await create(self, req, traces, timeout)
        peer = f"{req.connection_key.host}:{req.connection_key.port}"
        protocol.thawsafe = (guard or self.guard).opened(peer, time.perf_counter() - began, self._loop)
        return protocol

    judged: dict[str, Any] = dict(zip(_HOOKS, (judged_connect, judged_get, _judged_release(release, guard), judged_create), strict=True))
    for hook, original in zip(judged.values(), (connect, get, release, create), strict=True):
        hook.thawsafe_replaces = original
    return judged


def _judged_release(release: Callable[..., None], guard: Guard | None) -> Callable[..., None]:
    def judged_release(self: Any, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        life: Life | None = getattr(protocol, "thawsafe", None)  # none on a tunnel to a proxy, which is never pooled
        if life is not None:
            if not should_close:
                life.used = WATCH.monotonic()
                if life.judged:
                    life.proved()
            elif isinstance(protocol.exception(), (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
                (guard or self.guard).failed(life)
        release(self, key, protocol, should_close=should_close)

    return judged_release


async def _within(left: float, connect: Callable[[ClientTimeout], Awaitable[Any]], timeout: ClientTimeout) -> Any:  # noqa: ASYNC109
    """A connection whose request ends before the invocation does."""
    until = min(timeout.connect, left) if timeout.connect else left
    began = time.monotonic()
    # Not rounded up, as aiohttp does with what is longer than `ceil_threshold`: a second later the invocation may be over.
    connection = await connect(ClientTimeout(timeout.total, until, timeout.sock_read, timeout.sock_connect, ceil_threshold=math.inf))
    # aiohttp's own way to end a request whose answer does not come: the caller gets a SocketTimeoutError.
    protocol = connection.protocol
    alarm = protocol._loop.call_later(max(left - (time.monotonic() - began), 0.0), protocol._on_read_timeout)
    connection.add_callback(alarm.cancel)
    return connection


async def _is_usable(guard: Guard, life: Life, connection: Any) -> bool:
    try:
        return await guard.usable_async(life, partial(_is_closed, connection.protocol))
    except BaseException:
        connection.close()  # cancelled in between: its place must not be lost
        raise


def _unjudged(method: Any) -> Any:
    """Aiohttp's own method, whatever `thawsafe.install` has put in its place: nothing is judged twice."""
    return getattr(method, "thawsafe_replaces", method)


def _is_closed(protocol: ResponseHandler) -> bool:
    transport = protocol.transport
    if transport is None or transport.is_closing():
        return True
    own = transport.get_extra_info("socket")
    # An idle connection of HTTP/1.1 has nothing to be read but its end.
    return own is not None and is_readable(own.fileno())


class TCPConnector(aiohttp.TCPConnector):
    """aiohttp's TCPConnector with judged connections.

    configuration: the limits; None for `thawsafe.detect()`. Everything else is aiohttp's, and goes before the configuration. A connector has
    no timeouts: those are the session's, see `timeout`.
    """

    def __init__(self, configuration: Configuration | None = None, **options: Any) -> None:
        configuration = configuration or detect()
        self.guard = Guard("aiohttp", configuration)
        super().__init__(**(_options(configuration) | options))

    connect, _get, _release, _create_connection = _hooks(None).values()


def _options(configuration: Configuration) -> dict[str, Any]:
    """A configuration as a connector's arguments; 0 is aiohttp's word for no limit, and None for no age."""
    options: dict[str, Any] = {
        "limit": whole(configuration.connections) or 0,
        "limit_per_host": whole(configuration.connections_per_host) or 0,
        # Never shorter than the judge's: aiohttp throws away without saying why.
        "keepalive_timeout": finite(configuration.idle_age),
    }
    keepalive = keepalive_options(configuration.keepalive)
    if keepalive:
        options["socket_factory"] = partial(_socket, keepalive)
    return options


def _socket(options: Sequence[tuple[int, int, int]], address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    for option in options:
        made.setsockopt(*option)
    return made


def timeout(configuration: Configuration | None = None) -> ClientTimeout:
    """A configuration's timeouts as aiohttp's, which counts the TLS handshake as connecting. UNLIMITED becomes aiohttp's None."""
    configuration = configuration or detect()
    return ClientTimeout(
        total=finite(configuration.request_timeout),
        sock_connect=finite(configuration.connect_timeout),
        connect=finite(configuration.connect_timeout + configuration.tls_timeout),
        sock_read=finite(configuration.request_timeout),
    )


def session(configuration: Configuration | None = None, **options: Any) -> ClientSession:
    """An aiohttp session with judged connections and a configuration's timeouts. Make it in the loop that uses it, as aiohttp demands."""
    configuration = configuration or detect()
    ours: dict[str, Any] = {"connector": TCPConnector(configuration), "timeout": timeout(configuration)}
    return ClientSession(**(ours | options))


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge the connections of every connector for TCP, existing ones too. Says what it did; twice is once."""
    if _patches:
        return []
    # On the class for TCP, which inherits most of them: others have no peers that a freeze takes away.
    for name, hook in _hooks(Guard("aiohttp", configuration)).items():
        _patches.replace(aiohttp.TCPConnector, name, hook)
    return ["aiohttp: connections of connectors are judged when they are taken out; requests end before the invocation does."]


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
