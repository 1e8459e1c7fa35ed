"""A story put together: what is said is where it belongs, and what is missing stays None."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline.core.effects import Transition
from frostline.core.events import ConditionsChanged, EnvironmentWarped, NetworkRestored
from frostline.story.function_error import error_of
from frostline.story.records import SCHEMA, Header, Line
from frostline.story.timeline import Timeline, timeline
from tests.diagnose.told import BEGAN, A, B, Told

HEADER = Header(schema=SCHEMA, version="0", started_at=BEGAN, level={})


def two() -> Told:
    story = Told()
    story.invocation(A, 1.0, 1.2, event='{"first": true}')
    story.opens(7, 1.01)
    story.sends(7, 1.02)
    story.logs(1.05, "hello")
    story.invocation(B, 6.0, 6.3, error="ValueError: x")
    story.peer_ends(7, 4.0, thaw=5.999)
    story.first_write(7, 6.1, "rst")
    return story


def near(at: float | None) -> float:
    assert at is not None
    return pytest.approx(BEGAN + at, abs=1e-6)  # type: ignore[no-any-return]


def test_invocations_have_their_environment_times_and_outcome() -> None:
    made = two().timeline()
    first, second = made.invocations[A], made.invocations[B]
    assert (first.environment, first.outcome, first.first, first.payload) == ("env-1", "succeeded", True, '{"first": true}')
    assert (second.outcome, second.error_type, second.error_message, second.first) == ("failed", "ValueError", "x", False)
    assert first.started == near(1.0) and first.responded == near(1.2) and first.finished == near(1.2)


def test_a_freeze_lies_between_the_invocations_before_and_after_it() -> None:
    life = two().timeline().environments["env-1"]
    between = life.freezes[-1]
    assert (between.before, between.after, between.thawed) == (A, B, True)
    assert between.begin == near(1.21) and between.end == near(5.999) and between.gap_s == pytest.approx(4.789, abs=1e-6)
    assert life.freeze_before(BEGAN + 3) is between and life.freeze_before(BEGAN + 100) is between
    assert life.freeze_between(BEGAN + 1.1, BEGAN + 7) is between and life.freeze_between(BEGAN + 1.3, BEGAN + 7) is None
    assert life.freeze_before(BEGAN - 1) is None


def test_a_connection_has_its_traffic_and_its_end() -> None:
    connection = two().timeline().connections[7]
    assert connection.name == "api.local:8080" and connection.requests() == [A]
    assert connection.ended == near(4.0) and connection.idle_since(BEGAN + 5) == near(1.025)
    assert [answer.answer for answer in connection.first_writes] == ["rst"]


def test_clocks_that_were_moved_on_and_conditions_that_were_changed_are_kept() -> None:
    lines = two().lines()
    frozen = next(place for place, line in enumerate(lines) if isinstance(line.effect, Transition) and line.effect.after == "frozen")
    at = lines[frozen].at
    warps = [EnvironmentWarped("env-1", seconds=60.0, ahead_s=60.0), EnvironmentWarped("env-1", seconds=9.0, ahead_s=60.0, error="no")]
    changed = ConditionsChanged(at=at, conditions=None)
    lines[frozen + 1 : frozen + 1] = [Line(seq=0, at=at, event=event) for event in (*warps, changed)]
    made = timeline(HEADER, lines)
    assert made.environments["env-1"].freezes[0].moved_s == 60.0
    assert made.conditions == [changed]


def test_what_was_running_at_a_moment() -> None:
    made = two().timeline()
    life = made.environments["env-1"]
    for at, running, last in ((0.9, None, None), (1.1, A, A), (3.0, None, A), (6.1, B, B), (7.0, None, B)):
        now, before = life.running(BEGAN + at), life.last(BEGAN + at)
        assert (now.request_id if now else None, before.request_id if before else None) == (running, last)
    assert [line.request_id for line in made.logs] == [A]


def test_an_environment_that_is_stopped_while_frozen_was_not_thawed() -> None:
    story = two()
    story.environment("env-2", 8.0)
    moves = [("idle", "freezing"), ("freezing", "frozen"), ("frozen", "stopping"), ("stopping", "gone")]
    lines = story.lines()
    for seq, (before, after) in enumerate(moves, len(lines) + 1):
        effect = Transition(environment="env-2", before=before, after=after, cause="")
        lines.append(Line(seq=seq, at=BEGAN + 8 + seq, effect=effect))
    [freeze] = timeline(HEADER, lines).environments["env-2"].freezes
    assert not freeze.thawed and freeze.after is None and freeze.gap_s == pytest.approx(1)


def test_a_freeze_of_the_network_belongs_to_the_thaw_that_it_came_with() -> None:
    story = two()
    story.invocation("later", 9.0, 9.1)
    lines = story.lines()
    for at in (5.9992, 8.9992):
        fields = {"frozen_s": 1.0, "connections": 1, "drained": True, "fins": 0, "resets": 0, "lost": 0, "black_holed": 0, "waiting": 0}
        # Told late: when the next freeze may have begun.
        lines.append(Line(seq=len(lines) + 1, at=BEGAN + 10, event=NetworkRestored("env-1", at=BEGAN + at, **fields)))
    freezes = timeline(HEADER, lines).environments["env-1"].freezes
    assert [freeze.network.at if freeze.network else None for freeze in freezes[-2:]] == [BEGAN + 5.9992, BEGAN + 8.9992]


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ('{"errorType": "E", "errorMessage": "a \\"b\\"\\nc"}', ("E", 'a "b"\nc')),
        ('{"errorMessage":"cut off in the mid', (None, "cut off in the mid")),
        ('{"errorMessage": 5, "errorType": null}', (None, None)),
        ("", (None, None)),
        ('"errorType"', (None, None)),
    ],
)
def test_a_functions_error_as_far_as_it_is_kept(response: str, found: tuple[str | None, str | None]) -> None:
    assert error_of(response) == found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_part_of_a_story_can_be_put_together(data: st.DataObject) -> None:
    """A beginning that is missing, an end that was cut off, lines that were lost."""
    lines = two().lines()
    kept = [line for line in lines if data.draw(st.booleans())]
    check(timeline(HEADER, kept))
    begin = data.draw(st.integers(0, len(lines)))
    check(timeline(HEADER, lines[begin : data.draw(st.integers(begin, len(lines)))]))


def check(made: Timeline) -> None:
    for life in made.environments.values():
        for earlier, later in pairwise(life.phases):
            assert earlier.end == later.begin
        for freeze in life.freezes:
            assert freeze.begin <= freeze.end <= made.end
        assert all(one.environment == life.id for one in life.invocations)
