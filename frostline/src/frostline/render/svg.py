"""A story as a static picture in SVG: for a README, an issue, a terminal that shows images. Self-contained; light and dark.

Bounded: a lane has at most one bar a pixel, and what there is no room for is counted in words. The page (`page`) is the picture to walk through.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from html import escape

from ..diagnose.finding import Finding
from .axis import Axis
from .bars import failed
from .head import head
from .palette import SEVERITIES
from .svg_lane import Label, LaneDrawing, told
from .svg_parts import LEFT, PLOT, RIGHT, WIDTH, Room, badge, cut, element, length, line, rect, style, text, wrapped
from .view import Lane, View, choose_lanes
from .words import clean, number, with_short_ids

LANES = 40
"""Most environments in one picture."""

CONNECTIONS = 60
"""Most connections in one picture, and no more than `CONNECTIONS_EACH` of one environment."""
CONNECTIONS_EACH = 6

FINDINGS = 12
"""Most findings that are told below it."""

LONGEST_CODE = 300
MONO = 7.25
"""Pixels that a character of code takes."""

LEGEND = (
    ("init", "init"),
    ("busy", "invocation"),
    ("failed", "failed"),
    ("idle", "running, nothing to do"),
    ("frozen", "frozen"),
)


def svg(view: View, *, scale: bool = False, title: str | None = None, label: Label = told) -> str:
    """The picture. `scale`: a second is as long as any other, and what takes milliseconds may not be seen.

    `title` stands there instead of what was recorded; `label` says what is written under an invocation's number.
    """
    axis = view.axis(scale=scale)
    chosen = choose_lanes(view.lanes, LANES)
    each = max(1, min(CONNECTIONS_EACH, CONNECTIONS // max(len(chosen), 1)))
    parts, y = _head(view) if title is None else ([_title(title)], 30.0)
    if chosen:
        parts += _axis(axis, y + 22)
        y += 40
    for lane in chosen:
        drawing = LaneDrawing(lane, view, axis, y, each, label)
        parts += drawing.draw()
        y += drawing.height
    y += 6
    if len(chosen) < len(view.lanes):
        left_out = number(len(view.lanes) - len(chosen), "more environment")
        parts.append(text(12, y + 14, f"{left_out} not drawn: those with most to see are.", "dim small"))
        y += 24
    if chosen:
        parts += _legend(y + 12, axis, chosen)
        y += 34
    found, y = _findings(view.findings, y)
    height = round(y + 10)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
            element("title", escape(head(view).title if title is None else clean(title))),
            f"<style>{style()}</style>",
            rect(0, 0, WIDTH, height, "paper", rx=8),
            *parts,
            *found,
            "</svg>",
            "",
        ]
    )


def _title(words: str) -> str:
    return text(12, 26, words, "ink bold", font_size=16)


def _head(view: View) -> tuple[list[str], float]:
    said = head(view)
    parts = [_title(said.title)]
    y = 45.0
    for words in (". ".join(fact[0].upper() + fact[1:] for fact in said.facts) + ".", *said.warnings):
        for part in wrapped(words, 12, WIDTH - 24):
            parts.append(text(12, y, part, "dim", font_size=12))
            y += 17
    return parts, y


def _axis(axis: Axis, y: float) -> list[str]:
    parts = [line(LEFT, y, WIDTH - RIGHT, y, "s-line")]
    room = Room(LEFT - 20, WIDTH)
    for tick in axis.ticks(10):
        x = LEFT + tick.place * PLOT
        left = room.place(x, length(tick.text, 11), gap=6)
        if left is not None:
            parts.append(line(x, y - 3, x, y + 3, "s-dim"))
            parts.append(text(left, y - 7, tick.text, "dim small"))
    for quiet in axis.quiet:
        middle = LEFT + PLOT * (axis.place(quiet.begin) + axis.place(quiet.end)) / 2
        if PLOT * (axis.place(quiet.end) - axis.place(quiet.begin)) > 10:
            parts.append(cut(middle, y, 6))
    return parts


def _legend(y: float, axis: Axis, lanes: Sequence[Lane]) -> list[str]:
    parts: list[str] = []
    x = 12.0
    for kind, meaning in LEGEND:
        if kind == "failed" and not any(failed(lane) for lane in lanes):
            continue
        parts.append(rect(x, y - 9, 12, 10, kind, rx=2))
        parts.append(text(x + 17, y, meaning, "dim small"))
        x += 32 + length(meaning, 11)
    if any(lane.connections for lane in lanes):
        parts.append(text(x, y, "connections: upper line the environment's end, lower line the peer's", "dim small"))
    if axis.quiet or len(axis.times) > 2:
        parts.append(cut(18, y + 14, 5))
        said = "Time is not to scale: stretches between two events are drawn by the logarithm of their length, long quiet ones (marked) shorter still."
        parts.append(text(29, y + 17, said, "dim small"))
    return parts


def _cure(client: str, setting: str) -> Iterator[tuple[str, str]]:
    """In lines: a client's name, in the first one, and code."""
    label = f"{client}: "
    first, *more = textwrap.wrap(label.replace(" ", "_") + setting, int((WIDTH - 60) / MONO))
    yield label, first[len(label) :]
    yield from (("", code) for code in more)


def _findings(findings: Sequence[Finding], y: float) -> tuple[list[str], float]:
    parts: list[str] = []
    y += 12 if findings else 0
    for index, finding in enumerate(findings[:FINDINGS], 1):
        kind = SEVERITIES[finding.severity]
        y += 18
        parts += badge(22, y - 4, index, kind)
        often = f" ({finding.times} times)" if finding.times > 1 else ""
        parts.append(text(38, y, f"{finding.rule}{often}", f"{kind} bold"))
        for words in wrapped(with_short_ids(finding.claim, finding.requests), 12.5, WIDTH - 60):
            y += 17
            parts.append(text(38, y, words, "ink", font_size=12.5))
        for cure in finding.cures[:2]:
            y += 1
            for client, setting in _cure(clean(cure.client), clean(cure.setting, LONGEST_CODE)):
                y += 17
                code = element("tspan", escape(setting), kind="ink mono")
                parts.append(element("text", f"{escape(client)}{code}", kind="text dim", x=38, y=y, font_size=12))
        y += 8
    if len(findings) > FINDINGS:
        y += 16
        parts.append(text(38, y, f"and {number(len(findings) - FINDINGS, 'more finding')}", "dim"))
    return parts, y
