"""A recording becomes lanes, and lanes a picture that says what happened."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from frostline.core.effects import FunctionFailed, Resolve, StartEnvironment, Succeeded, Transition
from frostline.core.payload import Payload
from frostline.render.lanes import Lane, Segment, Served, lanes
from frostline.render.timeline import timeline_svg
from frostline.story.records import Line

SVG = "{http://www.w3.org/2000/svg}"


def moved(at: float, before: str, after: str, request_id: str | None = None) -> Line:
    """A change of state of the only environment."""
    effect = Transition(environment="e1", before=before, after=after, cause="", request_id=request_id)
    return Line(seq=1, at=at, cause=1, effect=effect)


STARTED = Line(seq=1, at=10.0, cause=1, effect=StartEnvironment(environment="e1", function="f", revision="1", log_stream="s"))
COURSE = [
    STARTED,
    moved(10.1, "starting", "initializing"),
    moved(10.3, "initializing", "idle"),
    moved(10.3, "idle", "busy", "r1"),
    Line(seq=1, at=10.4, cause=1, effect=Resolve("r1", Succeeded(payload=Payload(b'{"ok": 1}')))),
    moved(10.5, "busy", "idle"),
    moved(10.6, "idle", "freezing"),
    moved(10.6, "freezing", "frozen"),
    moved(20.0, "frozen", "thawing", "r2"),
    moved(20.0, "thawing", "busy", "r2"),
    Line(seq=1, at=20.1, cause=1, effect=Resolve("r2", FunctionFailed(payload=Payload(b"{}")))),
    moved(20.2, "busy", "idle"),
]


def test_a_story_becomes_one_lane_an_environment() -> None:
    found = lanes(COURSE)
    assert [(lane.environment, lane.function) for lane in found] == [("e1", "f")]
    assert found[0].segments[:4] == [
        Segment("starting", 10.0, 10.1),
        Segment("initializing", 10.1, 10.3),
        Segment("idle", 10.3, 10.3),
        Segment("busy", 10.3, 10.5),
    ]
    assert found[0].served == [Served("r1", 10.4, False, '{"ok": 1}'), Served("r2", 20.1, True, "{}")]


def test_a_story_that_was_cut_off_ends_where_it_was_cut() -> None:
    assert lanes(COURSE[:8])[0].segments[-1] == Segment("frozen", 10.6, 10.6)
    assert lanes([]) == []


def test_an_environment_of_an_unknown_beginning_is_left_out() -> None:
    assert lanes(COURSE[1:]) == []


def test_the_picture_shows_how_long_it_stood_still() -> None:
    lane = lanes(COURSE)[0]
    root = ET.fromstring(timeline_svg([("one <lane>", lane)], title="t & t", label=lambda served: served.request_id))
    frozen = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "frozen" and rect.get("rx") is None]
    whole = lane.segments[-1].end - lane.segments[0].begin
    assert len(frozen) == 1
    assert abs(float(frozen[0].attrib["width"]) / (900 - 32) - 9.4 / whole) < 0.01
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"one <lane>", "t & t", "r1", "r2"} <= set(texts)
    assert [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "failed"] == ["r2"]


def test_nothing_is_drawn_of_an_empty_lane() -> None:
    assert "empty" not in timeline_svg([("empty", Lane("e", "f"))], title="t")


def test_the_readme_shows_the_committed_picture() -> None:
    repository = Path(__file__).parents[2]
    assert "docs/background-timer.svg" in (repository / "README.md").read_text()
    ET.fromstring((repository / "docs" / "background-timer.svg").read_text())
