from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import grpc as bare  # type: ignore[import-untyped]
import pytest

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.grpc import SERVICE, GrpcServer, grpc_server
from thawsafe import UNLIMITED, in_region, lambda_
from thawsafe._runtime.deadline import set_for_process
from thawsafe.adapters import grpc, grpc_aio


@pytest.fixture
def server() -> Iterator[GrpcServer]:
    with grpc_server() as running:
        yield running


@pytest.fixture
def proxy(server: GrpcServer) -> Iterator[FateProxy]:
    proxy = FateProxy("127.0.0.1", server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def channel(proxy: FateProxy) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}", configuration=lambda_()) as channel:
        yield channel


def method(name: str) -> str:
    return f"/{SERVICE}/{name}"


def freeze(proxy: FateProxy, clocks: Clocks, seconds: float = 10.0) -> None:
    proxy.freeze("blackhole")
    clocks.pass_(seconds)
    mark_invocation()


def test_a_configuration_becomes_a_channels_arguments() -> None:
    options = dict(grpc.arguments(lambda_()))
    assert options["grpc.use_local_subchannel_pool"] == 1, "or a new channel has the dead connection of the old one"
    assert options["grpc.min_reconnect_backoff_ms"] == 5000
    assert options["grpc.client_idle_timeout_ms"] == 50_000
    assert "grpc.keepalive_time_ms" not in options
    assert dict(grpc.arguments(in_region()))["grpc.keepalive_time_ms"] == 300_000, "more often, a server says too_many_pings"
    assert dict(grpc.arguments(lambda_().replace(idle_age=UNLIMITED)))["grpc.client_idle_timeout_ms"] == 2**31 - 1
    given = grpc.arguments(lambda_(), [("grpc.client_idle_timeout_ms", 7), ("grpc.other", "x")])
    assert [value for name, value in given if name == "grpc.client_idle_timeout_ms"] == [7]
    assert ("grpc.other", "x") in given


def test_every_kind_of_method_survives_a_black_hole(channel: grpc.Channel, proxy: FateProxy, server: GrpcServer, clocks: Clocks) -> None:
    many, collect, echo = (
        channel.unary_stream(method("Many")),
        channel.stream_unary(method("Collect")),
        channel.stream_stream(method("Echo")),
    )
    one = channel.unary_unary(method("One"))
    calls = {
        "with_call": lambda tag: one.with_call(tag)[1].code() is bare.StatusCode.OK,
        "future": lambda tag: one.future(tag).result() == tag,
        "many": lambda tag: list(many(tag)) == [tag, tag],
        "collect": lambda tag: collect(iter([tag])) == tag,
        "collect.future": lambda tag: collect.future(iter([tag])).result() == tag,
        "echo": lambda tag: list(echo(iter([tag]))) == [tag],
    }
    for number, (name, call) in enumerate(calls.items()):
        freeze(proxy, clocks)
        began = time.perf_counter()
        assert call(name.encode())
        assert time.perf_counter() - began < 4.0
        assert server.seen[name] == 1
        assert proxy.accepted == number + 1


async def test_every_kind_of_method_of_asyncio_survives_a_black_hole(proxy: FateProxy, server: GrpcServer, clocks: Clocks) -> None:
    async with grpc_aio.insecure_channel(f"127.0.0.1:{proxy.port}", configuration=lambda_()) as channel:

        async def ask() -> None:
            assert await channel.unary_unary(method("One"))(b"one") == b"one"

        async def many() -> None:
            assert [tag async for tag in channel.unary_stream(method("Many"))(b"many")] == [b"many"] * 2

        async def collect() -> None:
            assert await channel.stream_unary(method("Collect"))(iter([b"collect"])) == b"collect"

        async def echo() -> None:
            call = channel.stream_stream(method("Echo"))()
            await call.write(b"echo")
            await call.done_writing()
            assert [tag async for tag in call] == [b"echo"]

        for number, call in enumerate((ask, many, collect, echo)):
            freeze(proxy, clocks)
            await asyncio.wait_for(call(), 1.0)
            assert proxy.accepted == number + 1
    assert server.seen == {"one": 1, "many": 1, "collect": 1, "echo": 1}


def test_an_rpc_under_way_ends_where_it_began(channel: grpc.Channel, proxy: FateProxy, server: GrpcServer, clocks: Clocks) -> None:
    held = channel.unary_stream(method("Held"))(b"held")
    assert next(held) == b"held"
    clocks.pass_(10.0)
    mark_invocation()
    assert channel.unary_unary(method("One"))(b"other") == b"other", "what is said about a freeze counts for a busy channel too"
    assert proxy.accepted == 2
    server.release.set()
    assert list(held) == [b"last"], "its channel was not closed"
    assert len(channel._lines._left) == 1
    channel.unary_unary(method("One"))(b"next")
    assert channel._lines._left == [], "now it is"


