"""Clients with options, as their own libraries make them, after `install`: proxies, tunnels, custom TLS, HTTP/2, few connections, many threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp
import grpc  # type: ignore[import-untyped]
import httpx
import pytest
import requests
import urllib3

from tests.thawsafe.adapters.test_http_options import Call, Way, check
from tests.thawsafe.fate_proxy import FATES, Fate
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.h2_server import h2_server
from tests.thawsafe.http_server import http_server
from tests.thawsafe.servers.grpc import SERVICE, grpc_server
from tests.thawsafe.subject import in_threads
from tests.thawsafe.tls import certificate, client_context, server_context
from tests.thawsafe.tunnel import tunnel_proxy
from thawsafe import install, lambda_
from thawsafe._install.installer import uninstall

TIMEOUT = 20.0
CROWD = [f"crowd-{number}" for number in range(50)]


@pytest.fixture
def way(clocks: Clocks) -> Iterator[Way]:
    install(lambda_())
    with ExitStack() as stack:
        yield Way(stack, clocks)
    uninstall()


def with_urllib3(stack: ExitStack, base: str, proxy: str | None, connections: int) -> Call:
    options: dict[str, Any] = {
        "ssl_context": client_context(),
        "retries": False,
        "timeout": TIMEOUT,
        "maxsize": connections,
        "block": True,
    }
    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    stack.callback(manager.clear)
    return lambda tag: check(manager.request("POST", f"{base}/{tag}", body=b"x").status)


def with_requests(stack: ExitStack, base: str, proxy: str | None, connections: int) -> Call:
    session = stack.enter_context(requests.Session())
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=connections, pool_block=True))
    session.trust_env = False
    session.verify = str(certificate()[0])
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
    return lambda tag: check(session.post(f"{base}/{tag}", data=b"x", timeout=TIMEOUT).status_code)


def with_httpx(stack: ExitStack, base: str, proxy: str | None, connections: int) -> Call:
    limits = httpx.Limits(max_connections=connections, keepalive_expiry=300)
    client = stack.enter_context(httpx.Client(verify=client_context(), proxy=proxy, trust_env=False, timeout=TIMEOUT, limits=limits))
    return lambda tag: check(client.post(f"{base}/{tag}", content=b"x").status_code)


THREADED = [with_urllib3, with_requests, with_httpx]


class OnLoop:
    """Calls of a client of asyncio, one by one or all at once."""

    def __init__(self, stack: ExitStack) -> None:
        self.loop = asyncio.new_event_loop()
        stack.callback(self.loop.close)

    async def post(self, url: str) -> int:
        raise NotImplementedError

    def call(self, url: str) -> None:
        check(self.loop.run_until_complete(self.post(url)))

    def call_all(self, urls: list[str]) -> None:
        async def all_of_them() -> list[int]:
            return list(await asyncio.gather(*(self.post(url) for url in urls)))

        for status in self.loop.run_until_complete(all_of_them()):
            check(status)


class WithAiohttp(OnLoop):
    def __init__(self, stack: ExitStack, proxy: str | None, connections: int) -> None:
        super().__init__(stack)
        self.proxy = proxy
        self.session = self.loop.run_until_complete(self._made(connections))
        stack.callback(lambda: self.loop.run_until_complete(self.session.close()))

    async def _made(self, connections: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=client_context(), limit=connections, keepalive_timeout=300)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT))

    async def post(self, url: str) -> int:
        async with self.session.post(url, data=b"x", proxy=self.proxy) as response:
            await response.read()
            return response.status


class WithHttpxAsync(OnLoop):
    def __init__(self, stack: ExitStack, proxy: str | None, connections: int) -> None:
        super().__init__(stack)
        limits = httpx.Limits(max_connections=connections, keepalive_expiry=300)
        self.client = httpx.AsyncClient(verify=client_context(), proxy=proxy, trust_env=False, timeout=TIMEOUT, limits=limits)
        stack.callback(lambda: self.loop.run_until_complete(self.client.aclose()))

    async def post(self, url: str) -> int:
        return (await self.client.post(url, content=b"x")).status_code


LOOPED = [WithAiohttp, WithHttpxAsync]


def with_loop(kind: Callable[..., OnLoop]) -> Callable[..., Call]:
    """As the makers of `THREADED`."""

    def make(stack: ExitStack, base: str, proxy: str | None, connections: int) -> Call:
        client = kind(stack, proxy, connections)
        return lambda tag: client.call(f"{base}/{tag}")

    make.__name__ = kind.__name__
    return make


every_client = pytest.mark.parametrize("make", [*THREADED, *map(with_loop, LOOPED)], ids=lambda make: make.__name__)


@every_client
def test_tls_with_an_authority_of_ones_own(way: Way, make: Callable[..., Call]) -> None:
    server = way.stack.enter_context(http_server(context=server_context()))
    proxy = way.proxied(server.port)

    way.thaws(proxy, server, make(way.stack, f"https://127.0.0.1:{proxy.port}", None, 10))


@every_client
def test_through_a_forward_proxy_with_one_connection(way: Way, make: Callable[..., Call]) -> None:
    server = way.stack.enter_context(http_server())
    proxy = way.proxied(server.port)

    way.thaws(proxy, server, make(way.stack, "http://elsewhere.invalid", f"http://127.0.0.1:{proxy.port}", 1))


@every_client
def test_through_a_tunnel_with_one_connection(way: Way, make: Callable[..., Call]) -> None:
    server = way.stack.enter_context(http_server(context=server_context()))
    tunnels = way.stack.enter_context(tunnel_proxy())
    proxy = way.proxied(tunnels.port)

    way.thaws(proxy, server, make(way.stack, f"https://127.0.0.1:{server.port}", f"http://127.0.0.1:{proxy.port}", 1))


# Not httpx with one connection: threads that wait for the same one make bare httpcore 1.0.9 fail with a ReadError or a ReadTimeout, in a quarter of 50 crowds.
CROWDED = [(make, connections) for make in THREADED for connections in (1, 50) if (make, connections) != (with_httpx, 1)]


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(("make", "connections"), CROWDED, ids=[f"{make.__name__}-{connections}" for make, connections in CROWDED])
def test_fifty_threads_over_a_thaw(way: Way, make: Callable[..., Call], fate: Fate, connections: int) -> None:
    server = way.stack.enter_context(http_server())
    proxy = way.proxied(server.port)
    call = make(way.stack, f"http://127.0.0.1:{proxy.port}", None, connections)
    in_threads([f"before-{tag}" for tag in CROWD], call)
    opened = proxy.accepted
    proxy.freeze(fate)
    way.clocks.pass_(30.0)
    mark_invocation()

    in_threads(CROWD, call)

    assert [server.seen[tag] for tag in CROWD] == [1] * 50
    assert proxy.accepted <= opened + connections


@pytest.mark.parametrize("connections", [1, 50])
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("kind", LOOPED)
def test_fifty_tasks_over_a_thaw(way: Way, kind: Callable[..., OnLoop], fate: Fate, connections: int) -> None:
    server = way.stack.enter_context(http_server())
    proxy = way.proxied(server.port)
    base = f"http://127.0.0.1:{proxy.port}"
    client = kind(way.stack, None, connections)
    client.call_all([f"{base}/before-{tag}" for tag in CROWD])
    opened = proxy.accepted
    proxy.freeze(fate)
    way.clocks.pass_(30.0)
    mark_invocation()

    client.call_all([f"{base}/{tag}" for tag in CROWD])

    assert [server.seen[tag] for tag in CROWD] == [1] * 50
    assert proxy.accepted <= opened + connections


@pytest.mark.parametrize("fate", ["survive", "lost"])
def test_http2_by_alpn_with_one_connection(way: Way, patient: None, fate: Fate) -> None:
    server = way.stack.enter_context(h2_server(server_context("h2")))
    proxy = way.proxied(server.port)
    limits = httpx.Limits(max_connections=1, keepalive_expiry=300)
    client = way.stack.enter_context(httpx.Client(verify=client_context(), http2=True, trust_env=False, timeout=TIMEOUT, limits=limits))
    base = f"https://127.0.0.1:{proxy.port}"
    assert client.post(f"{base}/first", content=b"x").http_version == "HTTP/2"
    proxy.freeze(fate)
    way.clocks.pass_(30.0)
    mark_invocation()

    client.post(f"{base}/thaw", content=b"x")

    assert server.seen["thaw"] == 1


@pytest.mark.parametrize("fate", FATES)
def test_fifty_threads_share_a_channel_over_a_thaw(way: Way, fate: Fate) -> None:
    server = way.stack.enter_context(grpc_server())
    proxy = way.proxied(server.port)
    channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port}")
    way.stack.callback(channel.close)
    echo = channel.unary_unary(f"/{SERVICE}/One")
    in_threads(["before"], lambda tag: echo(tag.encode(), timeout=TIMEOUT))
    proxy.freeze(fate)
    way.clocks.pass_(30.0)
    mark_invocation()

    in_threads(CROWD, lambda tag: echo(tag.encode(), timeout=TIMEOUT))

    assert [server.seen[tag] for tag in CROWD] == [1] * 50
    assert proxy.accepted == 2
