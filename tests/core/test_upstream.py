"""What a user writes as an upstream, and what it comes to."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.upstream import (
    DEFAULT_IDLE_S,
    MAX_UPSTREAMS,
    AnyUpstreamMessage,
    Upstream,
    UpstreamClosed,
    UpstreamsReady,
    parse,
)


def one(text: str) -> Upstream:
    (upstream,) = parse([text])
    return upstream


def test_a_server_with_everything_said() -> None:
    assert one("api.example.com:443=http1,tls,idle=5,close=rst,rtt=50ms,keep-alive-hint=75") == Upstream(
        host="api.example.com", port=443, protocol="http1", tls=True, idle_s=5, close="rst", rtt_s=0.05, keep_alive_hint_s=75
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("api.example.com:443=http1,tls,idle=5,close=rst,rtt=50ms,keep-alive-hint=75", None),
        ("a=http2", "a:80=http2,idle=60s"),
        ("Cache.Local=grpc,idle=never,strict-pings,close=fin", "cache.local:443=grpc,idle=never,close=fin,strict-pings"),
        ("a=http1,idle=5m,answers=./a b.json", "a:80=http1,idle=5m,answers=./a b.json"),
        ("db.local:15432=host:5432", "db.local:15432=host:5432"),
    ],
)
def test_a_server_is_shown_as_it_would_be_written(text: str, shown: str | None) -> None:
    assert one(one(text).text()) == one(text)
    if shown is not None:
        assert one(text).text() == shown


def test_a_server_with_nothing_said_has_limits_all_the_same() -> None:
    assert one("Api.Example.com.=http1") == Upstream(host="api.example.com", port=80, protocol="http1", idle_s=DEFAULT_IDLE_S, close="fin")


def test_for_ever_has_to_be_said() -> None:
    assert one("a=http1,idle=never").idle_s is None


@pytest.mark.parametrize(
    ("text", "port"),
    [("a=http1", 80), ("a=http1,tls", 443), ("a=http2", 80), ("a=http2,tls", 443), ("a=grpc", 443), ("a=echo", 7), ("a=host:5432", 5432)],
)
def test_ports_that_go_without_saying(text: str, port: int) -> None:
    assert one(text).port == port


@pytest.mark.parametrize(("protocol", "close"), [("http1", "fin"), ("echo", "fin"), ("http2", "goaway"), ("grpc", "goaway")])
def test_servers_close_as_their_protocol_has_it(protocol: str, close: str) -> None:
    assert one(f"a={protocol}").close == close
    assert one(f"a={protocol},close=fin").close == "fin"


def test_a_service_of_the_machine_under_a_stable_name() -> None:
    assert one("db.local=host:5432") == Upstream(host="db.local", port=5432, protocol="host", machine_port=5432, idle_s=None)
    assert one("db.local:15432=host:5432").name == "db.local:15432"


def test_a_name_with_several_ports_and_the_same_one_twice() -> None:
    found = parse(["a:1=http1", "a:2=http2", "b:1=echo", "a:1=http1,idle=60s"])
    assert [upstream.name for upstream in found] == ["a:1", "a:2", "b:1"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([""], "'' is not an upstream. Write NAME[:PORT]=PROTOCOL"),
        (["a"], "'a' is not an upstream."),
        (["=http1"], "'' is not a destination."),
        (["a:http=http1"], "'http' in 'a:http' is not a port."),
        (["a:0=http1"], "'0' in 'a:0' is not a port."),
        (["a:53=http1"], "port 53 of every host is the lab's name server"),
        (["10.0.0.7:80=http1"], "'10.0.0.7' is an address."),
        (["1.2.3=http1"], "'1.2.3' is an address."),
        (["localhost=http1"], "'localhost' is this machine"),
        (["host.docker.internal=http1"], "is this machine"),
        (["a b=http1"], "'a b' is not a destination."),
        (["a="], "'' is not a protocol of an upstream. There are http1, http2, grpc, echo, and host:PORT"),
        (["a=http3"], "'http3' is not a protocol of an upstream."),
        (["a=http1,"], "'' is not an option of an upstream with http1."),
        (
            ["a=http1,ssl"],
            "'ssl' is not an option of an upstream with http1. There are tls, idle=TIME, close=fin|rst, rtt=TIME, answers=PATH, keep-alive-hint=SECONDS.",
        ),
        (["a=http2,keep-alive-hint=5"], "'keep-alive-hint=5' is not an option of an upstream with http2."),
        (["a=http1,strict-pings"], "'strict-pings' is not an option of an upstream with http1."),
        (["a=http1,tls=yes"], "'tls=yes' is not an option of an upstream with http1."),
        (["a=http1,idle"], "'idle': '' is not a time above zero. Write 250ms, 3s, 40m or `never`"),
        (["a=http1,idle=0"], "'idle=0': '0' is not a time above zero."),
        (["a=http1,idle=-1s"], "is not a time above zero."),
        (["a=http1,idle=" + "9" * 400], "is not a time above zero."),
        (["a=http1,rtt=never"], "'rtt=never': 'never' is not a time above zero. Write 250ms, 3s, 40m; a number alone"),
        (["a=http1,rtt=11"], "a round-trip time is at most 10s."),
        (["a=http1,close=goaway"], "'goaway' is not a way of closing with http1. There are fin, rst."),
        (["a=http2,close=gone"], "'gone' is not a way of closing with http2. There are fin, rst, goaway."),
        (["a=http1,idle=1,idle=2"], "the option 'idle' of an upstream was given twice."),
        (["a=http1,keep-alive-hint=1.5"], "'1.5' is not a whole number of seconds."),
        (["a=host"], "'' in 'host' is not a port."),
        (["a=host:0"], "'0' in 'host:0' is not a port."),
        (["a=host:80,tls"], "a=host:80 is a service of this machine, which behaves as it does: it takes no option, and 'tls' was given."),
        (["a=http1", "a:80=http1,idle=1"], "a:80 is there twice, with different settings."),
        (
            [f"a{number}=http1" for number in range(MAX_UPSTREAMS + 1)],
            f"there are {MAX_UPSTREAMS + 1} upstreams, and the lab takes {MAX_UPSTREAMS}.",
        ),
    ],
)
def test_what_is_no_upstream_is_explained(texts: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=r"\.") as raised:
        parse(texts)
    assert said in str(raised.value)


@given(st.text())
def test_any_text_is_an_upstream_or_explained(text: str) -> None:
    with contextlib.suppress(ValueError):
        (upstream,) = parse([text])
        assert 0 < upstream.port < 65536


@given(st.text(alphabet="abc:=,.0123456789tlshp-_ ", max_size=40))
def test_nearly_any_text_is_an_upstream_or_explained(text: str) -> None:
    test_any_text_is_an_upstream_or_explained.hypothesis.inner_test("a=" + text)  # type: ignore[attr-defined]


def test_what_is_told_goes_over_a_line_and_back() -> None:
    for message in (
        UpstreamsReady(authority="PEM\n"),
        UpstreamClosed(at=1.5, upstream="a:80", connection=3, by="upstream", how="goaway", why="idle", idle_s=60.0, requests=2),
    ):
        assert msgspec.json.decode(msgspec.json.encode(message), type=AnyUpstreamMessage) == message
