"""Clients with options: proxies, tunnels, custom TLS, HTTP/2 by ALPN. Each thaws with `lost`, which only a judged connection survives."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp as bare_aiohttp
import pytest

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.h2_server import h2_server
from tests.thawsafe.http_server import http_server
from tests.thawsafe.subject import Server
from tests.thawsafe.tls import certificate, client_context, server_context
from tests.thawsafe.tunnel import tunnel_proxy
from thawsafe import lambda_
from thawsafe.adapters import aiohttp, httpx, requests, urllib3

Call = Callable[[str], object]
PATIENT = lambda_().replace(probe_timeout=5.0)


class Way:
    """A server for TLS or without, what stands before it, and the clocks."""

    def __init__(self, stack: ExitStack, clocks: Clocks) -> None:
        self.stack = stack
        self.clocks = clocks

    def proxied(self, port: int) -> FateProxy:
        proxy = FateProxy("127.0.0.1", port)
        self.stack.callback(proxy.close)
        return proxy

    def thaws(self, proxy: FateProxy, server: Server, call: Call) -> None:
        """The law: one connection before, one after, and the request is seen once."""
        call("first")
        call("second")
        assert proxy.accepted == 1
        proxy.freeze("lost")
        self.clocks.pass_(30.0)
        mark_invocation()
        call("thaw")
        call("again")
        assert server.seen["thaw"] == 1
        assert proxy.accepted == 2


@pytest.fixture
def way(clocks: Clocks) -> Iterator[Way]:
    with ExitStack() as stack:
        yield Way(stack, clocks)


def with_urllib3(stack: ExitStack, base: str, proxy: str | None) -> Call:
    options: dict[str, Any] = {"ssl_context": client_context(), "retries": False}
    manager: Any = urllib3.ProxyManager(proxy, lambda_(), **options) if proxy else urllib3.PoolManager(lambda_(), **options)
    stack.callback(manager.clear)
    return lambda tag: check(manager.request("POST", f"{base}/{tag}", body=b"x").status)


def with_requests(stack: ExitStack, base: str, proxy: str | None) -> Call:
    session = stack.enter_context(requests.Session(lambda_()))
    session.trust_env = False
    session.verify = str(certificate()[0])
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
    return lambda tag: check(session.post(f"{base}/{tag}", data=b"x").status_code)


def with_httpx(stack: ExitStack, base: str, proxy: str | None) -> Call:
    client = stack.enter_context(httpx.Client(lambda_(), verify=client_context(), proxy=proxy, trust_env=False))
    return lambda tag: check(client.post(f"{base}/{tag}", content=b"x").status_code)


def with_httpx_async(stack: ExitStack, base: str, proxy: str | None) -> Call:
    loop = asyncio.new_event_loop()
    client = httpx.AsyncClient(lambda_(), verify=client_context(), proxy=proxy, trust_env=False)
    stack.callback(loop.close)
    stack.callback(lambda: loop.run_until_complete(client.aclose()))
    return lambda tag: check(loop.run_until_complete(client.post(f"{base}/{tag}", content=b"x")).status_code)


def with_aiohttp(stack: ExitStack, base: str, proxy: str | None) -> Call:
    loop = asyncio.new_event_loop()

    async def made() -> bare_aiohttp.ClientSession:
        return aiohttp.session(lambda_(), connector=aiohttp.TCPConnector(lambda_(), ssl=client_context()))

    session = loop.run_until_complete(made())

    async def call(tag: str) -> None:
        async with session.post(f"{base}/{tag}", data=b"x", proxy=proxy) as response:
            await response.read()
            check(response.status)

    stack.callback(loop.close)
    stack.callback(lambda: loop.run_until_complete(session.close()))
    return lambda tag: loop.run_until_complete(call(tag))


def check(status: int) -> None:
    assert status == 200


MAKERS = [with_urllib3, with_requests, with_httpx, with_httpx_async, with_aiohttp]
every_client = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__.removeprefix("with_"))


@every_client
def test_tls_with_an_authority_of_ones_own(way: Way, make: Callable[..., Call]) -> None:
    server = way.stack.enter_context(http_server(context=server_context()))
    proxy = way.proxied(server.port)

    way.thaws(proxy, server, make(way.stack, f"https://127.0.0.1:{proxy.port}", None))


@every_client
def test_through_a_forward_proxy(way: Way, make: Callable[..., Call]) -> None:
    """Plain http through a proxy: the request line has the whole URL, and the connection is the proxy's."""
    server = way.stack.enter_context(http_server())
    proxy = way.proxied(server.port)

    way.thaws(proxy, server, make(way.stack, "http://elsewhere.invalid", f"http://127.0.0.1:{proxy.port}"))


