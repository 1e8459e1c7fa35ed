"""What holds of all findings: they name only what the story has, no story is too broken for them, and a healthy one has none."""

from __future__ import annotations

import time
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frostline.core.effects import Effect, Emit, FunctionFailed, Resolve, StartEnvironment, Succeeded, Transition
from frostline.core.events import AnyNetworkEvent, FunctionDeployed, InvocationArrived, NetworkEvent, RuntimeResponded
from frostline.core.payload import Payload
from frostline.core.states import State
from frostline.diagnose.diagnosis import findings, occurrences
from frostline.story.records import SCHEMA, Header, Line, decode_line, encoder
from frostline.story.timeline import Timeline, timeline
from frostline.testing.builders import function

from . import test_black_hole, test_keepalive_stranded, test_slow_reconnect, test_stale_connection_reused
from .told import BEGAN, A, B, C, Told, request_id

HEADER = Header(schema=SCHEMA, version="0", started_at=BEGAN, level={})


def check(made: Timeline) -> None:
    """Whatever was found, the story has it."""
    for found in [*occurrences(made), *findings(made)]:
        assert found.environment in made.environments and found.claim and found.proof and found.cures
        assert found.connection is None or found.connection in made.connections
        assert found.requests and len(set(found.requests)) == len(found.requests) and set(found.requests) <= made.invocations.keys()
        assert [proof.at for proof in found.proof] == sorted(proof.at for proof in found.proof)
        for proof in found.proof:
            assert proof.connection is None or proof.connection in made.connections
            assert proof.request_id is None or proof.request_id in made.invocations
        assert "{" not in "".join(cure.why for cure in found.cures)


# Stories that are broken -------------------------------------------------------------------------------------------------------------------


def incidents() -> list[Line]:
    """Several incidents in one story, one after the other in environments of their own."""
    stale = Told("nodejs20.x")
    test_stale_connection_reused.post_twice(stale)
    hole = Told("nodejs20.x")
    test_black_hole.begin(hole)
    hole.invocation(B, 6.0, 9.05, error="AxiosError: timeout of 3000ms exceeded")
    hole.falls_silent(1, 5.9992)
    hole.first_write(1, 6.01, "nothing", after_s=None)
    keepalive = test_keepalive_stranded.incident(closes=5.002)
    keepalive.logs(1.03, test_slow_reconnect.channel("CONNECTING", "READY"))
    keepalive.logs(1.096, test_keepalive_stranded.SENT)
    keepalive.logs(5.0005, test_keepalive_stranded.TIMED_OUT)
    keepalive.logs(5.0006, test_slow_reconnect.channel("READY", "IDLE"))
    keepalive.logs(5.0007, test_slow_reconnect.channel("IDLE", "CONNECTING"))
    keepalive.logs(5.01, f"left over from {A}")
    return [line for number, story in enumerate((stale, hole, keepalive)) for line in apart(story, number)]


def apart(story: Told, number: int) -> list[Line]:
    """A story's lines with ids of their own, so that it can be told beside others."""
    changes = {
        b"env-1": f"env-{number}",
        b'"connection":1': f'"connection":{number}',
        A.encode(): request_id(2 * number),
        B.encode(): request_id(2 * number + 1),
    }
    lines = []
    for line in story.lines():
        text = encoder.encode(line)
        for before, after in changes.items():
            text = text.replace(before, after.encode())
        lines.append(decode_line(text))
    return lines


INCIDENTS = incidents()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_story_with_lines_missing_is_read_as_far_as_it_goes(data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.integers(0, len(INCIDENTS) - 1), max_size=30))
    begin = data.draw(st.integers(0, len(INCIDENTS)))
    end = data.draw(st.integers(begin, len(INCIDENTS)))
    check(timeline(HEADER, [line for index, line in enumerate(INCIDENTS) if begin <= index < end and index not in lost]))


@settings(max_examples=100, deadline=None)
@given(st.permutations(INCIDENTS[:45]))
def test_a_story_in_a_wrong_order_is_no_reason_to_fail(lines: list[Line]) -> None:
    check(timeline(HEADER, lines))


IDS = st.sampled_from([A, B, C])
ENVIRONMENTS = st.sampled_from(["e1", "e2", "unknown"])
TIMES = st.floats(BEGAN - 5, BEGAN + 30)
TEXTS = st.sampled_from(
    [
        "",
        "Error: read ECONNRESET",
        "4 DEADLINE_EXCEEDED: x",
        f"line of {A}",
        "timed out",
        test_keepalive_stranded.SENT,
        test_keepalive_stranded.TIMED_OUT,
    ]
) | st.text(max_size=20)


