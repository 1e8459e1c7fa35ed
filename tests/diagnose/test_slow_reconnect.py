"""`slow-reconnect`: the channel that is not ready again, and the client that does not try."""

from __future__ import annotations

from frostline.diagnose.diagnosis import findings
from frostline.diagnose.finding import Finding

from .told import A, B, C, D, Told

STAMP = "2026-09-21T10:00:00.000Z"
DEADLINE = "Error: 4 DEADLINE_EXCEEDED: Deadline exceeded"


def js(tracer: str, text: str) -> str:
    return f"D {STAMP} | v1.14.7 12 | {tracer} | {text}"


def channel(before: str, after: str) -> str:
    return js("resolving_load_balancer", f"dns:cache.local:8080 {before} -> {after}")


def traced(*, error: str | None, ready: float | None, delayed: bool = True) -> list[Finding]:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.logs(1.01, channel("IDLE", "CONNECTING"))
    story.logs(1.02, channel("CONNECTING", "READY"))
    story.invocation(B, 5.0, 7.1, error=error)
    story.logs(5.001, channel("READY", "IDLE"))
    if delayed:
        story.logs(5.002, js("dns_resolver", 'resolution update delayed by "min time between resolutions" rate limit'))
    story.logs(5.003, channel("IDLE", "CONNECTING"))
    story.logs(5.004, channel("CONNECTING", "CONNECTING"))
    if ready is not None:
        story.logs(ready, channel("CONNECTING", "READY"))
    return findings(story.timeline())


def test_a_channel_that_is_not_ready_until_its_request_has_failed() -> None:
    [found] = traced(error=DEADLINE, ready=None)
    assert (found.rule, found.severity, found.requests) == ("slow-reconnect", "failure", (A, B))
    assert "Its name look-up was held back." in found.claim and "was not ready when the invocation was over, 2.1 s later" in found.claim
    assert found.cures[0].setting == "@grpc/grpc-js >= 1.9.12"


def test_a_channel_that_is_ready_late_is_a_risk() -> None:
    [found] = traced(error=None, ready=6.5, delayed=False)
    assert found.severity == "risk" and "was ready after 1.5 s" in found.claim and "held back" not in found.claim


def test_a_channel_that_connects_at_once_is_healthy_though_its_look_up_was_delayed() -> None:
    """grpc-js from 1.9.12 on."""
    assert traced(error=None, ready=5.03) == []


def test_invocations_that_fail_meanwhile_are_counted() -> None:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.logs(1.02, channel("CONNECTING", "READY"))
    for number, request in enumerate((B, C)):
        story.invocation(request, 5.0 + 5 * number, 6.1 + 5 * number, error=DEADLINE)
    story.logs(5.003, channel("IDLE", "CONNECTING"))
    story.invocation(D, 20.0, 20.1)
    story.logs(20.01, channel("CONNECTING", "READY"))
    [found] = findings(story.timeline())
    assert found.requests == (A, B) and "So did 1 invocation after it." in found.claim


def test_the_first_connection_of_an_environment_may_take_its_time() -> None:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 4.1)
    story.logs(1.01, channel("IDLE", "CONNECTING"))
    story.logs(4.0, channel("CONNECTING", "READY"))
    assert findings(story.timeline()) == []


def test_grpc_go_and_c_core_speak_of_channels_too() -> None:
    for runtime, lines in {
        "provided.al2023": (
            "2026/09/21 10:00:00 INFO: [core] [Channel #1] Channel Connectivity change to READY",
            "2026/09/21 10:00:00 INFO: [core] [Channel #1] Channel Connectivity change to CONNECTING",
        ),
        "python3.12": (
            "I0921 10:00:00.000000 12 connectivity_state.cc:150] ConnectivityStateTracker client_channel[0x1]: CONNECTING -> READY (helper, OK)",
            "I0921 10:00:00.000000 12 connectivity_state.cc:150] ConnectivityStateTracker client_channel[0x1]: IDLE -> CONNECTING (reconnect, OK)",
        ),
    }.items():
        ready, connecting = lines
        story = Told(runtime)
        story.invocation(A, 1.0, 1.1)
        story.logs(1.02, ready)
        story.invocation(B, 5.0, 9.1)
        story.logs(5.01, connecting)
        story.logs(9.0, ready)
        [found] = findings(story.timeline())
        assert found.rule == "slow-reconnect" and "was ready after 4.0 s" in found.claim


def seen(*, error: str | None, tried: float | None, peer: bool = False) -> list[Finding]:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01, host="cache.local", fate="survive")
    story.sends(1, 1.02)
    story.invocation(B, 5.0, 6.1, error=error)
    if peer:
        story.closes(1, 3.0, by="peer", frozen=True, reached="after_thaw")
    else:
        story.closes(1, 5.002)
    if tried is not None:
        story.opens(2, tried, host="cache.local")
        story.sends(2, tried + 0.01)
    story.invocation(C, 30.0, 30.2)
    story.opens(3, 30.01, host="cache.local")
    story.sends(3, 30.02)
    return findings(story.timeline())


def test_a_client_that_does_not_try_and_fails() -> None:
    [found] = seen(error=DEADLINE, tried=None)
    assert (found.rule, found.requests, found.connection) == ("slow-reconnect", (A, B), 1)
    assert "failed without an attempt to connect" in found.claim and "the next connection was opened 25.0 s after" in found.claim


def test_a_client_that_noticed_the_servers_end_and_does_not_try() -> None:
    [found] = seen(error=DEADLINE, tried=None, peer=True)
    assert found.rule == "slow-reconnect"


def test_a_client_that_tries_is_not_held_back() -> None:
    assert seen(error=DEADLINE, tried=5.01) == []


def test_nothing_is_said_where_nothing_failed() -> None:
    assert seen(error=None, tried=None) == []
