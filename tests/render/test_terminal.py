"""A story as text: readable with three invocations and with three thousand, the same without colours, and never obeyed by a terminal."""

from __future__ import annotations

import io
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from frostline.render.terminal import terminal
from frostline.render.view import View, select
from tests.render import stories


def shown(view: View, *, width: int = 110, everything: bool = False, scale: bool = False, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False, markup=False
    )
    console.print(terminal(view, width=width, everything=everything, scale=scale))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def test_findings_come_first_with_claim_proof_both_requests_and_cure() -> None:
    lines = shown(select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING])).split("\n")
    assert lines[0] == "checkout: 3 invocations in 1 environment, 1 failed"
    assert "1  keepalive-stranded  failure" in lines[2:5]
    text = "\n".join(lines)
    assert f"      8.9012 s  PING sent on connection 1, in request {stories.K2}" in text
    assert f"in    {stories.K2}  request 2\n   in    {stories.K3}  request 3" in text
    assert "cure  grpc-js  'grpc.keepalive_time_ms': 2147483647" in text
    assert text.index("cure") < text.index("a41c7d")


def test_the_timeline_is_a_lane_with_invocations_gaps_and_connections() -> None:
    text = shown(select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING]), width=120)
    lane = next(line for line in text.split("\n") if line.startswith("a41c7d "))
    assert lane.index("▒") < lane.index("█") < lane.index("┄") < lane.index("▓")
    assert "┄ 8.38 s ┄" in lane and "┄ 3.39 s ┄" in lane
    ladder = next(line for line in text.split("\n") if line.startswith("  1 cache.local:8080"))
    assert ladder.index("○") < ladder.index("P") < ladder.index("◌") < ladder.index("R")
    assert "  2  27b80d41     8.9000 s     6.2 ms  succeeded\n     frozen 3.39 s\n  3  3ad2f6c8" in text
    assert "connection 1  cache.local:8080  opened at 0.4620 s in 1f3c9e20  ↓ 429 B ↑ 285 B  reset by the environment" in text


def test_what_is_lost_is_seen_in_plain_text() -> None:
    ladder = next(line for line in shown(select(stories.pool().timeline())).split("\n") if line.startswith("  1 payments"))
    assert ladder.index("✕") < ladder.index("╌") < ladder.index("R"), "the peer is gone, the environment does not know, then it does"


def test_colours_add_nothing_that_plain_text_does_not_say() -> None:
    view = select(stories.pool().timeline(), [stories.POOL_FINDING])
    coloured = shown(view, colour=True)
    assert "\x1b[" in coloured
    decoded = "\n".join(line.rstrip() for line in Console(width=400, file=io.StringIO()).render_str(coloured).plain.split("\n"))
    assert "stale-connection-reused" in decoded


def test_three_thousand_invocations_are_a_summary_and_what_failed() -> None:
    view = select(stories.big())
    text = shown(view)
    lines = text.split("\n")
    assert len(lines) < 220
    assert text.count(" failed: ConnectionResetError") == 7
    assert text.count("median") >= 7
    assert all(any(line.startswith(lane.life.short) for line in lines) for lane in view.lanes)


def test_everything_is_listed_when_asked_for() -> None:
    view = select(stories.crowd(400, 4, 40).timeline())
    text = shown(view, everything=True)
    assert all(f" {count}  " in text for count in range(1, 401))
    assert sum("index.local:9200  opened at" in line for line in text.split("\n")) == len(view.timeline.connections)


def test_many_failures_are_summed_up_too() -> None:
    told = stories.Teller()
    told.deploy("f")
    told.init("e" * 32, "f", 0.1, 0.2)
    for turn in range(100):
        told.serves("e" * 32, "f", f"{turn:08}", 0.2 + turn, 0.3 + turn, thawed=turn > 0, failed="E: no", frozen_at=0.31 + turn)
    text = shown(select(told.timeline()))
    assert len(text.split("\n")) < 60
    assert "91 more, 91 of them not succeeded" in text


def test_more_environments_than_fit_are_counted() -> None:
    text = shown(select(stories.crowd(120, 60, 60).timeline()))
    assert "20 more environments not drawn; --all draws them" in text


def test_an_empty_story_and_a_cut_off_one() -> None:
    assert shown(select(stories.Teller().timeline())).startswith("Nothing happened in this story\n")
    assert "The recording was cut off in the middle" in shown(select(stories.keepalive().timeline(cut=900)))


def test_a_narrow_terminal_is_enough() -> None:
    lines = shown(select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING]), width=60).split("\n")
    assert max(map(len, lines)) <= 60


@given(st.text(max_size=40))
def test_a_terminal_obeys_nothing_that_a_function_said(text: str) -> None:
    told = stories.Teller()
    told.deploy(text)
    told.init("e" * 32, text, 0.1, 0.2)
    told.serves("e" * 32, text, f"\x1b]0;{text}", 0.2, 0.3, thawed=False, failed=f"E: \x1b[2J{text}")
    told.opens("e" * 32, 1, 0.22, None, host=f"\x07{text}")
    said = shown(select(told.timeline()))
    assert not [character for character in said if character != "\n" and unicodedata.category(character) in ("Cc", "Cs")]
