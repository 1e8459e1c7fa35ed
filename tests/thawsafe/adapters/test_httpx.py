from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx as bare
import pytest

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.h2_server import h2_server
from tests.thawsafe.http_server import http_server
from thawsafe import NO_RETRIES, UNLIMITED, invocation, lambda_
from thawsafe._runtime.journal import JOURNAL
from thawsafe.adapters import httpx


def test_a_configuration_becomes_a_clients_options() -> None:
    client = httpx.Client(lambda_())

    assert client.timeout == bare.Timeout(connect=3.0, read=10.0, write=10.0, pool=10.0)
    assert httpx.limits(lambda_()) == bare.Limits(max_connections=50, max_keepalive_connections=50, keepalive_expiry=50.0)
    assert httpx.limits(lambda_().replace(connections=UNLIMITED, idle_age=UNLIMITED)) == bare.Limits(keepalive_expiry=None)
    assert httpx.HTTPTransport(lambda_().replace(retries=NO_RETRIES))._pool._retries == 0  # type: ignore[union-attr]


def test_what_is_given_goes_before_the_configuration() -> None:
    assert httpx.Client(lambda_(), timeout=1.5).timeout == bare.Timeout(1.5)
    assert httpx.HTTPTransport(lambda_(), retries=7)._pool._retries == 7  # type: ignore[union-attr]


def test_environments_proxies_are_safe_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    client = httpx.Client(lambda_())

    assert all(isinstance(transport, httpx.HTTPTransport) for transport in client._mounts.values() if transport)
    assert any(client._mounts.values())


def test_a_transport_of_ones_own_is_used_as_it_is() -> None:
    own = bare.MockTransport(lambda request: bare.Response(204))

    assert httpx.Client(lambda_(), transport=own).get("http://x").status_code == 204