def network_event(kind: type[NetworkEvent]) -> st.SearchStrategy[NetworkEvent]:
    """Any event of a kind, about few environments, connections and requests, so that they have to do with each other."""
    known: dict[str, Any] = {
        "environment": ENVIRONMENTS,
        "at": TIMES,
        "connection": st.integers(1, 3),
        "request_id": st.none() | IDS | st.just("unknown"),
        "host": st.none() | st.just("api.local"),
        "port": st.sampled_from([80, 443, 6379]),
        "sent": st.sampled_from([0, 17, 39, 300]),
        "received": st.sampled_from([0, 17, 39, 300]),
        "until": TIMES,
    }
    return st.builds(kind, **{name: known[name] for name in kind.__struct_fields__ if name in known})


def emitted(environment: str, at: float, text: str, request: str | None) -> Emit:
    return Emit(environment=environment, function="f", time=at, type="function", record=text, text=text, request_id=request)


def moved(environment: str, before: State, after: State, request: str | None) -> Transition:
    return Transition(environment=environment, before=before.value, after=after.value, cause="", request_id=request)


EVENTS = st.one_of([network_event(kind) for kind in get_args(AnyNetworkEvent) if kind.__name__ != "ConditionsChanged"])
PAYLOADS = st.builds(lambda text: Payload(text.encode("utf-8", "replace")), TEXTS)
EFFECTS: st.SearchStrategy[Effect] = st.one_of(
    st.builds(moved, ENVIRONMENTS, st.sampled_from(State), st.sampled_from(State), st.none() | IDS),
    st.builds(lambda environment: StartEnvironment(environment=environment, function="f", revision="1", log_stream=""), ENVIRONMENTS),
    st.builds(Resolve, IDS, st.builds(FunctionFailed, payload=PAYLOADS) | st.builds(Succeeded, payload=PAYLOADS)),
    st.builds(emitted, ENVIRONMENTS, TIMES, TEXTS, st.none() | IDS),
)
PLATFORM = st.one_of(
    st.builds(
        lambda name: FunctionDeployed(function(runtime=name)),
        st.sampled_from(["python3.12", "nodejs20.x", "provided.al2023", "java21", ""]),
    ),
    st.builds(lambda request: InvocationArrived(function="f", request_id=request, payload=Payload(b"{}")), IDS),
    st.builds(lambda request: RuntimeResponded("e1", 1, request_id=request, payload=Payload(b"")), IDS),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.tuples(TIMES, EVENTS | PLATFORM, st.none() | EFFECTS), max_size=60))
def test_any_lines_at_all(told: list[tuple[float, Any, Effect | None]]) -> None:
    check(timeline(HEADER, [Line(seq=seq, at=at, event=event, effect=effect) for seq, (at, event, effect) in enumerate(told)]))


# Stories that are healthy ------------------------------------------------------------------------------------------------------------------


@st.composite
def healthy(draw: st.DrawFn) -> Told:
    """A function that reuses what it can, answers in time, and looks before it writes."""
    story = Told(draw(st.sampled_from(["python3.12", "nodejs20.x", "provided.al2023"])), freezes=draw(st.booleans()))
    connection, at = 0, 1.0
    is_open, answered_pings = False, draw(st.booleans())
    for number in range(draw(st.integers(1, 12))):
        took = draw(st.floats(0.02, 0.4))
        story.invocation(request_id(number), at, at + took)
        end = draw(st.sampled_from(["none", "closed while frozen", "lost while frozen", "silent"])) if is_open else "opens"
        if end == "closed while frozen":
            story.closes(connection, at - 0.5, by="peer", frozen=True, reached="after_thaw")
            story.closes(connection, at + 0.001)
        elif end == "lost while frozen":
            story.peer_ends(connection, at - 0.5, thaw=at - 0.001)
            story.first_write(connection, at + 0.001, "rst")  # the client's own FIN: it was too old for it
        elif end == "silent":
            story.falls_silent(connection, at - 0.0008)
            story.first_write(connection, at + 0.001, "nothing", after_s=None)
        if end != "none":
            connection += 1
            story.opens(connection, at + 0.002)
            is_open = True
        else:
            story.first_write(connection, at + 0.003, "data", after_s=0.001)
        story.sends(connection, at + 0.003, draw(st.integers(70, 5000)), draw(st.integers(1, 5000)))
        if answered_pings:
            story.sends(connection, at + 0.01, 17, 0, kind="ping", took=0)
            story.sends(connection, at + 0.011, 0, 17, kind="ping_ack", took=0)
        story.logs(at + took / 2, draw(st.sampled_from(["done", "served 5 items", '{"level": "INFO"}'])))
        at += took + draw(st.floats(0.8, 400))
    return story


