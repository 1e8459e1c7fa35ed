"""Rules about costs and about work at the wrong time."""

from __future__ import annotations

import pytest

from frostline.diagnose.diagnosis import findings

from . import told
from .told import A, B, C, Told, request_id

# reconnect-storm ---------------------------------------------------------------------------------------------------------------------------


def storm(count: int, *, over: int) -> Told:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.5)
    for number in range(count):
        story.opens(number, 1.01 + number / 1000)
        story.sends(number, 1.1)
    story.invocation(B, 6.0, 6.5)
    for number in range(over):
        story.closes(number, 3.0, by="peer", frozen=True, reached="after_thaw")
    for number in range(count):
        story.opens(100 + number, 6.01 + number / 1000)
        story.sends(100 + number, 6.1)
    return story


def test_a_pool_that_is_filled_again_at_once() -> None:
    [found] = findings(storm(12, over=12).timeline())
    assert (found.rule, found.severity, found.requests) == ("reconnect-storm", "cost", (A, B))
    assert "opened 12 connections to api.local:8080" in found.claim and "in place of 12 that were over" in found.claim
    assert "maxSockets" in found.cures[0].setting


def test_a_few_are_no_crowd() -> None:
    assert findings(storm(6, over=6).timeline()) == []


def test_connections_that_nothing_ended_are_not_replaced() -> None:
    assert "reconnect-storm" not in {found.rule for found in findings(storm(12, over=2).timeline())}


# work-left-over ----------------------------------------------------------------------------------------------------------------------------


def test_a_line_of_the_request_before() -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.invocation(B, 6.0, 6.1)
    story.logs(6.02, f"flushed metrics of {A}")
    [found] = findings(story.timeline())
    assert (found.rule, found.requests) == ("work-left-over", (A, B)) and "4.9 s later" in found.claim
    assert found.cures[0].client == "python"


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("nothing of note", "{}"),
        (f"{B} comes after {A}", "{}"),
        (f"carries on with {A}", f'{{"parent": "{A}"}}'),
        (f"an id of somebody else: {C}", "{}"),
    ],
)
def test_lines_that_are_the_requests_own(line: str, event: str) -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.invocation(B, 6.0, 6.1, event=event)
    story.logs(6.02, line)
    assert findings(story.timeline()) == []


def test_a_request_that_is_answered_when_nobody_waits() -> None:
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.sends(1, 1.098, 400, 0)
    story.waits(1, 1.15, 120, 5.9992)
    story.invocation(B, 6.0, 6.1)
    [found] = findings(story.timeline())
    assert (found.rule, found.requests, found.connection) == ("work-left-over", (A, B), 1)
    assert found.cures[0].client == "node" and "Promise.all" in found.cures[0].setting


def test_one_that_is_answered_after_the_thaw() -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.098, 400, 0)
    story.invocation(B, 6.0, 6.1)
    story.sends(1, 6.001, 0, 120)
    assert [found.rule for found in findings(story.timeline())] == ["work-left-over"]


@pytest.mark.parametrize("ended", ["closed", "lost", ""])
def test_a_connection_that_is_there_only_later_is_work_left_over_but_in_place_of_one_that_ended(ended: str) -> None:
    """grpc-js connects anew by itself when a keepalive gave its connection up, whether anybody waits or not."""
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.invocation(B, 6.0, 7.0)
    story.sends(1, 6.01)
    if ended == "closed":
        story.closes(1, 6.02)
    elif ended == "lost":
        story.falls_silent(1, 5.9992)
    story.opens(2, 7.02, dialed_s=0.022)
    story.invocation(C, 12.0, 12.1)
    found = findings(story.timeline())
    assert [(one.rule, one.requests) for one in found] == ([] if ended else [("work-left-over", (B, C))])


