"""Lanes and connections in characters: one row each, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from ..core.events import ConnectionTraffic
from ..story.timeline import Connection
from .axis import Axis
from .bars import columns, shares
from .view import Lane, View, choose, concern, ends, spoiled, thaw_after
from .words import clean, duration, peer

WIDE = 100
"""A terminal with so many columns has room for longer names."""

BLOCKS = {"": " ", "init": "▒", "busy": "█", "failed": "▓", "idle": "▁", "frozen": "┄", "ends": "░"}
COLOURS = {"init": "yellow", "busy": "green", "failed": "red", "idle": "bright_black", "frozen": "cyan", "ends": "bright_black"}
MEANINGS = {
    "init": "init",
    "busy": "invocation",
    "share": "share of invocations",
    "failed": "failed",
    "idle": "running, nothing to do",
    "frozen": "frozen",
    "ends": "ends",
}

MARKS = {
    "○": "opened",
    "↓": "sent",
    "↑": "received",
    "↕": "both",
    "P": "PING",
    "p": "its answer",
    "◌": "came while frozen",
    "F": "FIN",
    "R": "RST",
    "✕": "lost",
    "?": "no answer",
}
"""What connections' rows show, and what it stands for; where two fall into one column, the later one in this table is seen."""

EIGHTHS = " ▁▂▃▄▅▆▇█"
"""In a crowded lane a column is as high as the part of it that invocations take."""

CROWD = 30
"""So many invocations in one lane, and only those that matter are numbered."""


