"""HTTP/2 upstreams, seen by a real client and by one that sees every frame."""

from __future__ import annotations

import ssl
import time

import httpx
import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, PingAckReceived, ResponseReceived, StreamEnded
from h2.settings import SettingCodes

from frostline.testing.upstreams import LocalUpstream, UpstreamClosed
from tests.upstreams.clients import Http2, connected, end_of


@pytest.mark.parametrize("tls", ["", ",tls"])
def test_a_client_talks_to_it(tls: str) -> None:
    with LocalUpstream(f"http2{tls}") as server:
        trust = ssl.create_default_context(cafile=server.ca_file) if tls else True
        with httpx.Client(http1=False, http2=True, verify=trust) as client:
            answers = [client.post(f"{server.url}/x", content=b"abc", headers={"idempotency-key": "7"}) for _ in range(2)]
        assert {answer.http_version for answer in answers} == {"HTTP/2"}
        assert [answer.json()["seen"] for answer in answers] == [1, 2]
        assert answers[1].json() | {"seen": 0} == {
            "upstream": "upstream.test:1",
            "connection": 1,
            "number": 2,
            "method": "POST",
            "path": "/x",
            "bytes": 3,
            "key": "7",
            "seen": 0,
        }


@pytest.mark.parametrize("tls", ["", ",tls"])
@pytest.mark.parametrize("how", ["goaway", "fin", "rst"])
def test_an_idle_connection_is_closed_in_its_way(how: str, tls: str) -> None:
    with LocalUpstream(f"http2,idle=0.6,close={how}{tls}") as server, connected(server, "h2") as sock:
        client = Http2(sock)
        stream = client.ask()
        client.until(StreamEnded)
        ended, data = end_of(sock)
        assert ended == ("rst" if how == "rst" else "fin")
        goodbyes = [event for event in client.h2.receive_data(data) if isinstance(event, ConnectionTerminated)]
        assert [(one.error_code, one.last_stream_id) for one in goodbyes] == ([(ErrorCodes.NO_ERROR, stream)] if how == "goaway" else [])
        (closed,) = server.until(UpstreamClosed)
        assert (closed.by, closed.how, closed.why, closed.requests) == ("upstream", how, "idle", 1)
        assert closed.idle_s >= 0.6


def test_pings_are_answered_and_keep_no_connection_from_being_idle() -> None:
    with LocalUpstream("http2,idle=1") as server, connected(server) as sock:
        client = Http2(sock)
        for _ in range(6):
            time.sleep(0.05)
            answered_at = time.time()
            client.h2.ping(b"12345678")
            client.flush()
            client.until(PingAckReceived)
        (closed,) = server.until(UpstreamClosed)
        assert closed.idle_s >= 1
        assert closed.idle_s > closed.at - answered_at, "idle since before the last ping"


def test_a_stream_that_is_being_answered_is_not_idle() -> None:
    with LocalUpstream("http2,idle=0.6") as server, connected(server) as sock:
        client = Http2(sock)
        client.ask(path="/?wait=1")
        client.until(StreamEnded)
        assert len(server.requests) == 1


def test_a_stream_that_the_client_resets_is_not_answered() -> None:
    with LocalUpstream("http2,idle=0.6") as server, connected(server) as sock:
        client = Http2(sock)
        stream = client.ask(path="/?wait=5")
        client.h2.reset_stream(stream)
        client.flush()
        assert server.until(UpstreamClosed)[0].why == "idle"


def test_a_client_that_takes_little_at_a_time_gets_all_of_it() -> None:
    with LocalUpstream("http2") as server, connected(server) as sock:
        client = Http2(sock)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
        streams = [client.ask(), client.ask()]
        bodies = dict.fromkeys(streams, b"")
        while any(not body.endswith(b"}") for body in bodies.values()):
            for event in client.until(DataReceived):
                if isinstance(event, DataReceived):
                    assert event.stream_id is not None and event.flow_controlled_length is not None
                    assert len(event.data) <= 10
                    bodies[event.stream_id] += event.data
                    client.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            client.flush()
        assert all(b"upstream.test:1" in body for body in bodies.values())


def test_head_has_no_body() -> None:
    with LocalUpstream("http2") as server, connected(server) as sock:
        client = Http2(sock)
        client.ask("HEAD")
        events = client.until(StreamEnded)
        assert [type(event) for event in events if isinstance(event, ResponseReceived | DataReceived)] == [ResponseReceived]


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b" " * 30, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\1" + bytes(7)]
)
def test_what_is_not_http2_is_refused_with_a_goaway(garbage: bytes) -> None:
    with LocalUpstream("http2") as server, connected(server) as sock:
        sock.sendall(garbage)
        end_of(sock)
        (closed,) = server.until(UpstreamClosed)
        assert (closed.why, closed.how, closed.detail[:6]) == ("refused", "goaway", "HTTP/2")