def test_what_a_timer_begins_is_no_requests_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension kept the environment awake, and a client connected anew by itself."""
    monkeypatch.setattr(told, "SETTLES_S", 3.0)
    story = Told("nodejs20.x")
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02)
    story.sends(1, 3.9, 400, 0)
    story.waits(1, 4.2, 120, 5.9992)
    story.invocation(B, 6.0, 6.1)
    assert findings(story.timeline()) == []


def test_a_protocol_without_answers_leaves_nothing_over() -> None:
    """A publisher, whose server sends something of its own while nothing runs."""
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02, 400, 0)
    story.sends(1, 1.098, 400, 0)
    story.waits(1, 3.0, 120, 5.9992)
    story.invocation(B, 6.0, 6.1)
    story.sends(1, 6.01)
    assert findings(story.timeline()) == []


def test_a_slow_server_is_waited_for() -> None:
    story = Told()
    story.invocation(A, 1.0, 2.1)
    story.opens(1, 1.01)
    story.sends(1, 1.02, 400, 0)
    story.sends(1, 2.0, 0, 300)
    story.invocation(B, 6.0, 6.1)
    story.sends(1, 6.02)
    assert findings(story.timeline()) == []


def test_a_connection_that_is_there_too_late() -> None:
    story = Told()
    story.invocation(A, 1.0, 1.1)
    story.invocation(B, 6.0, 6.1)
    story.opens(1, 6.001, dialed_s=4.91)
    [found] = findings(story.timeline())
    assert found.requests == (A, B) and "was there only while frozen or in request bbbbbbbb" in found.claim


# timers-starved ----------------------------------------------------------------------------------------------------------------------------


def ticking(*ticks: float, first: float = 1.0, last: float = 4.1) -> Told:
    story = Told("nodejs20.x")
    story.invocation(A, first, last)
    story.invocation(B, 10.0, 10.1)
    for tick in ticks:
        story.logs(tick, f"heartbeat {tick * 7:.0f}")
    return story


def test_a_heartbeat_that_was_due_in_the_freeze() -> None:
    [found] = findings(ticking(1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 10.001).timeline())
    assert (found.rule, found.severity, found.requests) == ("timers-starved", "risk", (A, B))
    assert "Every 500 ms" in found.claim and "after the thaw" in found.claim


@pytest.mark.parametrize(
    "ticks",
    [
        pytest.param((1.5, 2.0, 2.5, 10.001), id="two gaps are chance"),
        pytest.param((1.5, 2.0, 2.9, 3.1, 4.0, 10.001), id="no steady pace"),
        pytest.param((1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 10.0), id="the handler's own loop"),
        pytest.param((1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 10.5), id="on time after the thaw"),
        pytest.param((1.5, 2.0, 2.5, 3.0, 3.5, 4.0), id="it never came again"),
        pytest.param((1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 10.001), id="too fast to tell"),
        pytest.param((1.5, 2.0, 2.5, 3.0, 10.001), id="it had stopped before the freeze"),
    ],
)
def test_no_timer_that_was_starved(ticks: tuple[float, ...]) -> None:
    assert findings(ticking(*ticks).timeline()) == []


def test_pings_at_a_steady_pace() -> None:
    story = ticking(last=4.0)
    story.opens(1, 1.2)
    story.sends(1, 1.21)
    for at in (1.7, 2.2, 2.7, 3.2, 3.7):
        story.sends(1, at, 17, 0, kind="ping", took=0)
        story.sends(1, at + 0.03, 0, 17, kind="ping_ack", took=0)
    story.sends(1, 10.001, 17, 0, kind="ping", took=0)
    [found] = findings(story.timeline())
    assert found.rule == "timers-starved" and "a PING on connection 1" in found.claim


# no-reuse ----------------------------------------------------------------------------------------------------------------------------------


def one_each(count: int, *, closed: str | None) -> Told:
    story = Told()
    for number in range(count):
        at = 1.0 + 5 * number
        story.invocation(request_id(number), at, at + 0.1)
        story.opens(number, at + 0.01)
        story.sends(number, at + 0.02)
        if closed == "function":
            story.closes(number, at + 0.05)
        elif closed == "server":
            story.closes(number, at + 0.05, by="peer")
        elif closed == "freeze":
            story.closes(number, at + 3, by="peer", frozen=True)
        elif closed == "late":
            story.closes(number, at + 5.001)
    return story


@pytest.mark.parametrize("closed", ["function", "server"])
def test_a_connection_for_each_invocation(closed: str) -> None:
    [found] = findings(one_each(4, closed=closed).timeline())
    assert (found.rule, found.severity, found.requests) == ("no-reuse", "cost", (request_id(0), request_id(3)))
    assert "4 invocations in a row" in found.claim and "SESSION = requests.Session()" in {cure.setting for cure in found.cures}


def test_connections_that_nobody_closes_grow_in_number() -> None:
    [found] = findings(one_each(4, closed=None).timeline())
    assert found.severity == "risk" and "there are more with every invocation" in found.claim


def test_two_are_how_a_pool_begins() -> None:
    assert findings(one_each(2, closed="function").timeline()) == []


@pytest.mark.parametrize("closed", ["freeze", "late"])
def test_a_connection_that_was_over_could_not_be_reused(closed: str) -> None:
    """The server ended it while frozen; or the client found it too old, after the thaw."""
    assert findings(one_each(5, closed=closed).timeline()) == []


def test_a_pool_is_healthy() -> None:
    story = one_each(1, closed=None)
    for number in range(1, 5):
        at = 1.0 + 5 * number
        story.invocation(request_id(number), at, at + 0.1)
        story.sends(0, at + 0.02)
    assert findings(story.timeline()) == []


# init-in-handler ---------------------------------------------------------------------------------------------------------------------------


def environments(
    count: int, took: float, *, usual: float = 0.02, opens: bool = True, events: tuple[str, str] = ("{}", "{}"), apart: float = 0.1
) -> Told:
    story = Told()
    for index in range(count):
        environment = f"env-{index + 1}"
        for number in range(5):
            at = 1.0 + 10 * number + index * apart
            end = at + (took if number == 0 else usual)
            story.invocation(request_id(100 * index + number), at, end, environment=environment, event=events[min(number, 1)])
            if opens and number == 0:
                story.opens(index, end - 0.005, environment=environment)
            if opens:
                story.sends(index, end - 0.004, took=0.001)
    return story


def test_a_first_invocation_that_prepares_for_the_others() -> None:
    [found] = findings(environments(1, 1.5).timeline())
    assert (found.rule, found.severity, found.requests) == ("init-in-handler", "cost", (request_id(0), request_id(1)))
    assert "took 1.5 s, and the ones after it 20 ms" in found.claim and "api.local:8080" in found.claim


def test_half_a_second_in_two_environments() -> None:
    [found] = findings(environments(2, 0.7, opens=False).timeline())
    assert "(so in 2 environments)" in found.claim


def test_many_that_are_started_one_after_the_other() -> None:
    [found] = findings(environments(3, 1.5, apart=3.0).timeline())
    assert found.rule == "init-in-handler" and "(so in 3 environments)" in found.claim


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(environments(12, 1.5), id="on a machine that starts many at once"),
        pytest.param(environments(1, 0.03), id="a local connection that is opened late"),
        pytest.param(environments(1, 0.7), id="half a second in one environment"),
        pytest.param(environments(1, 1.5, opens=False), id="a second, and nothing to show for it"),
        pytest.param(environments(2, 2.0, usual=1.0), id="slow every time"),
        pytest.param(environments(2, 2.0, events=('{"do": "setup"}', '{"do": "serve"}')), id="other work"),
    ],
)
def test_a_first_invocation_that_is_in_order(story: Told) -> None:
    assert findings(story.timeline()) == []
