"""grpc: channels that are judged when an RPC begins.

    from thawsafe.adapters import grpc
    channel = grpc.insecure_channel("orders.internal:50051")       # as grpcio's own: for stubs, for `grpc.intercept_channel`
    stub = OrdersStub(channel)

What grpcio does itself: it believes that a connection stands until the kernel says otherwise. After a freeze the first RPC on one that the
network has forgotten fails with UNAVAILABLE, and in a black hole it takes all of its deadline, and so does the next. Keepalive pings do not
help: they are not sent in a freeze, and a server that does not expect them answers too many with GOAWAY.

grpcio has no way to ping, and none to drop a connection and keep its channel. So a channel here holds one of grpcio's, and when that one's
connection cannot be trusted, the next RPC begins on another: one new connection, no RPC sent twice. RPCs under way end where they began;
their channel is closed with the first RPC after the last of them. The same when an RPC ran into its deadline and nothing was heard since.

Nothing private is used. Of the configuration, the limits of connections count for nothing, since RPCs share one; `retries` neither: grpcio
tries again what no server has seen, and a service config can ask for more. grpcio does not survive a fork after its first RPC, unless
GRPC_ENABLE_FORK_SUPPORT is set (grpc/grpc: doc/fork_support.md); nor does a channel of these. For asyncio: `grpc_aio`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]

from .._core.configurations import Configuration, NoKeepalive
from .._core.limits import finite
from .._runtime.deadline import seconds_left, within_time_left
from .._runtime.detection import detect
from ._clients import Patches, known
from ._grpc import Line, Lines

__all__ = ["Channel", "arguments", "insecure_channel", "install", "secure_channel", "uninstall"]

DISTRIBUTION, MODULE = "grpcio", "grpc"
VERSIONS = ("1.63", "2")
known(DISTRIBUTION, grpc.__version__, VERSIONS)

LONGEST = 2**31 - 1
"""Milliseconds. UNLIMITED for grpcio."""
LEAST_PING = 300.0
"""Seconds. Servers end a connection that is pinged more often, unless they were told to expect it (gRFC A8, A9)."""
FIRST_BACKOFF = 0.1
"""Seconds until connecting is tried again, which grows; grpcio's own 1 s is for servers that are overrun."""

Options = Sequence[tuple[str, Any]]


def arguments(configuration: Configuration, given: Options | None = None) -> list[tuple[str, Any]]:
    """A configuration as arguments of a channel; what was given goes before it. Idle channels let go of their connection after `idle_age`.
    Pings are sent while an RPC is under way, and never more often than a server takes that was told nothing.
    """
    connect = _milliseconds(configuration.connect_timeout + configuration.tls_timeout)
    ours: dict[str, Any] = {
        # Channels with the same arguments share connections otherwise: a new one would have the dead one's.
        "grpc.use_local_subchannel_pool": 1,
        "grpc.min_reconnect_backoff_ms": connect,  # grpcio's name for how long one attempt may take
        "grpc.initial_reconnect_backoff_ms": _milliseconds(FIRST_BACKOFF),
        "grpc.max_reconnect_backoff_ms": max(connect, _milliseconds(FIRST_BACKOFF)),
        "grpc.client_idle_timeout_ms": _milliseconds(configuration.idle_age),
    }
    keepalive = configuration.keepalive
    if not isinstance(keepalive, NoKeepalive):
        ours |= {
            "grpc.keepalive_time_ms": _milliseconds(max(keepalive.interval, LEAST_PING)),
            "grpc.keepalive_timeout_ms": _milliseconds(keepalive.timeout),
            "grpc.keepalive_permit_without_calls": 0,
        }
    taken = {name for name, _ in given or ()}
    return [item for item in ours.items() if item[0] not in taken] + list(given or ())


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), LONGEST) if finite(seconds) is not None else LONGEST


class _Method:
    """An RPC method: grpcio's own callable, made once for each channel, and what is done before and after a call of it."""

    def __init__(self, lines: Lines, make: Callable[[Any], Any], default_timeout: float | None) -> None:
        self._lines = lines
        self._make = make
        self._default_timeout = default_timeout
        self._made: tuple[Line | None, Any] = (None, None)

    def _on(self, line: Line) -> Any:
        """Grpcio's callable on this channel."""
        made_for, method = self._made
        if made_for is not line:
            method = self._make(line.channel)
            self._made = (line, method)
        return method

    def _start(self, way: str, request: Any, timeout: float | None, options: dict[str, Any]) -> Any:
        """A call that goes on after it was made."""
        lines = self._lines
        line, before = lines.begin()
        timeout = within_time_left(self._default_timeout if timeout is None else timeout)
        try:
            call = getattr(self._on(line), way)(request, timeout=timeout, **options)
        except BaseException:
            lines.end(line, before, None)
            raise

        def ended() -> None:
            lines.end(line, before, call.code())

        if not call.add_callback(ended):
            ended()
        return call