class Lanes:
    """Draws lanes `width` characters wide."""

    def __init__(self, view: View, width: int, *, scale: bool) -> None:
        self._view = view
        self._names = 24 if width >= WIDE else 18
        self._plot = max(20, width - self._names - 1)
        self._axis: Axis = view.axis(scale=scale)
        self.used: set[str] = set()
        """Kinds of stretches and marks that were drawn: what a legend has to explain."""

    def axis(self) -> Text:
        """Labels of the axis."""
        cells = [" "] * self._plot
        free = 0
        for tick in self._axis.ticks(max(2, self._plot // 11)):
            at = int(tick.place * (self._plot - 1))
            if at >= free and at + len(tick.text) <= self._plot:
                cells[at : at + len(tick.text)] = tick.text
                free = at + len(tick.text) + 2
        return Text(" " * self._names + "".join(cells), style="bright_black")

    def lane(self, lane: Lane) -> list[Text]:
        """The rows of one environment: its bar, the numbers of its invocations, its function's name."""
        kinds = columns(lane, self._axis, self._plot)
        bar = Text(f"{lane.life.short:<{self._names}}", style="bold")
        if len(lane.invocations) * 2 > self._plot:
            cells = self._crowded(lane, kinds)
        else:
            self.used.update(kinds)
            cells = [(BLOCKS[kind], COLOURS.get(kind, "")) for kind in kinds]
            self._write_freezes(lane, kinds, cells)
        for character, style in cells:
            bar.append(character, style=style)
        numbers = Text(f"{clean(lane.life.function, self._names - 1):<{self._names}}", style="bright_black")
        numbers.append_text(self._numbers(lane))
        numbers.rstrip()
        return [bar, numbers]

    def _crowded(self, lane: Lane, kinds: list[str]) -> list[tuple[str, str]]:
        self.used.update({"share", *(kind for kind in kinds if kind != "busy")})
        cells = []
        for kind, share in zip(kinds, shares(lane, self._axis, self._plot), strict=True):
            if kind == "busy":
                cells.append((EIGHTHS[max(1, round(share * 8))], "green"))
            else:
                cells.append((BLOCKS[kind], COLOURS.get(kind, "")))
        return cells

    def _write_freezes(self, lane: Lane, kinds: list[str], cells: list[tuple[str, str]]) -> None:
        """How long each freeze was, into its stretch."""
        for phase in lane.phases:
            if phase.state != "frozen":
                continue
            begin, end = self._column(phase.begin), self._column(phase.end)
            words = f" {duration(phase.end - phase.begin)} "
            stretch = kinds[begin : end + 1]
            if len(words) + 2 > len(stretch) or set(stretch[1:-1]) != {"frozen"}:
                continue
            at = begin + (len(stretch) - len(words)) // 2
            cells[at : at + len(words)] = [(character, "cyan") for character in words]

    def _numbers(self, lane: Lane) -> Text:
        cells: list[tuple[str, str]] = [(" ", "")] * self._plot
        named = {request_id for finding in lane.findings for request_id in finding.requests}
        shown = [one for one in lane.invocations if len(lane.invocations) <= CROWD or one.failed or one.request_id in named]
        for one in sorted(shown, key=lambda one: (not one.failed, one.started or 0.0)):
            count = str(self._view.numbers[one.request_id]) + ("!" if one.failed else "")
            at = min(self._column(one.started or one.arrived), self._plot - len(count))
            around = cells[max(at - 1, 0) : at + len(count) + 1]
            if all(character == " " for character, _ in around):
                cells[at : at + len(count)] = [(character, "red" if one.failed else "") for character in count]
        text = Text()
        for character, style in cells:
            text.append(character, style=style)
        return text

    def connections(self, lane: Lane, most: int) -> list[Text]:
        """A row for each connection that is worth it, at most so many."""
        crowded = len(lane.connections) > most
        return [self._connection(one, lane) for one in choose(lane, most) if not crowded or concern(one, lane.findings)]

    def legend(self, width: int) -> Iterator[Text]:
        """What was used, and what it stands for, in lines of whole entries."""
        entries = [
            ("▁▄█" if kind == "share" else BLOCKS[kind], COLOURS.get(kind, "green"), said)
            for kind, said in MEANINGS.items()
            if kind in self.used
        ]
        entries += [(mark, _MARK_COLOURS.get(mark, "blue"), said) for mark, said in MARKS.items() if mark in self.used]
        row = Text()
        for sign, style, said in entries:
            if row and len(row) + len(sign) + len(said) + 1 > width:
                yield row
                row = Text()
            row.append(sign, style=style).append(f" {said}   ", style="bright_black")
        yield row

    def _column(self, at: float) -> int:
        return min(int(self._axis.place(at) * self._plot), self._plot - 1)

    def _connection(self, connection: Connection, lane: Lane) -> Text:
        view = self._view
        near, far = ends(connection, lane.life, min(lane.life.ended, view.end))
        cells = [(" ", "")] * self._plot
        begin, last = self._column(connection.opened.at), self._column(max(near, far))
        for column in range(begin, last + 1):
            cells[column] = ("─", "bright_black")
        for column in range(min(self._column(min(near, far)) + 1, last + 1), last + 1):
            cells[column] = ("╌", "red")  # one end is gone, and the other does not know
        seen: dict[int, str] = {}
        order = list(MARKS)
        for at, mark in _marks(connection, lane):
            column = self._column(at)
            if view.begin <= at <= view.end and (column not in seen or order.index(mark) > order.index(seen[column])):
                seen[column] = mark
        for column, mark in seen.items():
            cells[column] = (mark, _MARK_COLOURS.get(mark, "blue"))
        self.used.update(seen.values())
        number = f"{connection.number} "
        name = number + peer(connection.name, self._names - 3 - len(number))
        text = Text(f"  {name:<{self._names - 2}}", style="bright_black")
        for character, style in cells:
            text.append(character, style=style)
        text.rstrip()
        return text


_MARK_COLOURS = {"P": "magenta", "p": "magenta", "◌": "magenta", "F": "yellow", "R": "red", "✕": "red", "?": "red", "○": "bright_black"}


def _marks(connection: Connection, lane: Lane) -> Iterable[tuple[float, str]]:
    yield connection.opened.at, "○"
    for burst in connection.traffic:
        yield from _burst(burst)
    for event in connection.closed:
        yield event.at, "✕" if event.reached == "never" else event.how[0].upper()
        if event.reached == "after_thaw":
            yield thaw_after(lane.life, event.at), event.how[0].upper()
    for first in spoiled(connection):
        yield first.at, {"rst": "R", "fin": "F", "nothing": "?"}[first.answer]
    if connection.lost is not None and connection.lost.fate == "blackhole":
        yield connection.lost.at, "✕"
    if connection.expired is not None:
        yield connection.expired.at, "✕"


def _burst(burst: ConnectionTraffic) -> Iterable[tuple[float, str]]:
    if burst.while_frozen:
        yield burst.at, "◌"
        yield burst.until, "p" if burst.kind != "data" else "↑"
    elif burst.kind == "data":
        yield burst.at, "↕" if burst.sent and burst.received else "↓" if burst.sent else "↑"
    else:
        yield burst.at, "P" if burst.kind == "ping" else "p"