def test_the_callers_extensions_stay_as_they_are(clocks: Clocks) -> None:
    """A request's dictionaries may be used again by whoever made them."""
    seen: list[str] = []
    timeout = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
    extensions = {"timeout": timeout, "trace": lambda name, info: seen.append(name)}
    with http_server() as server, httpx.Client(lambda_(), trust_env=False) as client, invocation(2.0):
        for _ in range(2):
            client.get(f"http://127.0.0.1:{server.port}/tag", extensions=extensions)

    assert timeout == {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
    assert set(extensions) == {"timeout", "trace"}
    assert "connection.connect_tcp.complete" in seen, "the caller's trace goes on"


def test_opening_and_waiting_share_what_is_left_of_the_invocation() -> None:
    """A peer that accepts, and answers nothing: whatever opening took, the answer is not waited for beyond the deadline."""
    with http_server() as server:
        proxy = FateProxy("127.0.0.1", server.port)
        proxy.deaf = True
        client = httpx.Client(lambda_(), trust_env=False)
        began = time.perf_counter()
        with invocation(2.0), pytest.raises(bare.TimeoutException):
            client.post(f"http://127.0.0.1:{proxy.port}/tag", content=b"x")

        assert time.perf_counter() - began < 4.0
        client.close()
        proxy.close()


def arrived(response: bare.Response) -> None:
    """What the server sent after its answer lies in the client's socket."""
    until = time.monotonic() + 5.0
    while not response.extensions["network_stream"].get_extra_info("is_readable"):
        assert time.monotonic() < until
        time.sleep(0.001)


def test_frames_that_nobody_has_read_are_no_end(clocks: Clocks, patient: None) -> None:
    """HTTP/2: a readable socket may be a PING of the server. It is asked, and kept."""
    with h2_server() as server, httpx.Client(lambda_().replace(probe_timeout=5.0), http1=False, http2=True, trust_env=False) as client:
        mark_invocation()
        response = client.get(f"http://127.0.0.1:{server.port}/first")
        server.ping_clients()
        arrived(response)
        clocks.pass_(0.7)
        before = JOURNAL.counters()
        client.get(f"http://127.0.0.1:{server.port}/second")

        assert JOURNAL.counters()["opened"] == before["opened"]
        assert server.pings >= 1


def test_a_goodbye_that_nobody_has_read_is_one(clocks: Clocks, patient: None) -> None:
    with h2_server() as server, httpx.Client(lambda_().replace(probe_timeout=5.0), http1=False, http2=True, trust_env=False) as client:
        mark_invocation()
        response = client.post(f"http://127.0.0.1:{server.port}/first", content=b"x")
        server.say_goodbye()
        arrived(response)
        clocks.pass_(0.7)
        client.post(f"http://127.0.0.1:{server.port}/second", content=b"x")

        assert server.seen["second"] == 1


def test_a_connection_that_carries_a_request_is_not_judged(clocks: Clocks) -> None:
    """HTTP/2: a second request joins a first one that takes its time, whatever the clocks say meanwhile."""
    with h2_server() as server, httpx.Client(lambda_(), http1=False, http2=True, trust_env=False) as client:
        url = f"http://127.0.0.1:{server.port}"
        client.get(f"{url}/first")
        server.hold.clear()
        thread = threading.Thread(target=client.get, args=(f"{url}/slow",))
        thread.start()
        server.held.wait(5)
        clocks.pass_(10.0)
        mark_invocation()
        before = JOURNAL.counters()
        joined = threading.Thread(target=client.get, args=(f"{url}/joins",))
        joined.start()
        server.hold.set()
        thread.join(5)
        joined.join(5)

        assert JOURNAL.counters() == before
        assert server.seen["joins"] == 1


def http2_of(client: bare.Client | bare.AsyncClient) -> Any:
    """The connection of httpcore that speaks HTTP/2."""
    return client._transport._pool.connections[0]._connection  # type: ignore[attr-defined]


def counts_as_idle(http2: Any) -> None:
    """What httpcore does when an answer ends while a request has not got its stream, or has got it in this moment: threads show it at once."""
    http2._state = type(http2._state).IDLE


def wait_until(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 5.0
    while not there():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_a_connection_is_not_asked_while_a_request_waits_for_its_stream(clocks: Clocks) -> None:
    """A PING would read the answer that the request waits for."""
    with h2_server() as server, httpx.Client(lambda_(), http1=False, http2=True, trust_env=False) as client:
        url = f"http://127.0.0.1:{server.port}"
        client.get(f"{url}/first")
        http2 = http2_of(client)
        streams = http2._max_streams
        for _ in range(streams):
            http2._max_streams_semaphore.acquire()
        threads = [threading.Thread(target=client.get, args=(f"{url}/{tag}",)) for tag in ("waits", "joins")]
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda number=number: http2._request_count == number + 2)  # type: ignore[misc]
            counts_as_idle(http2)
            clocks.pass_(10.0)
            mark_invocation()
        for _ in range(streams):
            http2._max_streams_semaphore.release()
        for thread in threads:
            thread.join(5)

        assert server.pings == 0
        assert server.seen == {"first": 1, "waits": 1, "joins": 1}


async def test_nor_with_asyncio(clocks: Clocks) -> None:
    with h2_server() as server:
        async with httpx.AsyncClient(lambda_(), http1=False, http2=True, trust_env=False) as client:
            url = f"http://127.0.0.1:{server.port}"
            await client.get(f"{url}/first")
            http2 = http2_of(client)
            streams = http2._max_streams
            for _ in range(streams):
                await http2._max_streams_semaphore.acquire()
            tasks = []
            for number, tag in enumerate(("waits", "joins")):
                tasks.append(asyncio.create_task(client.get(f"{url}/{tag}")))  # noqa: TID251 - a task of this test
                await asyncio.to_thread(wait_until, lambda number=number: http2._request_count == number + 2)
                counts_as_idle(http2)
                clocks.pass_(10.0)
                mark_invocation()
            for _ in range(streams):
                await http2._max_streams_semaphore.release()
            await asyncio.gather(*tasks)

        assert server.pings == 0
        assert server.seen == {"first": 1, "waits": 1, "joins": 1}


def test_a_connection_is_not_asked_while_an_answer_is_read(clocks: Clocks) -> None:
    with h2_server() as server, httpx.Client(lambda_(), http1=False, http2=True, trust_env=False) as client:
        url = f"http://127.0.0.1:{server.port}"
        with client.stream("GET", f"{url}/first") as response:
            counts_as_idle(http2_of(client))
            clocks.pass_(10.0)
            mark_invocation()
            client.get(f"{url}/joins")
            assert response.read() == b"ok"

        assert server.pings == 0


UNREAD = {
    "goodbye of a server that stays": b"\0\0\x08\x07\0\0\0\0\0" + b"\0\0\0\1\0\0\0\0",
    "frame for a stream that is not": b"\0\0\2\0\0\0\0\0\x63ab",
}


@pytest.mark.parametrize("gap", [0.7, 10.0])
@pytest.mark.parametrize("unread", UNREAD.values(), ids=UNREAD)
def test_whatever_lies_unread_a_request_goes_to_another_connection(clocks: Clocks, patient: None, unread: bytes, gap: float) -> None:
    with h2_server() as server, httpx.Client(lambda_().replace(probe_timeout=5.0), http1=False, http2=True, trust_env=False) as client:
        mark_invocation()
        response = client.get(f"http://127.0.0.1:{server.port}/first")
        server.send(unread)
        arrived(response)
        clocks.pass_(gap)
        client.post(f"http://127.0.0.1:{server.port}/second", content=b"x")

        assert server.seen["second"] == 1


async def test_a_connection_whose_first_request_was_cancelled_is_not_used_again(clocks: Clocks) -> None:
    """Nothing is known of it, not since when it is idle; what HTTP/1.1 does not have, because httpcore closes it then."""
    with h2_server() as server:
        proxy = FateProxy("127.0.0.1", server.port)
        async with httpx.AsyncClient(lambda_(), http1=False, http2=True, trust_env=False) as client:
            url = f"http://127.0.0.1:{proxy.port}"
            server.hold.clear()
            first = asyncio.create_task(client.get(f"{url}/slow"))  # noqa: TID251 - a task of this test
            await asyncio.to_thread(server.held.wait, 5)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            server.hold.set()
            proxy.freeze("lost")
            clocks.pass_(10.0)
            mark_invocation()
            await client.post(f"{url}/thaw", content=b"x")

        assert server.seen["thaw"] == 1
        proxy.close()
