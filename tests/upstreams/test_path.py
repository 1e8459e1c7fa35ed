"""A path with latency: everything is late, handshakes, answers to PINGs and ends too."""

from __future__ import annotations

import threading
import time

import pytest
from h2.events import PingAckReceived, StreamEnded

from frostline.testing.upstreams import LocalUpstream, UpstreamAccepted, UpstreamClosed
from tests.upstreams.clients import Http2, connected, end_of, reset, until_reset

RTT = 0.2
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_an_answer_takes_a_round_trip_and_the_first_one_two() -> None:
    with LocalUpstream(f"http1,rtt={RTT}") as server, connected(server) as sock:
        took = []
        for _ in range(4):
            began = time.monotonic()
            sock.sendall(GET)
            assert sock.recv(1000)
            took.append(time.monotonic() - began)
        assert took[0] >= 2 * RTT - 0.01, "SYN and SYN-ACK have to cross the path first"
        assert RTT <= min(took[1:]) < 2 * RTT


def test_a_tls_handshake_takes_round_trips() -> None:
    with LocalUpstream(f"http1,tls,rtt={RTT}") as server:
        began = time.monotonic()
        with connected(server) as sock:
            assert time.monotonic() - began >= 2 * RTT - 0.01
            sock.sendall(GET)
            assert sock.recv(1000)
        assert time.monotonic() - began >= 3 * RTT - 0.01


def test_a_ping_is_answered_a_round_trip_later() -> None:
    with LocalUpstream(f"http2,rtt={RTT}") as server, connected(server) as sock:
        client = Http2(sock)
        client.ask()
        client.until(StreamEnded)
        client.h2.ping(b"12345678")
        began = time.monotonic()
        client.flush()
        client.until(PingAckReceived)
        assert time.monotonic() - began >= RTT


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_an_end_arrives_half_a_round_trip_late(how: str) -> None:
    with LocalUpstream(f"http1,idle=0.1,close={how},rtt={RTT}") as server, connected(server) as sock:
        assert end_of(sock)[0] == how
        assert time.time() - server.until(UpstreamClosed)[0].at >= RTT / 2


def test_what_is_sent_after_an_end_is_reset_a_round_trip_later() -> None:
    with LocalUpstream(f"http1,idle=0.1,rtt={RTT}") as server, connected(server) as sock:
        assert end_of(sock)[0] == "fin"
        began = time.monotonic()
        sock.sendall(GET)
        until_reset(sock)
        assert time.monotonic() - began >= RTT - 0.01
        assert server.requests == []


def test_a_request_that_crosses_the_end_on_the_path_is_not_served() -> None:
    with LocalUpstream(f"http1,idle=0.2,rtt={RTT}") as server, connected(server) as sock:
        server.until(UpstreamClosed)
        sock.sendall(GET)  # the end is still on its way
        assert end_of(sock)[0] == "fin"
        until_reset(sock)
        assert server.requests == []


def test_what_the_client_does_is_seen_late_as_well() -> None:
    with LocalUpstream(f"http1,rtt={RTT}") as server:
        began = time.time()
        with connected(server) as sock:
            pass
        with connected(server) as sock:
            reset(sock)
        assert server.until(UpstreamAccepted)[0].at - began >= RTT / 2
        closed = server.until(UpstreamClosed, 2)
        assert sorted(one.how for one in closed) == ["fin", "rst"]
        assert all(one.at - began >= RTT / 2 for one in closed)


def test_a_client_that_ends_its_own_side_sees_the_end_too() -> None:
    with LocalUpstream(f"http1,rtt={RTT}") as server, connected(server) as sock:
        sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        sock.shutdown(1)
        assert end_of(sock)[0] == "fin"
    assert server.events[-1:] == server.saw(UpstreamClosed)


def test_megabytes_pass_in_both_directions_within_bounds() -> None:
    size = 5_000_000
    with LocalUpstream("echo,rtt=20ms") as server, connected(server) as sock:
        sender = threading.Thread(target=sock.sendall, args=(bytes(size),))
        sender.start()
        got = 0
        while got < size:
            got += len(sock.recv(1 << 20))
        sender.join()
        assert got == size


def test_a_client_that_does_not_read_is_not_read_from_without_end() -> None:
    for spec in ("echo", "echo,rtt=10ms"):
        with LocalUpstream(spec) as server, connected(server) as sock:
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.sendall(bytes(200_000_000))
