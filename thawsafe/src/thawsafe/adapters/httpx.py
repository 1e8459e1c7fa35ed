"""httpx: clients and transports whose connections are judged, HTTP/1.1 and HTTP/2, sync and async.

    from thawsafe.adapters import httpx
    client = httpx.Client()                       # or AsyncClient; a client of your own takes `transport=httpx.HTTPTransport()`

What httpx does itself is httpcore's (see there), with a `keepalive_expiry` of 5 s, and a timeout of 5 s. It does not retry; nor does this:
httpx's `retries` are for failed connects, and a configuration's are that.

Private and used: a transport's `_pool`, and a client's `_init_transport` and `_init_proxy_transport`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Coroutine
from typing import Any

import httpx

from .._core.configurations import Configuration, NoRetries
from .._core.limits import finite, whole
from .._runtime.deadline import seconds_left
from .._runtime.detection import detect
from .._runtime.guard import Guard
from .._runtime.sockets import keepalive_options
from ._clients import Patches, known
from .httpcore import judge_async_pool, judge_pool

__all__ = ["AsyncClient", "AsyncHTTPTransport", "Client", "HTTPTransport", "limits", "timeout"]


DISTRIBUTION = MODULE = "httpx"
VERSIONS = ("0.28", "1")

known(DISTRIBUTION, httpx.__version__, VERSIONS, [(httpx.Client, "_init_transport"), (httpx.Client, "_init_proxy_transport")])


def limits(configuration: Configuration) -> httpx.Limits:
    """A configuration's limits as httpx's. UNLIMITED becomes httpx's None."""
    total = whole(configuration.connections)
    return httpx.Limits(
        max_connections=total,  # httpx has no limit for one host
        max_keepalive_connections=total,
        # Never shorter than the judge's: httpx throws away without saying why.
        keepalive_expiry=finite(configuration.idle_age),
    )


def timeout(configuration: Configuration) -> httpx.Timeout:
    """A configuration's timeouts as httpx's, which counts the TLS handshake as connecting, apart from it and with the same limit."""
    request = finite(configuration.request_timeout)
    connect = finite(max(configuration.connect_timeout, configuration.tls_timeout))
    return httpx.Timeout(connect=connect, read=request, write=request, pool=request)


def _options(configuration: Configuration, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a transport: what was given goes before the configuration."""
    retries = configuration.retries
    options: dict[str, Any] = {
        "limits": limits(configuration),
        "retries": 0 if isinstance(retries, NoRetries) else whole(retries.attempts) or sys.maxsize,
    }
    keepalive = keepalive_options(configuration.keepalive)
    if keepalive:
        options["socket_options"] = keepalive
    return options | given


def _client_options(configuration: Configuration, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a client: what was given goes before the configuration."""
    return {"timeout": timeout(configuration), "limits": limits(configuration), **given}


def wait_within_time_left(request: httpx.Request) -> None:
    """Lets a request wait for a free connection only as long as the invocation has time; what comes after it, httpcore's adapter limits."""
    left = seconds_left()
    try:
        enough = request.extensions["timeout"]["pool"] <= left
    except (KeyError, TypeError):  # there is none
        enough = left == math.inf
    if not enough:
        timeouts = {**request.extensions.get("timeout", {}), "pool": left}
        request.extensions = {**request.extensions, "timeout": timeouts}


class HTTPTransport(httpx.HTTPTransport):
    """httpx's HTTPTransport with judged connections.

    configuration: the limits; None for `thawsafe.detect()`. Everything else is httpx's, and goes before the configuration. A transport has no
    timeouts: those are the client's, see `timeout`.
    """

    def __init__(self, configuration: Configuration | None = None, **options: Any) -> None:
        configuration = configuration or detect()
        super().__init__(**_options(configuration, options))
        self.guard = Guard("httpx", configuration)
        judge_pool(self._pool, self.guard)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Httpx's own, within the time that is left of the invocation."""
        wait_within_time_left(request)
        return super().handle_request(request)


class AsyncHTTPTransport(httpx.AsyncHTTPTransport):
    """httpx's AsyncHTTPTransport with judged connections; see `HTTPTransport`."""

    def __init__(self, configuration: Configuration | None = None, **options: Any) -> None:
        configuration = configuration or detect()
        super().__init__(**_options(configuration, options))
        self.guard = Guard("httpx", configuration)
        judge_async_pool(self._pool, self.guard)

    def handle_async_request(self, request: httpx.Request) -> Coroutine[Any, Any, httpx.Response]:
        """Httpx's own, within the time that is left of the invocation."""
        wait_within_time_left(request)
        return super().handle_async_request(request)  # its coroutine, without another around it


class Client(httpx.Client):
    """httpx's Client with judged connections, through proxies too, and a configuration's timeouts.

    configuration: the limits; None for `thawsafe.detect()`. Everything else is httpx's, and goes before the configuration; a `transport`
    that is given is used as it is.
    """

    def __init__(self, configuration: Configuration | None = None, **options: Any) -> None:
        self.configuration = configuration or detect()
        super().__init__(**_client_options(self.configuration, options))

    def _init_transport(self, *, transport: httpx.BaseTransport | None = None, **options: Any) -> httpx.BaseTransport:  # type: ignore[override]
        return transport or HTTPTransport(self.configuration, **options)

    def _init_proxy_transport(self, proxy: httpx.Proxy, **options: Any) -> httpx.BaseTransport:  # type: ignore[override]
        return HTTPTransport(self.configuration, proxy=proxy, **options)


class AsyncClient(httpx.AsyncClient):
    """httpx's AsyncClient with judged connections; see `Client`."""

    def __init__(self, configuration: Configuration | None = None, **options: Any) -> None:
        self.configuration = configuration or detect()
        super().__init__(**_client_options(self.configuration, options))

    def _init_transport(self, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> httpx.AsyncBaseTransport:  # type: ignore[override]
        return transport or AsyncHTTPTransport(self.configuration, **options)

    def _init_proxy_transport(self, proxy: httpx.Proxy, **options: Any) -> httpx.AsyncBaseTransport:  # type: ignore[override]
        return AsyncHTTPTransport(self.configuration, proxy=proxy, **options)


_patches = Patches()


def install(configuration: Configuration) -> list[str]:  # noqa: ARG001 - its connections are httpcore's, which has it
    """Limit what transports wait for a connection, existing ones too. Says what it did; twice is once."""
    if _patches:
        return []
    send, send_async = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request

    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        wait_within_time_left(request)
        return send(self, request)

    def handle_async_request(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> Coroutine[Any, Any, httpx.Response]:
        wait_within_time_left(request)
        return send_async(self, request)

    _patches.replace(httpx.HTTPTransport, "handle_request", handle_request)
    _patches.replace(httpx.AsyncHTTPTransport, "handle_async_request", handle_async_request)
    return ["httpx: waiting for a connection ends before the invocation does."]


def uninstall() -> None:
    """Undo `install`, for tests."""
    _patches.undo()
