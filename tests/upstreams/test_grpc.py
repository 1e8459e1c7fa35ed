"""The gRPC cache service, used by grpcio as functions do, and by a client that sees every frame."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, PingAckReceived, StreamEnded
from h2.exceptions import ProtocolError

from frostline.testing.upstreams import LocalUpstream, UpstreamClosed
from frostline.upstreams import cache, protobuf
from frostline.upstreams.protobuf import Fields
from tests.upstreams.clients import LIMIT_S, Http2, connected, end_of

CALLS: dict[str, tuple[Fields, Fields]] = {
    "Get": (cache.GET_REQUEST, cache.GET_RESPONSE),
    "Set": (cache.SET_REQUEST, cache.SET_RESPONSE),
    "Delete": (cache.DELETE_REQUEST, cache.DELETE_RESPONSE),
}
Call = Callable[..., dict[str, Any]]


@contextlib.contextmanager
def client(server: LocalUpstream) -> Iterator[Call]:
    """Calls of the service, on one channel."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if server.upstream.tls:
        trust = grpc.ssl_channel_credentials(Path(server.ca_file).read_bytes())
        channel = grpc.secure_channel(f"localhost:{server.port}", trust, options)
    else:
        channel = grpc.insecure_channel(server.address, options)

    def call(method: str, *, metadata: tuple[tuple[str, str], ...] = (), raw: bytes | None = None, **values: Any) -> dict[str, Any]:
        request, response = CALLS[method]
        ask = channel.unary_unary(f"/{cache.SERVICE}/{method}")
        return protobuf.decode(response, ask(protobuf.encode(request, values) if raw is None else raw, timeout=10, metadata=metadata))

    with channel:
        yield call


@pytest.mark.parametrize("tls", ["", ",tls"])
def test_a_cache(tls: str) -> None:
    with LocalUpstream(f"grpc{tls}") as server, client(server) as call:
        assert call("Get", key="a") == {"found": False, "value": b""}
        call("Set", key="a", value=b"1", ttl_ms=60_000)
        call("Set", key="b", value=b"2", ttl_ms=1)
        assert call("Get", key="a") == {"found": True, "value": b"1"}
        time.sleep(0.002)
        assert call("Get", key="b") == {"found": False, "value": b""}
        assert call("Delete", key="a") == {"deleted": True}
        assert call("Delete", key="a") == {"deleted": False}
        assert server.connections == 1
        assert [(asked.connection, asked.number) for asked in server.requests] == [(1, number) for number in range(1, 8)]


def test_a_call_that_is_sent_twice_is_known_by_its_metadata() -> None:
    with LocalUpstream("grpc") as server:
        for _ in range(2):
            with client(server) as call:
                call("Get", key="a", metadata=(("x-request-id", "7"), ("trace-bin", b"\0")))
        assert server.seen_twice() == ["7"]
        assert [(asked.connection, asked.method) for asked in server.requests] == [
            (1, f"/{cache.SERVICE}/Get"),
            (2, f"/{cache.SERVICE}/Get"),
        ]


@pytest.mark.parametrize(
    ("method", "values", "said"),
    [
        ("Set", {"key": "a", "value": b"1"}, "Set: ttl_ms has to be above zero: nothing is stored for ever"),
        ("Set", {"key": "", "value": b"1", "ttl_ms": 1}, "Set: the key is empty"),
        ("Get", {"raw": b"\xff"}, "Get: no varint"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(method: str, values: dict[str, Any], said: str) -> None:
    with LocalUpstream("grpc") as server, client(server) as call:
        with pytest.raises(grpc.RpcError) as raised:
            call(method, **values)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert raised.value.details().startswith(said)


def test_every_other_service_is_answered_with_an_empty_message() -> None:
    with LocalUpstream("grpc") as server, grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        assert channel.unary_unary("/orders.v1.Orders/Place")(b"\x0a\x01a", timeout=10, metadata=(("x-request-id", "7"),)) == b""
        assert list(channel.unary_stream("/orders.v1.Orders/List")(b"", timeout=10)) == [b""]
        assert channel.stream_unary("/orders.v1.Orders/Import")(iter([b"\x0a\x01a", b""]), timeout=10) == b""
        assert list(channel.stream_stream("/orders.v1.Orders/Talk")(iter([b"", b""]), timeout=10)) == [b""]
        assert [asked.method.rpartition("/")[2] for asked in server.requests] == ["Place", "List", "Import", "Talk"]
        assert server.requests[0].key == "7"
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/{cache.SERVICE}/Clear")(b"", timeout=10)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("tls", ["", ",tls"])
@pytest.mark.parametrize("how", ["goaway", "fin", "rst"])
def test_an_idle_connection_is_closed_in_its_way_and_in_time(how: str, tls: str) -> None:
    with LocalUpstream(f"grpc,idle=0.8,close={how}{tls}") as server, client(server) as call:
        call("Get", key="a")
        (closed,) = server.until(UpstreamClosed)
        assert (closed.by, closed.how, closed.why, closed.requests) == ("upstream", how, "idle", 1)
        assert closed.idle_s >= 0.8
        end = time.monotonic() + LIMIT_S
        while server.connections < 2:  # the client may not have noticed yet
            assert time.monotonic() < end
            with contextlib.suppress(grpc.RpcError):
                call("Get", key="a")


def test_the_goaway_is_a_good_one() -> None:
    with LocalUpstream("grpc,idle=0.6") as server, connected(server) as sock:
        frames = Http2(sock)
        stream = frames.ask("POST", f"/{cache.SERVICE}/None", b"\0" * 5, **{"content-type": "application/grpc", "te": "trailers"})
        frames.until(StreamEnded)
        ended, data = end_of(sock)
        (goodbye,) = (event for event in frames.h2.receive_data(data) if isinstance(event, ConnectionTerminated))
        assert (ended, goodbye.error_code, goodbye.last_stream_id) == ("fin", ErrorCodes.NO_ERROR, stream)


def ping(frames: Http2, times: int) -> None:
    for _ in range(times):
        frames.h2.ping(b"12345678")
        frames.flush()
        frames.until(PingAckReceived)


def test_pings_are_welcome_and_keep_no_connection_from_being_idle() -> None:
    with LocalUpstream("grpc,idle=1") as server, connected(server) as sock:
        frames = Http2(sock)
        began = time.time()
        ping(frames, 10)
        time.sleep(0.25)
        ping(frames, 10)
        (closed,) = server.until(UpstreamClosed)
        assert closed.why == "idle"
        assert closed.idle_s >= 1
        assert closed.idle_s > closed.at - began - 0.25, "idle since before the last pings"


def test_a_strict_server_ends_a_connection_that_pings_too_often() -> None:
    with LocalUpstream("grpc,strict-pings") as server, connected(server) as sock:
        frames = Http2(sock)
        with contextlib.suppress(AssertionError, ProtocolError):
            ping(frames, 10)
        (closed,) = server.until(UpstreamClosed)
        assert (closed.why, closed.how, closed.detail) == ("refused", "goaway", "gRPC: too_many_pings")


def test_what_is_not_http2_is_refused() -> None:
    with LocalUpstream("grpc") as server, connected(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b" " * 100)
        end_of(sock)
        assert server.until(UpstreamClosed)[0].why == "refused"


def test_latency_is_the_calls_too() -> None:
    with LocalUpstream("grpc,rtt=100ms") as server, client(server) as call:
        call("Get", key="a")
        began = time.monotonic()
        call("Get", key="a")
        assert time.monotonic() - began >= 0.1
