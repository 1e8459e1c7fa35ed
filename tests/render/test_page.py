"""The page: one file that loads nothing, holds the whole object, and cannot be broken out of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import frostline.render
from frostline.render import page as module
from frostline.render.document import document
from frostline.render.page import page, safe_json
from frostline.render.palette import COLOURS
from frostline.render.view import View, select
from tests.render import stories
from tests.render.stories import BEGAN

ASSETS = Path(frostline.render.__file__).parent / "assets"
hostile = st.text(max_size=60) | st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "</ScRiPt >",
        "{{ 7*7 }}",
        "{% raw %}",
        "\u2028\u2029",
        "&lt;b&gt;",
        "';alert(1)//",
    ]
)


class Reader(HTMLParser):
    """A page's elements, and the text within scripts and outside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.said: list[str] = []
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = tag
        if tag == "script":
            self.scripts.append("")
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data
        elif self._within == "style":
            self.styles[-1] += data
        else:
            self.said.append(data)

    @property
    def data(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.scripts[0])
        return answer


def view() -> View:
    return select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING])


def test_it_holds_the_object_that_json_prints() -> None:
    read = Reader(page(view()))
    assert read.data["story"] == json.loads(msgspec.json.encode(document(view())))
    assert read.data["colours"] == list(COLOURS)
    assert len(read.data["axis"]["times"]) == len(read.data["axis"]["places"])
    assert sum(read.data["axis"]["places"]) == pytest.approx(1e9)


def test_it_loads_nothing_and_allows_only_its_own_script_and_style() -> None:
    read = Reader(page(view()))
    assert not [tag for tag, attributes in read.tags if {"src", "href", "action"} & set(attributes)]
    assert not re.search(r"https?://|@import|url\(", "".join(read.styles) + read.scripts[1])
    policy = next(attributes["content"] for _, attributes in read.tags if attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    for text in (read.scripts[1], read.styles[0]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on") or name == "style"], (
        "the policy would refuse them"
    )


def test_head_findings_proof_and_cures_are_text_without_scripts() -> None:
    said = " ".join(" ".join(Reader(page(view())).said).split())
    for words in (
        "checkout: 3 invocations in 1 environment, 1 failed",
        "keepalive-stranded",
        stories.KEEPALIVE_FINDING.claim,
        "8.9464 s its answer came and waited: the environment was frozen",
        "'grpc.keepalive_time_ms': 2147483647",
        "request 2",
        "request 3",
    ):
        assert words in said, words


def test_whoever_uses_no_pointer_is_served() -> None:
    read = Reader(page(view()))
    canvas = next(attributes for tag, attributes in read.tags if attributes.get("id") == "canvas")
    assert canvas["tabindex"] == "0" and canvas["role"] == "application" and canvas["aria-label"]
    names = {attributes.get("id") for _, attributes in read.tags}
    assert {canvas["aria-describedby"], "spoken"} <= names
    for tag, attributes in read.tags:
        assert tag != "button" or attributes.get("type") == "button"
        assert tag != "input" or attributes.get("aria-label") or attributes.get("id") == "scale"


def test_everything_that_the_script_looks_up_is_in_the_page() -> None:
    read = Reader(page(view()))
    script = read.scripts[1]
    ids = {attributes.get("id") for _, attributes in read.tags}
    assert set(re.findall(r'\$\("([\w-]+)"\)', script)) <= ids
    drawn = set(re.findall(r"this\.palette\.(\w+)|palette\.(\w+)", script))
    assert {name for pair in drawn for name in pair if name} - {"font"} <= set(COLOURS)


def test_text_comes_into_the_page_as_text_only() -> None:
    script = "".join((ASSETS / name).read_text() for name in module.SCRIPTS)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script)
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|sendBeacon|localStorage", script)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_script_is_one_that_browsers_can_read(tmp_path: Path) -> None:
    (tmp_path / "page.js").write_text(Reader(page(view())).scripts[1])
    subprocess.run(["node", "--check", tmp_path / "page.js"], check=True, timeout=30)


def test_three_thousand_invocations_are_in_it_within_bounds() -> None:
    text = page(select(stories.big()))
    assert len(text) < 6_000_000
    assert len(Reader(text).data["story"]["invocations"]) == 3000


def test_more_lines_than_a_page_should_have_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOGS", 100)
    read = Reader(page(select(stories.crowd(200, 2, 4).timeline())))
    assert len(read.data["story"]["logs"]) == 100
    assert any("100 log lines left out" in said for said in read.said)


def test_an_empty_and_a_cut_off_story_say_so() -> None:
    assert any("Nothing happened in this story" in said for said in Reader(page(select(stories.Teller().timeline()))).said)
    assert any("cut off in the middle" in said for said in Reader(page(select(stories.keepalive().timeline(cut=900)))).said)


def test_it_opens_to_scale_when_asked_to() -> None:
    assert Reader(page(view(), scale=True)).data["scale"] is True
    assert Reader(page(view())).data["scale"] is False


@given(hostile, hostile)
def test_no_text_of_a_function_breaks_out(text: str, name: str) -> None:
    told = stories.Teller()
    told.deploy(name)
    told.init("e" * 32, name, 0.1, 0.2)
    told.serves("e" * 32, name, f"r{text}", 0.2, 0.3, thawed=False, failed=f"{name}: {text}")
    told.prints("e" * 32, name, 0.25, text, f"r{text}")
    finding = replace(stories.POOL_FINDING, environment="e" * 32, at=BEGAN + 0.25, claim=text, rule=name, requests=(f"r{text}",))
    shown = select(told.timeline(), [finding])
    clean, plain = Reader(page(shown)), Reader(page(select(stories.pool().timeline(), [stories.POOL_FINDING])))
    assert [tag for tag, _ in clean.tags if tag in ("script", "style", "iframe", "img", "b")].count("script") == 2
    assert {tag for tag, _ in clean.tags} <= {tag for tag, _ in plain.tags}
    assert clean.data["story"] == json.loads(msgspec.json.encode(document(shown)))


@given(
    st.recursive(
        st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_in_a_script_is_the_same_json_and_ends_nothing(value: object) -> None:
    text = safe_json(value)
    assert json.loads(text) == json.loads(msgspec.json.encode(value))
    assert not re.search(r"[<>&\u2028\u2029]", text)
