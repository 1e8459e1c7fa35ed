"""grpc.aio: channels that are judged when an RPC begins.

    from thawsafe.adapters import grpc_aio
    channel = grpc_aio.insecure_channel("orders.internal:50051")

As `grpc`. A channel of grpcio's belongs to an event loop; one of these makes another in each loop that it is used in, so that it may be a global
of a function whose handler calls `asyncio.run`. Nothing private is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from .._core.configurations import Configuration
from .._core.limits import finite
from .._runtime.deadline import seconds_left, within_time_left
from .._runtime.detection import detect
from ._clients import Patches
from ._grpc import Line, Lines
from .grpc import Options, arguments

__all__ = ["Channel", "insecure_channel", "secure_channel"]

Interceptors = Sequence[grpc.aio.ClientInterceptor]


class _LoopLines(Lines):
    """The channels of one channel, in the loop that uses it."""

    loop: asyncio.AbstractEventLoop | None = None

    def line(self) -> Line:
        loop = asyncio.get_running_loop()
        if self.loop is not loop:  # grpcio closes the channels of another loop when they are collected; from here nobody can
            self.loop, self._line, self._left = loop, None, []
        return super().line()

    def close_channel(self, channel: Any) -> None:
        _finish(channel.close())


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for; None if it has."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    return None


class _Method:
    """An RPC method: grpcio's own callable, made once for each channel, and what is done before and after a call of it."""

    def __init__(self, lines: _LoopLines, make: Callable[[Any], Any], default_timeout: float | None) -> None:
        self._lines = lines
        self._make = make
        self._default_timeout = default_timeout
        self._made: tuple[Line | None, Any] = (None, None)

    def __call__(self, request: Any = None, timeout: float | None = None, **options: Any) -> Any:
        lines = self._lines
        if lines.loop is not asyncio.get_running_loop():
            lines.line()
        line, before = lines.begin()
        made_for, method = self._made
        if made_for is not line:
            method = self._make(line.channel)
            self._made = (line, method)
        if timeout is None:
            timeout = self._default_timeout
        if timeout is None or timeout > seconds_left():
            timeout = within_time_left(timeout)
        try:
            call = method(request, timeout=timeout, **options)
        except BaseException:
            lines.end(line, before, None)
            raise

        def ended(call: Any) -> None:
            code = _finish(call.code())  # it is there when a call has ended
            if code is _OK:
                lines.answered(line)
            else:
                lines.end(line, before, code)

        call.add_done_callback(ended)
        return call


_OK = grpc.StatusCode.OK


class _UnaryUnary(_Method, grpc.aio.UnaryUnaryMultiCallable):  # type: ignore[misc]
    pass


class _UnaryStream(_Method, grpc.aio.UnaryStreamMultiCallable):  # type: ignore[misc]
    pass


class _StreamUnary(_Method, grpc.aio.StreamUnaryMultiCallable):  # type: ignore[misc]
    pass


class _StreamStream(_Method, grpc.aio.StreamStreamMultiCallable):  # type: ignore[misc]
    pass


class Channel(grpc.aio.Channel):  # type: ignore[misc]
    """A channel whose RPCs begin on a connection that can be trusted; made by `insecure_channel` and `secure_channel`.

    make: makes one of grpcio's channels, in the running loop. default_timeout: seconds for an RPC with one answer that names no timeout.
    """

    def __init__(
        self, configuration: Configuration, target: str, make: Callable[[], grpc.aio.Channel], default_timeout: float | None
    ) -> None:
        self._lines = _LoopLines(configuration, target, make)
        self.guard = self._lines.guard
        self._default_timeout = default_timeout

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _UnaryUnary(self._lines, lambda channel: channel.unary_unary(method, *args, **kwargs), self._default_timeout)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _UnaryStream(self._lines, lambda channel: channel.unary_stream(method, *args, **kwargs), None)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _StreamUnary(self._lines, lambda channel: channel.stream_unary(method, *args, **kwargs), self._default_timeout)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return _StreamStream(self._lines, lambda channel: channel.stream_stream(method, *args, **kwargs), None)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the connection that the next RPC will have."""
        if try_to_connect:
            self._lines.connects()
        return self._lines.line().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until it is another."""
        await self._lines.line().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until it stands."""
        self._lines.connects()
        await self._lines.line().channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """End every RPC and every connection, as grpcio does."""
        await asyncio.gather(*(channel.close(grace) for channel in self._lines.all()))

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


_insecure_channel, _secure_channel = grpc.aio.insecure_channel, grpc.aio.secure_channel


def insecure_channel(
    target: str,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Interceptors | None = None,
    *,
    configuration: Configuration | None = None,
) -> Channel:
    """grpc.aio's `insecure_channel`, judged.

    configuration: the limits; None for `thawsafe.detect()`. Everything else is grpcio's, and goes before it.
    """
    chosen = configuration or detect()
    given = arguments(chosen, options)
    return Channel(chosen, target, lambda: _insecure_channel(target, given, compression, interceptors), finite(chosen.request_timeout))


def secure_channel(
    target: str,
    credentials: grpc.ChannelCredentials,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Interceptors | None = None,
    *,
    configuration: Configuration | None = None,
) -> Channel:
    """grpc.aio's `secure_channel`, judged; see `insecure_channel`."""
    chosen = configuration or detect()
    given = arguments(chosen, options)
    return Channel(
        chosen, target, lambda: _secure_channel(target, credentials, given, compression, interceptors), finite(chosen.request_timeout)
    )


def patch(patches: Patches, configuration: Configuration) -> None:
    """What `grpc.install` replaces for asyncio."""

    def insecure(target: str, options: Options | None = None, compression: Any = None, interceptors: Interceptors | None = None) -> Channel:
        given = arguments(configuration, options)
        return Channel(configuration, target, lambda: _insecure_channel(target, given, compression, interceptors), None)

    def secure(
        target: str, credentials: Any, options: Options | None = None, compression: Any = None, interceptors: Interceptors | None = None
    ) -> Channel:
        given = arguments(configuration, options)
        return Channel(configuration, target, lambda: _secure_channel(target, credentials, given, compression, interceptors), None)

    patches.replace(grpc.aio, "insecure_channel", insecure)
    patches.replace(grpc.aio, "secure_channel", secure)