def test_a_busy_channel_is_kept_while_nobody_says_that_it_froze(channel: grpc.Channel, proxy: FateProxy, clocks: Clocks) -> None:
    """Slow RPCs that begin seconds apart share a connection."""
    held = channel.unary_stream(method("Held"))(b"held")
    assert next(held) == b"held"
    one = channel.unary_unary(method("One"))
    for _ in range(3):
        clocks.pass_(5.0)
        one(b"tag")
    assert proxy.accepted == 1
    held.cancel()


def test_after_a_deadline_the_next_rpc_begins_elsewhere(channel: grpc.Channel, proxy: FateProxy, server: GrpcServer) -> None:
    """As OpenTelemetry's exporter learned, which was stuck in DEADLINE_EXCEEDED for ever (opentelemetry-js, PR 6296)."""
    one = channel.unary_unary(method("One"))
    one(b"first")
    proxy.freeze("blackhole")  # in the midst of use
    with pytest.raises(bare.RpcError) as caught:
        one(b"lost", timeout=0.2)
    assert caught.value.code() is bare.StatusCode.DEADLINE_EXCEEDED
    assert one(b"next", timeout=10.0) == b"next"
    assert server.seen == {"first": 1, "next": 1}


def test_a_slow_method_does_not_cost_the_others_their_connection(channel: grpc.Channel, proxy: FateProxy) -> None:
    never, one = channel.unary_unary(method("Never")), channel.unary_unary(method("One"))
    one(b"first")
    slow = never.future(b"slow", timeout=0.2)
    one(b"meanwhile")
    with pytest.raises(bare.RpcError):
        slow.result()
    one(b"after")
    assert proxy.accepted == 1


def test_an_error_of_the_server_is_an_answer(channel: grpc.Channel, proxy: FateProxy) -> None:
    for _ in range(2):
        with pytest.raises(bare.RpcError) as caught:
            channel.unary_unary(method("Unknown"))(b"tag")
        assert caught.value.code() is bare.StatusCode.UNIMPLEMENTED
    assert proxy.accepted == 1


def test_deadlines(channel: grpc.Channel, clocks: Clocks) -> None:
    set_for_process(0.2)
    for call in (
        lambda: channel.unary_unary(method("Never"))(b"a"),
        lambda: channel.unary_unary(method("Never"))(b"b", timeout=60.0),
        lambda: channel.unary_unary(method("Never")).future(b"c").result(),
        lambda: list(channel.unary_stream(method("Held"))(b"d")),
    ):
        set_for_process(0.2)
        began = time.perf_counter()
        with pytest.raises(bare.RpcError):
            call()
        assert time.perf_counter() - began < 4.0


def test_who_subscribed_hears_of_the_next_connection(proxy: FateProxy, clocks: Clocks) -> None:
    # Not closed: a thread of grpcio's looks at it, and fails when it is closed meanwhile.
    channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port}", configuration=lambda_())
    states: list[bare.ChannelConnectivity] = []
    heard = threading.Condition()

    def listener(state: bare.ChannelConnectivity) -> None:
        with heard:
            states.append(state)
            heard.notify_all()

    def ready(times: int) -> bool:
        with heard:
            return heard.wait_for(lambda: states.count(bare.ChannelConnectivity.READY) == times, 2.0)

    channel.subscribe(listener, try_to_connect=True)
    assert ready(1)
    freeze(proxy, clocks)
    channel.unary_unary(method("One"))(b"tag")
    assert ready(2)
    channel.unsubscribe(listener)
    bare.channel_ready_future(channel).result(2.0)


def test_interceptors_and_closing_are_grpcios_own(proxy: FateProxy) -> None:
    class Interceptor(bare.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        def intercept_unary_unary(self, continuation: object, details: object, request: bytes) -> object:
            return continuation(details, request + b"!")  # type: ignore[operator]

    channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port}", configuration=lambda_())
    assert bare.intercept_channel(channel, Interceptor()).unary_unary(method("One"))(b"tag") == b"tag!"
    channel.close()
    with pytest.raises(ValueError, match="closed channel"):
        channel.unary_unary(method("One"))(b"tag")


def test_a_channel_of_asyncio_goes_on_in_another_loop(proxy: FateProxy, server: GrpcServer) -> None:
    channel = grpc_aio.insecure_channel(f"127.0.0.1:{proxy.port}", configuration=lambda_())
    one = channel.unary_unary(method("One"))

    async def handler(tag: bytes) -> None:
        assert await one(tag) == tag

    async def last() -> None:
        await handler(b"third")
        await channel.channel_ready()
        assert channel.get_state() is bare.ChannelConnectivity.READY
        await channel.close()

    asyncio.run(handler(b"first"))
    asyncio.run(handler(b"second"))
    asyncio.run(last())
    assert server.seen == {"first": 1, "second": 1, "third": 1}
