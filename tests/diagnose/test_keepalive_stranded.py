"""`keepalive-stranded`: sent in A, timed out in B, whether the client says so or the router saw it; and never where the keepalive was right."""

from __future__ import annotations

import pytest

from frostline.diagnose.diagnosis import findings
from frostline.diagnose.finding import Finding

from .told import A, B, Told

DEADLINE = "Error: 4 DEADLINE_EXCEEDED: Deadline exceeded"
STAMP = "2026-09-21T10:00:00.000Z"
SENT = f"{STAMP}\t{A}\tERROR\tD {STAMP} | v1.9.15 12 | keepalive | (4) 198.19.64.1:8080 Sending ping with timeout 1000ms"
ANSWERED = f"{STAMP}\t{A}\tERROR\tD {STAMP} | v1.9.15 12 | keepalive | (4) 198.19.64.1:8080 Received ping response"
TIMED_OUT = f"{STAMP}\t{B}\tERROR\tD {STAMP} | v1.9.15 12 | keepalive | (4) 198.19.64.1:8080 Ping timeout passed without response"


def incident(*, error: str | None = DEADLINE, closes: float | None = None, ping: bool = True) -> Told:
    """A ping under way at the freeze, its answer while frozen."""
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, host="cache.local")
    story.sends(1, 1.02)
    if ping:
        story.sends(1, 1.095, 17, 0, kind="ping", took=0)
        story.waits(1, 1.14, 17, 4.9992, kind="ping_ack")
    story.invocation(B, 5.0, 6.1, error=error)
    if closes is not None:
        story.closes(1, closes)
    return story


def stranded(story: Told) -> Finding:
    [found] = [one for one in findings(story.timeline()) if one.rule == "keepalive-stranded"]
    return found


def test_sent_in_one_request_and_timed_out_in_the_next_as_the_client_traced_it() -> None:
    story = incident(ping=False)
    story.logs(1.095, SENT)
    story.logs(5.0005, TIMED_OUT)
    found = stranded(story)
    assert (found.severity, found.requests, found.connection, found.destination) == ("failure", (A, B), 1, "cache.local:8080")
    assert "was sent in request aaaaaaaa and not answered before the freeze; its timeout fired" in found.claim
    assert "in request bbbbbbbb" in found.claim and "DEADLINE_EXCEEDED" in found.claim
    assert {cure.client for cure in found.cures} == {"grpc-js"}
    assert any("keepalive_time_ms" in cure.setting for cure in found.cures)


def test_the_client_that_went_on_is_a_risk() -> None:
    story = incident(error=None, ping=False)
    story.logs(1.095, SENT)
    story.logs(5.0005, TIMED_OUT)
    assert stranded(story).severity == "risk"


def test_a_line_that_was_read_after_the_freeze_had_begun_was_printed_before_it() -> None:
    story = incident(ping=False)
    story.logs(1.2, SENT)
    story.logs(5.0005, TIMED_OUT)
    assert stranded(story).requests == (A, B)


def test_the_router_saw_it_and_the_function_closed_the_connection_right_after_the_thaw() -> None:
    found = stranded(incident(error=None, closes=5.002))
    assert found.requests == (A, B) and found.connection == 1
    assert "The answer had come while the environment was frozen." in found.claim


def test_the_router_saw_it_and_the_call_failed_without_using_the_connection() -> None:
    """grpc-js 1.9.0 lets the connection be, and waits for the next name look-up."""
    assert stranded(incident()).severity == "failure"


def test_what_both_say_is_one_finding() -> None:
    story = incident(closes=5.002)
    story.logs(1.096, SENT)
    story.logs(5.0005, TIMED_OUT)
    found = stranded(story)
    assert found.times == 1 and "its timeout fired" in found.claim and "The answer had come" in found.claim


def test_a_ping_that_was_answered_before_the_freeze() -> None:
    story = incident(error=None, ping=False)
    story.logs(1.05, SENT)
    story.logs(1.09, ANSWERED)
    story.logs(5.0005, TIMED_OUT)
    assert findings(story.timeline()) == []


def test_a_timeout_long_after_the_thaw_is_a_peer_that_did_not_answer() -> None:
    story = incident(error=None, ping=False)
    story.logs(1.095, SENT)
    story.logs(5.9, TIMED_OUT)
    assert findings(story.timeline()) == []


def test_a_ping_whose_answer_is_read_after_the_thaw_is_healthy() -> None:
    story = incident(error=None)
    story.sends(1, 5.02)
    assert findings(story.timeline()) == []


def test_where_the_connection_was_lost_the_keepalive_was_right() -> None:
    story = incident(error=None, ping=False)
    story.logs(1.095, SENT)
    story.peer_ends(1, 3.0, thaw=4.999)
    story.logs(5.0005, TIMED_OUT)
    assert [found.rule for found in findings(story.timeline())] == []


@pytest.mark.parametrize("size", [38, 39, 46])
def test_within_tls_the_size_tells_when_it_was_seen_before(size: int) -> None:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 7.1)
    story.opens(1, 1.01, host="cache.local", port=443)
    story.sends(1, 1.02, 900, 4000)
    story.sends(1, 6.0, size, size)
    story.sends(1, 7.095, size, 0)
    story.waits(1, 7.14, size, 9.9992)
    story.invocation(B, 10.0, 10.1)
    story.closes(1, 10.002)
    found = stranded(story)
    assert found.requests == (A, B) and any("One TLS record of a PING's size" in proof.text for proof in found.proof)


def test_a_farewell_within_tls_has_the_size_too_and_is_sent_once() -> None:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, host="cache.local", port=443)
    story.sends(1, 1.02, 900, 4000)
    story.sends(1, 1.095, 39, 0)
    story.waits(1, 1.14, 39, 4.9992)
    story.invocation(B, 5.0, 5.1)
    story.closes(1, 5.002)
    assert findings(story.timeline()) == []


def test_grpc_go_says_only_that_it_timed_out() -> None:
    story = Told("provided.al2023")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, host="cache.local")
    story.sends(1, 1.02)
    story.invocation(B, 40.0, 40.1)
    line = '2026/09/21 10:00:40 INFO: [transport] [client-transport 0xc0001] {}: connection error: desc = "keepalive ping failed to receive ACK within timeout"'
    story.logs(40.0005, line.format("Closing"))
    story.logs(40.0006, line.format("loopyWriter exiting with error"))
    found = stranded(story)
    assert found.requests == (A, B) and found.times == 1 and found.cures[0].client == "grpc-go"


def test_c_cores_words() -> None:
    story = Told("python3.12")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, host="cache.local")
    story.sends(1, 1.02)
    story.logs(1.095, "I0921 10:00:01.095000 12 chttp2_transport.cc:2821]   ipv4:198.19.64.1:8080: Start keepalive ping")
    story.invocation(
        B, 40.0, 40.1, error="_InactiveRpcError: <_InactiveRpcError of RPC that terminated with: status = StatusCode.UNAVAILABLE"
    )
    story.logs(
        40.0005, "E0921 10:00:40.000500 12 chttp2_transport.cc:2880]   ipv4:198.19.64.1:8080: Keepalive watchdog fired. Closing transport."
    )
    found = stranded(story)
    assert found.severity == "failure" and found.connection == 1 and found.cures[0].client == "grpcio"
