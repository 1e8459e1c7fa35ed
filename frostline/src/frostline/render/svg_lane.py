"""One environment in the static picture: its lane, what it printed, and its connections, with findings across all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from ..diagnose.finding import Finding
from ..story.timeline import Invocation
from .axis import Axis
from .bars import STRENGTH, bars, failed
from .palette import SEVERITIES, STATES
from .svg_connection import HEIGHT as LADDER
from .svg_connection import Ladder
from .svg_parts import LEFT, PLOT, WIDTH, Room, badge, length, line, path, rect, text
from .view import Lane, View, choose, concern
from .words import clean, duration, ends_kept, number, outcome, short

NAMES = 34.0
"""Above the bar: two rows of labels."""
BAR = 24.0
LOGS = 20.0
MARKS = 22.0
"""A row of findings' numbers and names; as many as it takes, up to `MARK_ROWS`."""
MARK_ROWS = 4
GAP = 22.0

CROWD = PLOT // 4
"""So many stretches, and a lane is drawn by columns."""

SHORTEST = 2.5
"""Pixels that an invocation has at least."""

TOLD = {
    "ping_timed_out": "ping timed out",
    "failing": "failing",
    "disconnected": "disconnected",
    "resolution_delayed": "name resolution held back",
}
"""Traces of gRPC that are written out; the others are marks."""


class Badge(Struct, frozen=True):
    """Where a finding's number stands."""

    finding: Finding
    x: float
    row: int
    side: Literal[1, 0, -1]
    """On which side its name is: right, or left at the picture's edge, or nowhere, as others are in the way."""


Label = Callable[[Invocation], str]


def told(one: Invocation) -> str:
    """`3ad2f6c8, 1.01 s: 4 DEADLINE_EXCEEDED`."""
    took = "unfinished" if one.finished is None else duration(one.finished - (one.started or one.arrived))
    said = f"{short(one.request_id)}, {took}"
    return f"{said}: {ends_kept(one.error_message or one.error_type or 'no reason given', 46)}" if one.failed else said


