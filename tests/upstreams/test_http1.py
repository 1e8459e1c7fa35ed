"""HTTP/1.1 upstreams, seen by real clients and by plain sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import Any

import httpx
import pytest

from frostline.testing.upstreams import LocalUpstream, UpstreamClosed
from tests.upstreams.clients import connected, end_of, reset

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def body_of(response: bytes) -> Any:
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK"), head
    return json.loads(body)


def test_an_answer_says_what_was_asked_on_which_connection() -> None:
    with LocalUpstream("http1") as server, httpx.Client() as client:
        first = client.post(f"{server.url}/a?b=c", content=b"abc", headers={"X-Request-Id": "7"}).json()
        second = client.delete(f"{server.url}/a").json()
        third = httpx.get(server.url).json()
    assert first == {
        "upstream": "upstream.test:1",
        "connection": 1,
        "number": 1,
        "method": "POST",
        "path": "/a?b=c",
        "bytes": 3,
        "key": "7",
        "seen": 1,
    }
    assert (second["connection"], second["number"], second["method"], second["key"]) == (1, 2, "DELETE", None)
    assert (third["connection"], third["number"]) == (2, 1)


def test_a_request_that_is_sent_twice_is_known_by_its_key() -> None:
    with LocalUpstream("http1") as server:
        for key in ("a", "b", "a"):
            answer = httpx.post(server.url, headers={"Idempotency-Key": key, "X-Request-Id": "not this one"}).json()
        assert answer["seen"] == 2
        assert server.seen_twice() == ["a"]
        assert [asked.seen for asked in server.requests] == [1, 1, 2]


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("tls", ["", ",tls"])
def test_an_idle_connection_is_closed_in_its_way(how: str, tls: str) -> None:
    with LocalUpstream(f"http1,idle=0.6,close={how}{tls}") as server, connected(server) as sock:
        sock.sendall(GET)
        began = time.monotonic()
        ended, data = end_of(sock)
        assert ended == how
        assert time.monotonic() - began >= 0.6
        assert body_of(data)["number"] == 1
        (closed,) = server.until(UpstreamClosed)
        assert (closed.by, closed.how, closed.why, closed.requests) == ("upstream", how, "idle", 1)
        assert 0.6 <= closed.idle_s < 0.6 + (closed.at - server.requests[0].at)


def test_a_request_begins_idle_time_anew_and_one_that_is_answered_is_not_idle() -> None:
    with LocalUpstream("http1,idle=1") as server, httpx.Client() as client:
        for _ in range(3):
            client.get(server.url)
            time.sleep(0.4)
        assert client.get(f"{server.url}/?wait=1.5").json()["number"] == 4
        assert server.connections == 1
        assert server.until(UpstreamClosed)[0].idle_s >= 1


def test_a_connection_on_which_nothing_was_asked_is_idle_too() -> None:
    with LocalUpstream("http1,idle=0.1") as server, connected(server) as sock:
        assert end_of(sock) == ("fin", b"")
        assert server.until(UpstreamClosed)[0].requests == 0


def test_the_client_that_reuses_a_closed_connection_is_told() -> None:
    """`http.client` has no pool that would look before it writes."""
    with LocalUpstream("http1,idle=0.5") as server:
        client = http.client.HTTPConnection(server.host, server.port)
        client.request("POST", "/", b"x")
        client.getresponse().read()
        server.until(UpstreamClosed)
        with contextlib.suppress(ConnectionError):  # the write may have reached the kernel before its answer, a reset
            client.request("POST", "/", b"x")
        with pytest.raises((ConnectionError, http.client.ResponseNotReady)):
            client.getresponse()
        client.close()
        assert len(server.requests) == 1


def test_the_client_closes() -> None:
    with LocalUpstream("http1") as server:
        with connected(server) as sock:
            sock.sendall(GET)
            sock.recv(1000)
        with connected(server) as sock:
            sock.sendall(GET)
            sock.recv(1000)
            reset(sock)
        closed = server.until(UpstreamClosed, 2)
        assert [(one.by, one.how, one.why) for one in closed] == [("client", "fin", "client"), ("client", "rst", "client")]


def test_a_client_that_ends_its_own_side_is_answered_first() -> None:
    with LocalUpstream("http1") as server, connected(server) as sock:
        sock.sendall(GET.replace(b"/ ", b"/?wait=0.1 "))
        sock.shutdown(1)
        ended, data = end_of(sock)
        assert (ended, body_of(data)["number"]) == ("fin", 1)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_a_client_that_wants_no_more_is_closed(request_: bytes) -> None:
    with LocalUpstream("http1") as server, connected(server) as sock:
        sock.sendall(request_)
        ended, data = end_of(sock)
        assert (ended, body_of(data)["method"]) == ("fin", "GET")
        assert b"Connection: close" in data
        assert server.until(UpstreamClosed)[0].why == "asked"


def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    with LocalUpstream("http1,idle=0.5") as server, connected(server) as sock:
        sock.sendall(GET.replace(b"/ ", b"/1?wait=0.1 ") + GET.replace(b"/ ", b"/2 ") + GET.replace(b"/ ", b"/3 "))
        _, data = end_of(sock)
        places = [data.index(path) for path in (b'"/1?wait=0.1"', b'"/2"', b'"/3"')]
        assert places == sorted(places)


def test_head_has_no_body_and_a_long_request_is_bid_to_go_on() -> None:
    with LocalUpstream("http1") as server:
        answer = httpx.head(server.url)
        assert (answer.content, int(answer.headers["content-length"]) > 0) == (b"", True)
        with connected(server) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
            assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(b"ab")
            assert body_of(end_of(sock)[1])["bytes"] == 2


def test_a_body_in_chunks_is_counted() -> None:
    with LocalUpstream("http1") as server:
        assert httpx.post(server.url, content=iter([b"abc", b"de"])).json()["bytes"] == 5


def test_another_status_and_parameters_that_are_no_wishes() -> None:
    with LocalUpstream("http1") as server:
        assert httpx.get(f"{server.url}/?status=503").status_code == 503
        for own in ("status=99", "status=open", "wait=-1", "wait=nan", "wait=1e9", "wait=for-me"):
            assert httpx.get(f"{server.url}/?{own}").status_code == 200


@pytest.mark.parametrize(
    ("request_", "status"), [(b"\x16\x03\x01\x02\x00", b"400"), (b"GET\r\n\r\n", b"400"), (b"GET /" + b"a" * 70_000, b"431")]
)
def test_what_is_no_request_is_refused(request_: bytes, status: bytes) -> None:
    with LocalUpstream("http1") as server, connected(server) as sock:
        sock.sendall(request_)
        _, data = end_of(sock)
        assert data.startswith(b"HTTP/1.1 " + status)
        (closed,) = server.until(UpstreamClosed)
        assert (closed.why, closed.detail[:8], server.requests) == ("refused", "HTTP/1.1", [])


def test_the_hint_is_a_promise_that_need_not_be_true() -> None:
    with LocalUpstream("http1,idle=0.5,keep-alive-hint=30") as server, httpx.Client() as client:
        assert client.get(server.url).headers["keep-alive"] == "timeout=30"
        server.until(UpstreamClosed)


def test_a_client_that_does_not_trust_the_certificate_is_recorded() -> None:
    with LocalUpstream("http1,tls") as server:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(server.url)
        (closed,) = server.until(UpstreamClosed)
        assert closed.why == "refused"
        assert "unknown ca" in closed.detail


def test_plain_http_to_a_tls_server_is_recorded() -> None:
    with LocalUpstream("http1,tls") as server:
        with pytest.raises(httpx.HTTPError):
            httpx.get(server.url.replace("https", "http"))
        assert "http request" in server.until(UpstreamClosed)[0].detail