class _ToOne(_Method):
    """Methods with one answer. Most of all calls are these: they name what they pass on, which costs less than packing it."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        lines = self._lines
        line, before = lines.begin()
        if timeout is None:
            timeout = self._default_timeout
        if timeout is None or timeout > seconds_left():
            timeout = within_time_left(timeout)
        made_for, method = self._made
        try:
            if made_for is not line:
                method = self._on(line)
            answer = method(request, timeout, metadata, credentials, wait_for_ready, compression)
        except BaseException as error:
            lines.failed(line, before, error)
            raise
        lines.answered(line)
        return answer

    def with_call(self, request: Any, timeout: float | None = None, **options: Any) -> Any:
        line, before = self._lines.begin()
        try:
            pair = self._on(line).with_call(request, within_time_left(self._default_timeout if timeout is None else timeout), **options)
        except BaseException as error:
            self._lines.failed(line, before, error)
            raise
        self._lines.answered(line)
        return pair

    def future(self, request: Any, timeout: float | None = None, **options: Any) -> Any:
        return self._start("future", request, timeout, options)


class _ToMany(_Method):
    """Methods with a stream of answers."""

    def __call__(self, request: Any, timeout: float | None = None, **options: Any) -> Any:
        return self._start("__call__", request, timeout, options)


class _UnaryUnary(_ToOne, grpc.UnaryUnaryMultiCallable): ...  # type: ignore[misc]


class _UnaryStream(_ToMany, grpc.UnaryStreamMultiCallable): ...  # type: ignore[misc]


class _StreamUnary(_ToOne, grpc.StreamUnaryMultiCallable): ...  # type: ignore[misc]


class _StreamStream(_ToMany, grpc.StreamStreamMultiCallable): ...  # type: ignore[misc]


class Channel(grpc.Channel):  # type: ignore[misc]
    """A channel whose RPCs begin on a connection that can be trusted; made by `insecure_channel` and `secure_channel`.

    make: makes one of grpcio's channels. default_timeout: seconds for an RPC with one answer that names no timeout; None for none.
    """

    def __init__(self, configuration: Configuration, target: str, make: Callable[[], grpc.Channel], default_timeout: float | None) -> None:
        self._lines = Lines(configuration, target, make)
        self._lines.line()  # so that wrong arguments are told at once
        self.guard = self._lines.guard
        self._default_timeout = default_timeout

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> grpc.UnaryUnaryMultiCallable:
        return _UnaryUnary(self._lines, lambda channel: channel.unary_unary(method, *args, **kwargs), self._default_timeout)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> grpc.UnaryStreamMultiCallable:
        return _UnaryStream(self._lines, lambda channel: channel.unary_stream(method, *args, **kwargs), None)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> grpc.StreamUnaryMultiCallable:
        return _StreamUnary(self._lines, lambda channel: channel.stream_unary(method, *args, **kwargs), self._default_timeout)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> grpc.StreamStreamMultiCallable:
        return _StreamStream(self._lines, lambda channel: channel.stream_stream(method, *args, **kwargs), None)

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool | None = False) -> None:
        """Tell `callback` the state of the connection that the next RPC will have."""
        self._lines.listeners.append(callback)
        if try_to_connect:
            self._lines.connects()
        self._lines.line().channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self._lines.listeners = [listener for listener in self._lines.listeners if listener is not callback]
        self._lines.line().channel.unsubscribe(callback)

    def close(self) -> None:
        """End every RPC and every connection, as grpcio does."""
        for channel in self._lines.all():
            channel.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_insecure_channel, _secure_channel = grpc.insecure_channel, grpc.secure_channel


def insecure_channel(
    target: str, options: Options | None = None, compression: grpc.Compression | None = None, *, configuration: Configuration | None = None
) -> Channel:
    """Grpcio's `insecure_channel`, judged.

    configuration: the limits; None for `thawsafe.detect()`. Everything else is grpcio's, and goes before it.
    """
    chosen = configuration or detect()
    given = arguments(chosen, options)
    return Channel(chosen, target, lambda: _insecure_channel(target, given, compression), finite(chosen.request_timeout))


def secure_channel(
    target: str,
    credentials: grpc.ChannelCredentials,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    *,
    configuration: Configuration | None = None,
) -> Channel:
    """Grpcio's `secure_channel`, judged; see `insecure_channel`."""
    chosen = configuration or detect()
    given = arguments(chosen, options)
    return Channel(chosen, target, lambda: _secure_channel(target, credentials, given, compression), finite(chosen.request_timeout))


_patches = Patches()


def install(configuration: Configuration) -> list[str]:
    """Judge every channel that `grpc` and `grpc.aio` make from now on. Says what it did; twice is once."""
    from . import grpc_aio

    if _patches:
        return []

    def insecure(target: str, options: Options | None = None, compression: Any = None) -> Channel:
        given = arguments(configuration, options)
        return Channel(configuration, target, lambda: _insecure_channel(target, given, compression), None)

    def secure(target: str, credentials: Any, options: Options | None = None, compression: Any = None) -> Channel:
        given = arguments(configuration, options)
        return Channel(configuration, target, lambda: _secure_channel(target, credentials, given, compression), None)

    _patches.replace(grpc, "insecure_channel", insecure)
    _patches.replace(grpc, "secure_channel", secure)
    grpc_aio.patch(_patches, configuration)
    return [
        "grpc: channels, sync and asyncio, are judged when an RPC begins; after a freeze it begins on a new connection.",
        "grpc: an RPC without a timeout gets the time that is left of the invocation.",
    ]


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
