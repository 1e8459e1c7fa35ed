"""Trace lines of gRPC libraries, as they were really printed, mean what they say; every other line is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.story.grpc_trace import GrpcTrace, read_trace


def read(text: str) -> GrpcTrace | None:
    return read_trace(text, at=1.0, environment="e", request_id="r")


NODE = "2026-11-22T05:27:20.055Z\t9b2b1a5e-0a7e-4a57-9c37-0d6f3a9f0b11\tERROR\t"

JS = [
    # 1.3.8
    ("2026-11-22T05:27:09.450Z | keepalive | Sending ping to 127.0.0.1:50062", "keepalive", "ping_sent", "127.0.0.1:50062"),
    (
        "2026-11-22T05:27:07.938Z | dns_resolver | Resolution update requested for target dns:localhost:50062",
        "dns_resolver",
        "resolving",
        "dns:localhost:50062",
    ),
    (
        "2026-11-22T05:27:07.950Z | resolving_load_balancer | dns:localhost:50062 CONNECTING -> READY",
        "resolving_load_balancer",
        "ready",
        "dns:localhost:50062",
    ),
    # 1.7.3, 1.9.0
    (
        "D 2026-11-22T05:27:16.053Z | keepalive | (2) 127.0.0.1:50062 Sending ping with timeout 1000ms",
        "keepalive",
        "ping_sent",
        "(2) 127.0.0.1:50062",
    ),
    (
        "D 2026-11-22T05:27:16.106Z | keepalive | (2) 127.0.0.1:50062 Received ping response",
        "keepalive",
        "ping_answered",
        "(2) 127.0.0.1:50062",
    ),
    (
        "D 2026-11-22T05:27:20.055Z | keepalive | (2) 127.0.0.1:50062 Ping timeout passed without response",
        "keepalive",
        "ping_timed_out",
        "(2) 127.0.0.1:50062",
    ),
    (
        "D 2026-11-22T05:27:21.127Z | keepalive | (3) [::1]:50062 Starting keepalive timer for 1500ms",
        "keepalive",
        "other",
        "(3) [::1]:50062",
    ),
    ("D 2026-11-22T05:27:21.113Z | dns_resolver | Looking up DNS hostname localhost", "dns_resolver", "resolving", "localhost"),
    (
        "D 2026-11-22T05:27:21.118Z | dns_resolver | Resolved addresses for target dns:localhost:50062: [127.0.0.1:50062]",
        "dns_resolver",
        "resolved",
        "dns:localhost:50062",
    ),
    (
        "D 2026-11-22T05:27:26.684Z | resolving_load_balancer | dns:localhost:50062 READY -> IDLE",
        "resolving_load_balancer",
        "idle",
        "dns:localhost:50062",
    ),
    (
        "D 2026-11-22T05:27:26.685Z | resolving_load_balancer | dns:localhost:50062 IDLE -> CONNECTING",
        "resolving_load_balancer",
        "connecting",
        "dns:localhost:50062",
    ),
    (
        "D 2026-11-22T05:27:30.547Z | resolving_load_balancer | dns:localhost:50062 CONNECTING -> CONNECTING",
        "resolving_load_balancer",
        "other",
        "dns:localhost:50062",
    ),
    (
        "D 2026-11-22T05:29:58.542Z | subchannel | (2) 127.0.0.1:50063 READY -> TRANSIENT_FAILURE",
        "subchannel",
        "failing",
        "(2) 127.0.0.1:50063",
    ),
    # 1.14.7
    (
        "D 2026-11-22T05:27:36.136Z | v1.14.7 19959 | keepalive | (1) 127.0.0.1:50062 Ping timeout passed without response",
        "keepalive",
        "ping_timed_out",
        "(1) 127.0.0.1:50062",
    ),
    (
        'D 2026-11-22T05:27:36.186Z | v1.14.7 19959 | dns_resolver | resolution update delayed by "min time between resolutions" rate limit',
        "dns_resolver",
        "resolution_delayed",
        "",
    ),
    (
        "D 2026-11-22T05:30:09.151Z | v1.14.7 21481 | transport | (2) 127.0.0.1:50063 connection closed by GOAWAY with code 0",
        "transport",
        "disconnected",
        "(2) 127.0.0.1:50063",
    ),
    # As it was posted in grpc/grpc-node#2664.
    (
        "D 2024-02-09T18:02:19.071Z | v1.9.7 | keepalive | (4) 54.1.2.3:443 Ping timeout passed without response",
        "keepalive",
        "ping_timed_out",
        "(4) 54.1.2.3:443",
    ),
]


@pytest.mark.parametrize(("text", "tracer", "what", "subject"), JS)
@pytest.mark.parametrize("prefix", ["", NODE])
def test_grpc_js(text: str, tracer: str, what: str, subject: str, prefix: str) -> None:
    found = read(prefix + text)
    assert found is not None
    assert (found.library, found.tracer, found.what, found.subject) == ("grpc-js", tracer, what, subject)
    assert (found.at, found.environment, found.request_id) == (1.0, "e", "r")
    assert found.text == text.rpartition(" | ")[2]


@pytest.mark.parametrize(("text", "tracer", "what", "subject"), JS)
def test_grpc_js_in_lambdas_json_format(text: str, tracer: str, what: str, subject: str) -> None:
    found = read(json.dumps({"timestamp": "2026-11-22T05:27:20.055Z", "level": "ERROR", "requestId": "r", "message": text}))
    assert found is not None and (found.tracer, found.what, found.subject) == (tracer, what, subject)


@pytest.mark.parametrize(
    ("text", "tracer", "what", "subject"),
    [
        # grpcio 1.85.1
        (
            "I1122 05:27:38.805091   20036 writing.cc:144] CLIENT[0x7f42c4003c50]: Ping 16006791449107608611 sent [ipv4:127.0.0.1:50062]: max",
            "http_keepalive",
            "ping_sent",
            "ipv4:127.0.0.1:50062",
        ),
        (
            "I1122 05:27:38.856946   20034 chttp2_transport.cc:3379] ipv4:127.0.0.1:50062: Finish keepalive ping",
            "http_keepalive",
            "ping_answered",
            "ipv4:127.0.0.1:50062",
        ),
        (
            "I1122 05:27:37.160506   20036 chttp2_transport.cc:3423] ipv4:127.0.0.1:50062: Keepalive ping cancelled. Resetting timer.",
            "http_keepalive",
            "other",
            "ipv4:127.0.0.1:50062",
        ),
        (
            (
                "I1122 05:27:37.156114   20034 connectivity_state.cc:150] ConnectivityStateTracker client_channel[0x562d03b124d8]: "
                "IDLE -> CONNECTING (started resolving, OK)"
            ),
            "connectivity_state",
            "connecting",
            "client_channel[0x562d03b124d8]",
        ),
        (
            "I1122 05:27:37.156093   20034 connectivity_state.cc:172] ConnectivityStateTracker client_channel[0x562d03b124d8]: get current state: IDLE",
            "connectivity_state",
            "other",
            "",
        ),
        (
            "I1122 05:28:11.213979   20136 client_channel_filter.cc:1469] chand=0x561d8ae50360: starting name resolution for dns:///localhost:50062",
            "client_channel_filter",
            "resolving",
            "dns:///localhost:50062",
        ),
        # 1.27 to 1.40, as their users posted them.
        (
            "E0505 17:00:34.036852668   47929 chttp2_transport.cc:2880]   ipv6:[::1]:50051: Keepalive watchdog fired. Closing transport.",
            "http_keepalive",
            "ping_timed_out",
            "ipv6:[::1]:50051",
        ),
        (
            "I0202 17:47:29.240209428 2513192 chttp2_transport.cc:2821]   ipv4:10.150.0.94:8075: Start keepalive ping",
            "http_keepalive",
            "ping_sent",
            "ipv4:10.150.0.94:8075",
        ),
        (
            "I0202 17:47:29.240084998 2513192 writing.cc:129]             CLIENT: Ping sent [ipv4:10.150.0.94:8075]: 0/0",
            "http_keepalive",
            "ping_sent",
            "ipv4:10.150.0.94:8075",
        ),
    ],
)
def test_c_core(text: str, tracer: str, what: str, subject: str) -> None:
    found = read(text)
    assert found is not None
    assert (found.library, found.tracer, found.what, found.subject) == ("grpc-core", tracer, what, subject)


@pytest.mark.parametrize(
    ("text", "tracer", "what", "subject"),
    [
        ("[core] [Channel #1 SubChannel #2] Subchannel Connectivity change to READY", "core", "ready", "Channel #1 SubChannel #2"),
        ("[core] [Channel #1] Channel Connectivity change to CONNECTING", "core", "connecting", "Channel #1"),
        ("[core] [Channel #1] Channel Connectivity change to SHUTDOWN", "core", "other", "Channel #1"),
        ("[core] [Channel #1] Channel Connectivity change to TRANSIENT_FAILURE, last error: dial tcp", "core", "failing", "Channel #1"),
        ("[core] [Channel #1] Resolver state updated: {", "core", "resolved", "Channel #1"),
        (
            '[transport] [client-transport 0x19f437d7e6c8] Closing: connection error: desc = "keepalive ping failed to receive ACK within timeout"',
            "transport",
            "ping_timed_out",
            "client-transport 0x19f437d7e6c8",
        ),
        (
            (
                "[transport] [client-transport 0x19f437d7e6c8] loopyWriter exiting with error: connection error: "
                'desc = "keepalive ping failed to receive ACK within timeout"'
            ),
            "transport",
            "other",
            "client-transport 0x19f437d7e6c8",
        ),
    ],
)
def test_grpc_go(text: str, tracer: str, what: str, subject: str) -> None:
    for line in (
        f"2026/11/22 05:30:45 INFO: {text}",
        f"INFO: 2021/11/22 05:30:45 {text}",
        json.dumps({"message": text, "severity": "INFO"}),
    ):
        found = read(line)
        assert found is not None, line
        assert (found.library, found.tracer, found.what, found.subject) == ("grpc-go", tracer, what, subject)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "a | b | c",
        "INFO: [main] all is well",
        "[core] said without a level",
        "Resolved addresses for target dns:x",
        '{"message": 5, "level": "INFO"}',
        '{"message": "a | keepalive | b"',
        "see chttp2_transport.cc:3379] for more",
    ],
)
def test_other_lines_are_none(text: str) -> None:
    assert read(text) is None


@given(st.text() | st.sampled_from([text for text, *_ in JS]).flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end])))
def test_any_line_is_read_without_an_error(text: str) -> None:
    found = read(text)
    assert found is None or found.text in text


def test_a_long_line_is_read_quickly() -> None:
    """Functions print a quarter of a megabyte in a line: no search may go over it again and again."""
    for text in (
        "a | " * 60_000,
        "x] " * 80_000,
        f"D 2026-11-22T05:27:36.136Z | v1 | keepalive | {'IDLE - ' * 30_000}",
        "INFO: [" * 30_000,
    ):
        read(text)
