"""The static picture: everything of a small story is in it, a big one stays small, and no text of a function becomes anything but text."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from frostline.core.events import PathExpired
from frostline.render.svg import svg
from frostline.render.svg_parts import Room
from frostline.render.view import select
from tests.render import stories
from tests.render.stories import BEGAN

SVG = "{http://www.w3.org/2000/svg}"
REPOSITORY = Path(__file__).parents[2]
hostile = st.text(max_size=60) | st.sampled_from(
    ["</text><script>alert(1)</script>", "]]>", "<!--", '" onload="x', "&#0;", "\x00\x1b[2J\ufffe"]
)


def texts(root: ET.Element) -> list[str]:
    """What is written in the picture, without what appears where the pointer rests."""
    return [_words(element) for element in root.iter(f"{SVG}text")]


def _words(element: ET.Element) -> str:
    return (element.text or "") + "".join(("" if child.tag == f"{SVG}title" else _words(child)) + (child.tail or "") for child in element)


def titles(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}title")]


def test_the_first_incident_is_told_in_one_picture() -> None:
    root = ET.fromstring(svg(select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING])))
    said = texts(root)
    for words in ("request 1", "request 2", "request 3 failed", "frozen 8.38 s", "frozen 3.39 s", "init 352 ms"):
        assert words in said
    for words in ("PING", "PONG waits 3.35 s", "RST", "ping timed out", "keepalive-stranded", "1: reset by the"):
        assert any(words in each for each in said), words
    assert "3ad2f6c8, 1.01 s: 4 DEADLINE_EXCEEDED: Deadline exceeded" in said
    assert "grpc-js: 'grpc.keepalive_time_ms': 2147483647" in said
    assert any("27b80d41: cart 119: empty" in title for title in titles(root)), "log lines are told where the pointer rests"


def test_the_second_incident_is_told_in_one_picture() -> None:
    said = texts(ET.fromstring(svg(select(stories.pool().timeline(), [stories.POOL_FINDING]))))
    for words in ("FIN lost", "RST", "stale-connection-reused", "payments.local:443", "2: open"):
        assert any(words in each for each in said), words
    shown = titles(ET.fromstring(svg(select(stories.pool().timeline()))))
    assert any("the first write after the thaw (1.9 KB, which nobody took) was answered by RST" in each for each in shown)


def test_code_that_is_longer_than_a_line_goes_on_in_the_next() -> None:
    setting = "adapter = HTTPAdapter(max_retries=Retry(total=1, allowed_methods=None)); " + "; ".join(
        f"session.mount({n})" for n in range(8)
    )
    cure = replace(stories.POOL_FINDING.cures[0], setting=setting)
    said = texts(ET.fromstring(svg(select(stories.pool().timeline(), [replace(stories.POOL_FINDING, cures=(cure,))]))))
    begin = next(index for index, words in enumerate(said) if words.startswith("net/http: adapter"))
    assert " ".join(said[begin : begin + 2]) == f"net/http: {setting}"
    assert max(map(len, said[begin : begin + 2])) < 132


def test_the_finding_stands_where_it_happened_and_the_order_of_things_is_kept() -> None:
    view = select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING])
    root = ET.fromstring(svg(view))
    badge = next(one for one in root.iter(f"{SVG}circle") if one.get("r") == "8.5")
    failed = next(one for one in root.iter(f"{SVG}rect") if one.get("class") == "f-failed" and one.get("height") == "24")
    assert abs(float(badge.attrib["cx"]) - float(failed.attrib["x"])) < 10
    busy = [
        float(one.attrib["x"])
        for one in root.iter(f"{SVG}rect")
        if one.get("class") in ("f-busy", "f-failed") and one.get("height") == "24"
    ]
    assert len(busy) == 3 and busy == sorted(busy)


def test_what_was_shortened_is_marked_and_to_scale_nothing_is() -> None:
    view = select(stories.pool().timeline())
    assert "Time is not to scale" in svg(view)
    true = svg(view, scale=True)
    assert "Time is not to scale" not in true
    root = ET.fromstring(true)
    width = next(
        float(one.attrib["width"]) for one in root.iter(f"{SVG}rect") if one.get("class") == "f-frozen" and float(one.attrib["width"]) > 20
    )
    assert width == pytest.approx(834 * 4.4999 / 7.404, rel=0.01)


def test_three_thousand_invocations_are_a_picture_of_bounded_size() -> None:
    view = select(stories.big())
    drawn = svg(view)
    root = ET.fromstring(drawn)
    said = texts(root)
    assert "search: 3,000 invocations in 20 environments, 7 failed" in said
    assert sum(each.endswith(" failed") and each.startswith("request") for each in said) == 7, "every failure is named"
    assert all(lane.life.short in said for lane in view.lanes)
    assert len(drawn) < 400_000
    assert sum(1 for _ in root.iter()) < 2_500
    more = svg(select(stories.crowd(600, 300, 300).timeline()))
    assert "260 more environments not drawn" in more


def test_an_empty_and_a_cut_off_story_say_so() -> None:
    assert "Nothing happened in this story" in texts(ET.fromstring(svg(select(stories.Teller().timeline()))))
    assert any("cut off" in each for each in texts(ET.fromstring(svg(select(stories.keepalive().timeline(cut=900))))))


def test_a_path_that_forgets_and_a_black_hole_are_drawn() -> None:
    told = stories.pool()
    told.network(PathExpired(stories.POOL, at=BEGAN + 7.0, connection=2, middlebox="nat-gateway", idle_s=0.8, then="rst"))
    timeline = told.timeline()
    lost = timeline.connections[1].lost
    assert lost is not None
    timeline.connections[1].lost = replace(lost, fate="blackhole")
    said = texts(ET.fromstring(svg(select(timeline))))
    assert "nat-gateway forgets it" in said and "black hole" in said


@given(hostile, hostile)
def test_no_text_of_a_function_becomes_markup(text: str, name: str) -> None:
    told = stories.Teller()
    told.deploy(name)
    told.init("e" * 32, name, 0.1, 0.2)
    told.serves("e" * 32, name, f"r{text}", 0.2, 0.3, thawed=False, failed=f"{name}: {text}", frozen_at=0.4)
    told.prints("e" * 32, name, 0.25, text, f"r{text}")
    told.opens("e" * 32, 1, 0.22, None, host=text)
    finding = replace(stories.POOL_FINDING, environment="e" * 32, at=BEGAN + 0.25, claim=text, rule=name, requests=(f"r{text}",))
    root = ET.fromstring(svg(select(told.timeline(), [finding])))
    known = {"svg", "title", "style", "rect", "text", "tspan", "line", "path", "circle"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= known
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or "href" in name]


def test_labels_keep_apart() -> None:
    room = Room(0, 100)
    assert room.place(50, 40) == 30
    assert room.place(60, 20) is None, "aside by half of itself is not enough"
    assert room.place(85, 20, gap=4) == 75
    assert room.place(200, 20) is None
    assert Room(0, 10).place(5, 20) is None


def test_the_committed_pictures_are_shown_and_say_what_they_are_for() -> None:
    assert "docs/keepalive.svg" in (REPOSITORY / "README.md").read_text()
    assert "background-timer.svg" in (REPOSITORY / "docs" / "design.md").read_text()
    assert any("keepalive-stranded" in text for text in texts(ET.fromstring((REPOSITORY / "docs" / "keepalive.svg").read_text())))
    said = texts(ET.fromstring((REPOSITORY / "docs" / "background-timer.svg").read_text()))
    assert {"clock 9 s, timer 3 s", "clock 9 s, timer 9 s"} <= set(said)