class LaneDrawing:
    """Draws one lane with its top at `top`; `height` says how much it took."""

    def __init__(self, lane: Lane, view: View, axis: Axis, top: float, connections: int, label: Label) -> None:
        self._lane, self._view, self._axis, self._label = lane, view, axis, label
        self._crowded = len(lane.phases) > CROWD
        self._chosen = [one for one in choose(lane, connections) if not self._crowded or concern(one, lane.findings)]
        self._top = top
        self._named = {request_id for finding in lane.findings for request_id in finding.requests}
        self._badges, rows = self._place_findings()
        self._bar = top + MARKS * rows + (NAMES if self._shown() else 10)
        self._ladders = self._bar + BAR + (10 if self._crowded else LOGS)
        self._bottom = self._ladders + LADDER * len(self._chosen)
        left_out = len(lane.connections) - len(self._chosen)
        self._left_out = number(left_out, "more connection" if self._chosen else "connection") if left_out else ""
        self.height = self._bottom + (GAP if self._chosen else 10) - top

    def _x(self, at: float) -> float:
        return LEFT + self._axis.place(at) * PLOT

    def draw(self) -> list[str]:
        """The elements."""
        life = self._lane.life
        parts = [
            text(12, self._bar + 10, life.short, "ink bold mono"),
            text(12, self._bar + 25, clean(life.function, 22), "dim small"),
            line(12, self._top - 2, WIDTH - 12, self._top - 2, "s-line", opacity=0.6),
        ]
        if self._left_out:
            parts.append(text(12, max(self._bar + 38, self._bottom + 6), self._left_out, "dim tiny"))
        parts += [*self._cold(), *self._findings(), *(self._columns() if self._crowded else self._phases()), *self._names()]
        if not self._crowded:
            parts += self._logs()
        for index, connection in enumerate(self._chosen):
            top = self._ladders + LADDER * index
            parts += Ladder(connection, life, self._x, top, self._view.begin, self._view.end).draw()
        return parts

    # The bar -----------------------------------------------------------------------------------------------------------------------------

    def _cold(self) -> list[str]:
        """Freezes go down through the connections: the network stood still, too."""
        if not self._chosen:
            return []
        boxes, top = [], self._bar + BAR
        for phase in self._lane.phases:
            x, end = self._x(phase.begin), self._x(phase.end)
            if phase.state == "frozen" and end - x > 1:
                boxes.append(_box(x, top, end - x, self._bottom - top))
        return [path("".join(boxes), "frozen band")] if boxes else []

    def _phases(self) -> list[str]:
        bad = failed(self._lane)
        parts, above = [], []
        for phase in self._lane.phases:
            x, end = self._x(phase.begin), self._x(phase.end)
            kind = STATES.get(phase.state, "idle")
            title = f"{phase.state} {duration(phase.end - phase.begin)}"
            if phase.state == "busy":
                kind = "failed" if phase.request_id in bad else "busy"
                title = f"invocation {phase.request_id}: {title}"
                above.append(rect(x, self._bar, max(end - x, SHORTEST), BAR, kind, title=title, rx=2))
            elif kind == "idle":
                parts.append(rect(x, self._bar + BAR / 2 - 3, max(end - x, 0.5), 6, kind, title=title))
            else:
                parts.append(rect(x, self._bar, max(end - x, 0.5), BAR, kind, title=title))
                parts += self._inside(kind, phase.state, x, end, phase.end - phase.begin)
        return parts + above

    def _inside(self, kind: str, state: str, x: float, end: float, seconds: float) -> list[str]:
        colour = "cold" if kind == "frozen" else "paper"
        options = {"frozen": (f"frozen {duration(seconds)}", duration(seconds)), "initializing": (f"init {duration(seconds)}",)}.get(
            state, ()
        )
        said = next((words for words in options if length(words, 11) + 8 < end - x), None)
        middle = (x + end) / 2
        return [text(middle, self._bar + BAR / 2 + 4, said, f"{colour} small", text_anchor="middle")] if said else []

    def _columns(self) -> list[str]:
        """The lane where it has more stretches than pixels: one path for each kind."""
        boxes: dict[str, list[str]] = {}
        for bar in bars(self._lane, self._axis, PLOT):
            width = (bar.end - bar.begin) * PLOT
            boxes.setdefault(bar.kind, []).append(
                _box(LEFT + bar.begin * PLOT, self._bar, max(width, 3) if bar.kind == "failed" else width, BAR)
            )
        return [path("".join(boxes[kind]), kind) for kind in STRENGTH if kind in boxes]

    def _shown(self) -> list[Invocation]:
        """The invocations that may be named: all of them or, where there are many, those that failed or that a finding is about; these come first."""
        marked = [one for one in self._lane.invocations if one.failed or one.request_id in self._named]
        if self._crowded:
            return marked
        return marked + [one for one in self._lane.invocations if one not in marked]

    def _names(self) -> list[str]:
        """Each invocation's number, how it ended and how long it took, as far as there is room."""
        room = Room(LEFT, LEFT + PLOT + 12)
        parts = []
        for one in self._shown():
            begin, end = one.started or one.arrived, one.finished or self._view.end
            centre = (self._x(begin) + self._x(end)) / 2
            count = str(self._view.numbers[one.request_id])
            upper, lower = f"request {count}{' failed' if one.failed else ''}", self._label(one)
            left = room.place(centre, max(length(upper, 13), length(lower, 11)))
            kind = "failed" if one.failed else "ink"
            if left is not None:
                parts.append(text(left, self._bar - 19, upper, f"{kind} bold halo s-paper"))
                parts.append(
                    text(left, self._bar - 6, lower, f"{'failed' if one.failed else 'dim'} small halo s-paper", title=outcome(one))
                )
            elif (left := room.place(centre, length(count, 11), gap=3)) is not None:
                parts.append(text(left, self._bar - 6, count, f"{kind} small", title=outcome(one)))
        return parts

    # What it printed ---------------------------------------------------------------------------------------------------------------------

    def _logs(self) -> list[str]:
        y = self._bar + BAR + 4
        parts, last = [], -10.0
        for log in self._lane.logs:
            x = self._x(log.at)
            if x - last >= 2:
                said = f"{short(log.request_id) + ': ' if log.request_id else ''}{log.text}"
                parts.append(rect(x - 0.75, y, 1.5, 7, "dim", title=said))
                last = x
        room = Room(LEFT, LEFT + PLOT)
        for trace in self._lane.traces:
            said = TOLD.get(trace.what, "")
            if not said:
                continue
            x = self._x(trace.at)
            left = room.place(x + 6 + length(said, 10) / 2, length(said, 10), gap=4)
            parts.append(path(f"M{x:.1f} {y - 1:.1f}l4 4.5l-4 4.5l-4 -4.5z", "failed", title=f"{trace.library}: {trace.text}"))
            if left is not None:
                parts.append(text(left, y + 8, said, "failed tiny", title=f"{trace.library}: {trace.text}"))
        return parts

    # Findings ----------------------------------------------------------------------------------------------------------------------------

    def _place_findings(self) -> tuple[list[Badge], int]:
        """The findings' badges, and how many rows they take."""
        rooms = [Room(LEFT - 9, WIDTH - 4) for _ in range(MARK_ROWS)]
        placed = []
        for finding in self._lane.findings:
            x = self._x(finding.at)
            width = length(finding.rule, 12.5) + 26
            side: Literal[1, -1] = 1 if x - 9 + width < WIDTH - 4 else -1
            row = next(
                (row for row, room in enumerate(rooms) if room.place(x + side * (width / 2 - 9), width, aside=False) is not None), None
            )
            placed.append(Badge(finding, x, MARK_ROWS - 1 if row is None else row, 0 if row is None else side))
        return placed, max((badge.row + 1 for badge in placed), default=0)

    def _findings(self) -> list[str]:
        lines, marks = [], []
        for one in self._badges:
            kind = SEVERITIES[one.finding.severity]
            y = self._top + 11 + MARKS * one.row
            lines.append(line(one.x, y + 8, one.x, self._bottom, f"s-{kind} dash", stroke_width=1.3))
            marks += badge(one.x, y, self._view.findings.index(one.finding) + 1, kind)
            if one.side:
                anchor = "start" if one.side > 0 else "end"
                name = text(
                    one.x + 13 * one.side,
                    y + 4,
                    one.finding.rule,
                    f"{kind} small bold halo s-paper",
                    title=one.finding.claim,
                    text_anchor=anchor,
                )
                marks.append(name)
        return [*lines, *marks]


def _box(x: float, y: float, width: float, height: float) -> str:
    return f"M{x:.1f} {y:g}h{width:.1f}v{height:g}h{-width:.1f}z"
