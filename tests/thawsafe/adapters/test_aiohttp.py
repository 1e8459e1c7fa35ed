from __future__ import annotations

import asyncio
import math
import socket
from typing import Any

import aiohttp as bare
import pytest

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.http_server import http_server
from thawsafe import UNLIMITED, in_region, invocation, lambda_
from thawsafe.adapters import aiohttp


async def test_a_configuration_becomes_a_connectors_options() -> None:
    async with aiohttp.TCPConnector(lambda_()) as connector:
        assert (connector.limit, connector.limit_per_host, connector._keepalive_timeout) == (50, 10, 50.0)
    unlimited = lambda_().replace(connections=UNLIMITED, connections_per_host=UNLIMITED, idle_age=UNLIMITED)
    async with aiohttp.TCPConnector(unlimited) as connector:
        assert (connector.limit, connector.limit_per_host, connector._keepalive_timeout) == (0, 0, None)
    async with aiohttp.TCPConnector(lambda_(), limit=3) as connector:
        assert connector.limit == 3, "what is given goes first"


def test_a_configuration_becomes_a_sessions_timeouts() -> None:
    assert aiohttp.timeout(lambda_()) == bare.ClientTimeout(total=10.0, connect=5.0, sock_connect=2.0, sock_read=10.0)


async def test_keepalive_is_given_to_sockets() -> None:
    with http_server() as server:
        async with aiohttp.session(in_region()) as session, session.get(f"http://127.0.0.1:{server.port}/tag") as response:
            assert response.connection is None or response.connection.transport is not None
            [protocol] = session.connector._acquired or [next(iter(session.connector._conns.values()))[0][0]]  # type: ignore[union-attr]
            own = protocol.transport.get_extra_info("socket")
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


@pytest.mark.parametrize("none", [None, 0])
async def test_connecting_ends_before_the_invocation_whatever_aiohttp_calls_no_limit(none: float | None) -> None:
    """For aiohttp 0 is no limit either, and what is above 5 s is rounded up to a whole second of its clock."""
    limits: list[bare.ClientTimeout] = []

    class Recording(aiohttp.TCPConnector):
        async def _create_connection(self, req: Any, traces: Any, timeout: bare.ClientTimeout) -> Any:  # noqa: ASYNC109 - aiohttp's
            limits.append(timeout)
            return await super()._create_connection(req, traces, timeout)  # type: ignore[misc] # an attribute

    timeout = bare.ClientTimeout(total=none, connect=none)
    with http_server() as server, invocation(20.0):
        async with bare.ClientSession(connector=Recording(lambda_()), timeout=timeout) as session:
            response = await session.get(f"http://127.0.0.1:{server.port}/tag")
            response.release()

    [limit] = limits
    assert limit.connect is not None
    assert 0 < limit.connect <= 19.5
    assert limit.ceil_threshold == math.inf


async def test_who_waits_for_a_place_gets_that_of_a_discarded_connection(clocks: Clocks) -> None:
    with http_server() as server:
        proxy = FateProxy("127.0.0.1", server.port)
        async with aiohttp.session(lambda_().replace(connections=1, connections_per_host=1)) as session:

            async def post(tag: str) -> None:
                async with session.post(f"http://127.0.0.1:{proxy.port}/{tag}", data=b"x") as response:
                    await response.read()

            await post("first")
            proxy.freeze("lost")
            clocks.pass_(10.0)
            mark_invocation()
            await asyncio.gather(*(post(f"crowd-{number}") for number in range(5)))

        assert all(server.seen[f"crowd-{number}"] == 1 for number in range(5))
        assert proxy.accepted == 2
        proxy.close()


async def test_a_request_that_is_cancelled_while_its_connection_is_judged_leaves_its_place(
    clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server() as server:
        async with aiohttp.session(lambda_().replace(connections=1, connections_per_host=1)) as session:
            url = f"http://127.0.0.1:{server.port}"
            async with session.get(f"{url}/first") as response:
                await response.read()
            clocks.pass_(10.0)
            mark_invocation()
            judging = asyncio.Event()

            async def hang(*_: object) -> bool:
                judging.set()
                await asyncio.Event().wait()
                return True

            with monkeypatch.context() as patched:
                patched.setattr(session.connector.guard, "usable_async", hang)  # type: ignore[union-attr]
                task = asyncio.ensure_future(session.get(f"{url}/cancelled"))  # noqa: TID251 - a task of this test
                await judging.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            response = await asyncio.wait_for(session.get(f"{url}/next"), 10.0)
            assert response.status == 200
            response.release()
