"""Servers on the loopback for tests: their life, and what they answer when they are asked what they saw."""

from __future__ import annotations

import importlib.util
import socket
import threading

import httpx
import pytest

from frostline.core.upstream import parse
from frostline.testing import upstreams
from frostline.testing.upstreams import LocalUpstream, UpstreamAccepted, UpstreamAsked, UpstreamClosed
from frostline.upstreams import Unservable, servable
from tests.upstreams.clients import connected, end_of


async def test_an_event_loop_is_not_in_its_way() -> None:
    async with LocalUpstream("http1,idle=0.5") as server, httpx.AsyncClient() as client:
        assert (await client.get(server.url)).json()["number"] == 1
        (closed,) = await server.until_async(UpstreamClosed)
        assert closed.why == "idle"


def test_events_are_told_in_order() -> None:
    with LocalUpstream("http1,idle=0.5") as server:
        httpx.post(server.url)
        server.until(UpstreamClosed)
        assert [type(event) for event in server.events] == [UpstreamAccepted, UpstreamAsked, UpstreamClosed]
        assert sorted(event.at for event in server.events) == [event.at for event in server.events]


def test_an_echo() -> None:
    with LocalUpstream("echo,idle=0.5,close=rst") as server, connected(server) as sock:
        sock.sendall(b"hello")
        assert sock.recv(100) == b"hello"
        assert end_of(sock) == ("rst", b"")


@pytest.mark.parametrize("spec", ["http1", "http2", "grpc", "echo", "http1,tls", "http1,rtt=1s"])
def test_nothing_is_left_at_its_end(spec: str) -> None:
    threads = set(threading.enumerate())
    server = LocalUpstream(spec)
    server.start()
    with socket.create_connection((server.host, server.port), timeout=10) as sock:
        if "rtt" not in spec:
            server.until(UpstreamAccepted)
        server.stop()
        assert end_of(sock)[0] == "fin"
    server.stop()
    assert not [thread for thread in set(threading.enumerate()) - threads if thread.is_alive() and "upstream" in thread.name]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))


def test_a_port_in_use_is_explained() -> None:
    with (
        LocalUpstream("http1") as server,
        pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{server.port}: Address already in use"),
    ):
        LocalUpstream("http1", port=server.port).start()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(upstreams, "prepare", fail)
    server = LocalUpstream("http1")
    with pytest.raises(RuntimeError, match="no luck"):
        server.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))


def test_what_cannot_be_a_server_here_is_explained() -> None:
    with pytest.raises(ValueError, match="'http9' is not a protocol"):
        LocalUpstream("http9")
    with pytest.raises(ValueError, match="is a service of this machine"):
        LocalUpstream("host:80")


def test_waiting_in_vain_says_what_there_was() -> None:
    with LocalUpstream("http1") as server, pytest.raises(TimeoutError, match=r"not 1 UpstreamClosed within 0.01 s"):
        server.until(UpstreamClosed, limit_s=0.01)


def test_missing_packages_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    servable(parse(["a=http1", "b=echo", "c=host:80"]))
    with pytest.raises(Unservable) as raised:
        servable(parse(["a=http2,tls", "b=grpc"]))
    assert str(raised.value) == (
        "upstreams need packages that are not installed: h2 (for a:443), cryptography (for a:443), grpc (for b:443). "
        "They come with: pip install 'frostline[upstreams]'"
    )