@every_client
def test_through_a_tunnel(way: Way, make: Callable[..., Call]) -> None:
    """TLS inside of CONNECT; what is lost is the way to the proxy."""
    server = way.stack.enter_context(http_server(context=server_context()))
    tunnels = way.stack.enter_context(tunnel_proxy())
    proxy = way.proxied(tunnels.port)

    way.thaws(proxy, server, make(way.stack, f"https://127.0.0.1:{server.port}", f"http://127.0.0.1:{proxy.port}"))
    assert tunnels.tunnels == 2


@pytest.mark.parametrize("probe", ["answered", "lost"])
def test_http2_by_alpn_is_asked(way: Way, patient: None, probe: str) -> None:
    server = way.stack.enter_context(h2_server(server_context("h2")))
    proxy = way.proxied(server.port)
    client = way.stack.enter_context(httpx.Client(PATIENT, verify=client_context(), http2=True, trust_env=False))
    base = f"https://127.0.0.1:{proxy.port}"
    assert client.post(f"{base}/first", content=b"x").http_version == "HTTP/2"
    proxy.freeze("survive" if probe == "answered" else "lost")
    way.clocks.pass_(30.0)
    mark_invocation()

    client.post(f"{base}/thaw", content=b"x")

    assert server.seen["thaw"] == 1
    assert server.pings == (1 if probe == "answered" else 0)
    assert proxy.accepted == (1 if probe == "answered" else 2)


def test_http2_through_a_tunnel_is_asked_as_well(way: Way, patient: None) -> None:
    server = way.stack.enter_context(h2_server(server_context("h2")))
    tunnels = way.stack.enter_context(tunnel_proxy())
    client = way.stack.enter_context(
        httpx.Client(PATIENT, verify=client_context(), http2=True, trust_env=False, proxy=f"http://127.0.0.1:{tunnels.port}")
    )
    base = f"https://127.0.0.1:{server.port}"
    client.get(f"{base}/first")
    way.clocks.pass_(30.0)
    mark_invocation()
    client.get(f"{base}/thaw")

    assert server.pings == 1
    assert tunnels.tunnels == 1


left_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Who closes a loop before its connections leaves transports behind, and Python says so when they are collected."""


@left_open
def test_a_client_that_outlives_its_event_loop(clocks: Clocks) -> None:
    """`asyncio.run` in every invocation: connections of the last one's loop are not touched again."""

    async def call(client: httpx.AsyncClient, url: str) -> int:
        return (await client.post(url, content=b"x")).status_code

    async def call_and_close(client: httpx.AsyncClient, url: str) -> int:
        try:
            return await call(client, url)
        finally:
            await client.aclose()

    with http_server() as server:
        client = httpx.AsyncClient(lambda_(), trust_env=False)
        url = f"http://127.0.0.1:{server.port}/tag"
        for invocation in (call, call, call_and_close):
            assert asyncio.run(invocation(client, url)) == 200
        assert server.seen["tag"] == 3
    gc.collect()


@left_open
def test_aiohttp_says_itself_that_its_loop_is_closed(clocks: Clocks) -> None:
    """A session belongs to one loop; its own error is clear, and nothing of ours comes before it."""
    opened: list[bare_aiohttp.ClientSession] = []

    async def call(url: str) -> None:
        if not opened:
            opened.append(aiohttp.session(lambda_()))
        async with opened[0].post(url, data=b"x") as response:
            await response.read()

    with http_server() as server:
        url = f"http://127.0.0.1:{server.port}/tag"
        asyncio.run(call(url))
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            asyncio.run(call(url))
    opened.clear()
    gc.collect()
