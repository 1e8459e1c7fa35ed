"""Time becomes distance: in order, whole, and so that milliseconds and hours are both seen."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frostline.render
from frostline.render.axis import Axis, shortened, to_scale
from frostline.render.page import _knots
from frostline.render.view import select
from tests.render import stories

AXIS_JS = Path(frostline.render.__file__).parent / "assets" / "axis.js"
moments = st.lists(st.floats(0, 10_000), max_size=30)
stretches = st.lists(st.tuples(st.floats(0, 10_000), st.floats(0, 10_000)).map(lambda pair: (min(pair), max(pair))), max_size=10)


@given(moments, moments, stretches, st.floats(0.001, 10_000))
def test_an_axis_keeps_the_order_and_reaches_from_end_to_end(
    states: list[float], events: list[float], runs: list[tuple[float, float]], end: float
) -> None:
    axis = shortened(0.0, end, states=states, events=events, runs=runs)
    assert axis.places[0] == 0.0 and axis.places[-1] == 1.0
    assert all(before < after for before, after in pairwise(axis.times))
    assert all(before <= after for before, after in pairwise(axis.places))
    for at in (*states, *events):
        if at <= end:
            assert axis.time(axis.place(at)) == pytest.approx(at, abs=1e-3)
    for quiet in axis.quiet:
        assert not any(begin < quiet.end - 1e-5 and quiet.begin + 1e-5 < until for begin, until in runs if until - begin > 1e-5)


@given(moments, st.integers(2, 12))
def test_labels_are_in_order_and_lie_where_they_say(states: list[float], most: int) -> None:
    axis = shortened(0.0, 10_000.0, states=states, events=[], runs=[])
    ticks = axis.ticks(most)
    assert 1 <= len(ticks) <= most
    assert all(before.place < after.place for before, after in pairwise(ticks))
    assert all(axis.place(tick.at) == tick.place for tick in ticks)


def test_an_hour_of_nothing_is_not_longer_than_what_happens() -> None:
    axis = shortened(0.0, 3700.0, states=[0.05, 3650.0, 3650.01], events=[], runs=[(0.0, 0.05), (3650.0, 3650.01)])
    frozen = axis.place(3650.0) - axis.place(0.05)
    busy = axis.place(3650.01) - axis.place(3650.0)
    assert frozen < 3 * busy
    assert [(quiet.begin, quiet.end) for quiet in axis.quiet] == [(0.05, 3650.0), (3650.01, 3700.0)]


def test_a_crowd_of_events_does_not_push_the_rest_out_of_the_picture() -> None:
    events = [0.1 + step / 1000 for step in range(800)]
    axis = shortened(0.0, 2.0, states=[1.0], events=events, runs=[(0.0, 2.0)])
    assert axis.place(1.0) < 0.75


def test_to_scale_a_second_is_a_second() -> None:
    axis = to_scale(10.0, 20.0)
    assert axis.place(12.5) == 0.25
    assert [tick.text for tick in axis.ticks(6)] == ["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.004, ["0.000 s", "0.001 s", "0.002 s", "0.003 s", "0.004 s"]),
        (200, ["0 s", "1:00", "2:00", "3:00"]),
        (10_000, ["0 s", "1:00:00", "2:00:00"]),
    ],
)
def test_labels_have_the_digits_that_they_need(seconds: float, labels: list[str]) -> None:
    assert [tick.text for tick in to_scale(0.0, seconds).ticks(5)] == labels


def test_the_incident_can_be_read() -> None:
    """What this is for: an invocation of 6 ms, a PONG 37 ms after the freeze and 8 s of freeze, each wide enough for a label."""
    axis = select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING]).axis()
    for begin, end in ((8.9, 8.9062), (8.909, 8.9464), (0.5235, 8.8996), (12.3, 13.3052)):
        width = 830 * (axis.place(stories.BEGAN + end) - axis.place(stories.BEGAN + begin))
        assert 25 < width < 250, (begin, width)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.parametrize("told", [stories.keepalive, stories.pool])
def test_the_page_reads_an_axis_as_it_was_written(told: object) -> None:
    assert callable(told)
    axis: Axis = select(told().timeline()).axis()
    times = [axis.begin + (axis.end - axis.begin) * step / 50 for step in range(51)]
    knots = msgspec.json.encode(_knots(axis)).decode()
    program = (
        f"{AXIS_JS.read_text()}\nconst axis = Axis.shortened({knots});\nconsole.log(JSON.stringify({{places: {times}.map((at) => axis.place(at)), "
        "ticks: axis.ticks(0, 1, 9).map((tick) => tick.text)}))"
    )
    said = json.loads(subprocess.run(["node", "-e", program], check=True, capture_output=True, timeout=30).stdout)
    assert said["places"] == pytest.approx([axis.place(at) for at in times], abs=1e-5)
    assert said["ticks"] == [tick.text for tick in axis.ticks(9)]