@settings(max_examples=200, deadline=None)
@given(healthy())
def test_a_healthy_story_has_no_findings(story: Told) -> None:
    assert findings(story.timeline()) == []


# Many of a kind ----------------------------------------------------------------------------------------------------------------------------


def test_the_same_thing_is_one_finding_and_the_first_failure_stands_for_all() -> None:
    story = Told()
    for index, error in enumerate((None, test_stale_connection_reused.RESET, test_stale_connection_reused.RESET)):
        ids = (request_id(2 * index), request_id(2 * index + 1))
        begin = 1.0 + 10 * index
        test_stale_connection_reused.post_twice(story, index, begin=begin, ids=ids, error=error)
        if error is None:
            story.logs(begin + 5.02, "retrying: RemoteDisconnected")
    made = story.timeline()
    [found] = findings(made)
    assert (found.times, found.severity, found.requests) == (3, "failure", (request_id(2), request_id(3)))
    every = occurrences(made)
    assert [one.severity for one in every] == ["risk", "failure", "failure"] and {one.times for one in every} == {1}
    assert [one.requests[1] for one in every] == [request_id(1), request_id(3), request_id(5)]


def test_findings_can_be_written_and_read_as_json() -> None:
    made = timeline(HEADER, INCIDENTS)
    assert encoder.encode(findings(made)).startswith(b"[{")


def test_three_thousand_invocations_are_diagnosed_in_a_second() -> None:
    """In one environment or in many, on one connection that lives for ever or on a new one each time."""
    crowd, alone, stranded = Told(), Told("nodejs20.x"), Told("nodejs20.x")
    for number in range(3000):
        at, environment = 1.0 + 2 * number, f"env-{number % 300}"
        error = test_stale_connection_reused.RESET if number >= 300 else None
        crowd.invocation(request_id(number), at, at + 0.1, environment=environment, error=error)
        crowd.opens(number, at + 0.01, environment=environment)
        crowd.sends(number, at + 0.02)
        crowd.peer_ends(number, at + 4, thaw=at + 599.999)
        crowd.first_write(number, at + 600.005, "rst")
        alone.invocation(request_id(number), at, at + 0.1)
        if number == 0:
            alone.opens(0, at + 0.01)
        for burst in range(3):
            alone.sends(0, at + 0.02 + burst / 100)
        alone.first_write(0, at + 0.02, "data")
        for line in range(10):
            alone.logs(at + 0.05 + line / 1000, f"item {line} of {number}")
        stranded.invocation(request_id(number), at, at + 1.1, error=test_keepalive_stranded.DEADLINE if number else None)
        stranded.opens(number, at + 0.01)
        stranded.sends(number, at + 0.02)
        stranded.sends(number, at + 1.09, 17, 0, kind="ping", took=0)
        stranded.logs(at + 1.095, test_keepalive_stranded.SENT)
        stranded.waits(number, at + 1.2, 17, at + 1.9992, kind="ping_ack")
        stranded.logs(at + 2.0005, test_keepalive_stranded.TIMED_OUT)
        stranded.closes(number, at + 2.001)
    for story in (crowd, alone, stranded):
        made = story.timeline()
        began = time.process_time()
        found = findings(made)
        took = time.process_time() - began
        assert took < 8.0, f"{took:.2f} s"  # a second on a quiet machine; it must not grow with the square
        times = {one.rule: one.times for one in found}
        assert times == {crowd: {"stale-connection-reused": 2700}, alone: {}, stranded: {"keepalive-stranded": 2999}}[story]


def test_incidents_side_by_side_are_told_apart() -> None:
    found = findings(timeline(HEADER, INCIDENTS))
    assert {one.rule for one in found if one.severity == "failure"} == {
        "keepalive-stranded",
        "slow-reconnect",
        "stale-connection-reused",
        "black-hole",
    }
    assert [one.rule for one in found if one.severity == "risk"] == ["work-left-over"]
