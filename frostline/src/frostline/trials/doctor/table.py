"""The verdict's table as text: what came of the cells, by what happened to which connections, and gap by gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from ...core.durations import spoken
from .plan import HAPPENINGS, Cell, Happening, Moment
from .verdict import Outcome, Verdict

Style = Literal["ok", "slow", "failed", "unknown", "nothing"]

HAPPENED: dict[Happening, str] = {
    "survive": "nothing is lost",
    "fin_delivered": "the server closes, FIN arrives",
    "lost": "the server closes, FIN is lost",
    "blackhole": "the path falls silent",
    "nat-gateway": "a NAT gateway forgets it (350s)",
    "alb": "a load balancer closes it (60s)",
}

MOMENTS: dict[Moment, str] = {
    "in_flight": "with answers on their way",
    "lingering": "kept awake, then with a ping on its way",
    "after_init": "before its first invocation",
}


class Mark(Struct, frozen=True):
    """What came of one cell."""

    text: str
    style: Style
    cell: str = ""
    """The cell's name."""


NOTHING = Mark("", "nothing")


class Row(Struct, frozen=True, kw_only=True):
    """One thing that happened, in every gap."""

    label: str
    marks: tuple[Mark, ...]
    """One for each of the table's gaps."""


class Group(Struct, frozen=True, kw_only=True):
    """What happened to one destination's connections."""

    title: str
    rows: tuple[Row, ...]


class Table(Struct, frozen=True, kw_only=True):
    """All cells of a verdict."""

    gaps: tuple[str, ...]
    groups: tuple[Group, ...]
    moments: tuple[tuple[str, Mark], ...]
    """Frozen in a bad moment: which, and what came of it."""


def table(verdict: Verdict) -> Table:
    """Destinations in the order in which they were found, then all of them together."""
    idle = {one.cell: one for one in verdict.outcomes if one.cell.moment == "idle"}
    gaps = sorted({cell.gap_s for cell in idle})
    groups = [_group("every connection" if verdict.baseline.destinations else "no connection", None, HAPPENINGS[:1], gaps, idle)]
    groups += [_group(to.name, to.name, HAPPENINGS[1:], gaps, idle) for to in verdict.baseline.destinations]
    groups.append(_group("all of them together", None, HAPPENINGS[1:], gaps, idle))
    return Table(
        gaps=tuple(map(spoken, gaps)),
        groups=tuple(group for group in groups if group.rows),
        moments=tuple((_moment(one.cell), mark(one)) for one in verdict.outcomes if one.cell.moment != "idle"),
    )


def _group(
    title: str, destination: str | None, happenings: tuple[Happening, ...], gaps: list[float], outcomes: dict[Cell, Outcome]
) -> Group:
    rows = []
    for happening in happenings:
        found = [outcomes.get(Cell(destination=destination, happening=happening, gap_s=gap)) for gap in gaps]
        if any(found):
            rows.append(Row(label=HAPPENED[happening], marks=tuple(NOTHING if one is None else mark(one) for one in found)))
    return Group(title=title, rows=tuple(rows))


def told(cell: Cell) -> str:
    """A cell in words: `redis.local:6379, the server closes, FIN is lost, for 6s`."""
    if cell.moment != "idle":
        return _moment(cell)
    where = f"{cell.destination}, " if cell.destination is not None else ""
    return f"{where}{HAPPENED[cell.happening]}, for {spoken(cell.gap_s)}"


def _moment(cell: Cell) -> str:
    lost = "" if cell.happening == "survive" else f", and {HAPPENED[cell.happening]}"
    return f"{MOMENTS[cell.moment]}{lost}, for {spoken(cell.gap_s)}"


def mark(one: Outcome) -> Mark:
    """`ok`, `fails`, `1/2`, `3.0s`; `?` where no trial came to its end."""
    name = one.cell.name
    if not one.known:
        return Mark("?", "unknown", name)
    if one.failed:
        return Mark("fails" if one.failed == one.trials else f"{one.failed}/{one.trials}", "failed", name)
    return Mark(f"{one.longest_s:.1f}s", "slow", name) if one.slow else Mark("ok", "ok", name)


class Compared(Struct, frozen=True, kw_only=True):
    """A row of two tables of the same trials, in sum."""

    title: str
    label: str
    before: Mark
    after: Mark


def compared(before: Verdict, after: Verdict) -> tuple[Compared, ...]:
    """What failed or was slow before or after, side by side."""
    rows = [
        Compared(title=title, label=label, before=_summed(marks), after=_summed(fixed))
        for title, label, marks, fixed in _pairs(table(before), table(after))
    ]
    return tuple(row for row in rows if {row.before.style, row.after.style} & {"failed", "slow"})


def _pairs(before: Table, after: Table) -> Iterator[tuple[str, str, Sequence[Mark], Sequence[Mark]]]:
    fixed = {(group.title, row.label): row.marks for group in after.groups for row in group.rows}
    for group in before.groups:
        for row in group.rows:
            yield group.title, row.label, row.marks, fixed.get((group.title, row.label), ())
    moments = dict(after.moments)
    for label, one in before.moments:
        yield "frozen in a bad moment", label, [one], [moments[label]] if label in moments else []


_SUMS: tuple[tuple[Style, str], ...] = (("failed", "fails"), ("slow", "slow"))


def _summed(marks: Sequence[Mark]) -> Mark:
    tried = [one for one in marks if one.style not in ("nothing", "unknown")]
    for style, word in _SUMS:
        if count := sum(one.style == style for one in tried):
            return Mark(word if len(tried) == 1 else f"{word} after {count} of {len(tried)} gaps", style)
    return Mark("ok", "ok") if tried else Mark("not tried", "unknown")


LEGEND: dict[str, str] = {
    "fails": "every trial failed",
    "1/2": "one of two",
    "3.0s": "it answered after so long",
    "blank": "cannot happen in so short a gap",
    "?": "not tried",
}
