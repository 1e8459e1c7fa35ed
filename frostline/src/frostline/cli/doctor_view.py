"""How `frostline doctor` looks on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..diagnose.finding import Finding
from ..render.words import clean
from ..trials.doctor.baseline import Baseline, Destination
from ..trials.doctor.plan import Plan
from ..trials.doctor.reports import table
from ..trials.doctor.verdict import Verdict
from ..trials.trial import Result
from .terminal import colours

WIDTH = 120
"""The longest line of text that is easily read."""

_STATUS = {
    "survives": ("survives", "bold green"),
    "does_not_survive": ("does not survive a freeze", "bold red"),
    "not_judged": ("could not be judged", "bold yellow"),
}


class DoctorView:
    """Prints what is done, then the verdict. Everything but the verdict goes to standard error."""

    def __init__(self) -> None:
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)
        self._progress: Progress | None = None
        self._advance: Callable[[], None] = lambda: None
        self._told = time.monotonic()

    @contextmanager
    def running(self, function: str) -> Iterator[None]:
        """While one function is looked at."""
        self._err.print(Text(f"{clean(function)}: invoked without being frozen first, to see whether it is healthy", style="dim"))
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=self._err, transient=True, disable=not self._err.is_terminal) as self._progress:
            yield
        self._progress = None

    def planned(self, found: Baseline, made: Plan, *, reach_network: bool) -> None:
        """What will be done, before it begins."""
        self._err.print(Text(connects(found.destinations)))
        outside = (
            "hosts outside of the lab are reached, as --allow-network says" if reach_network else "nothing outside of the lab is reached"
        )
        trials = len(made.cells) * made.trials
        self._err.print(Text(f"It will be invoked some {made.invocations} times more, in {trials} environments; {outside}."))
        if self._progress is not None:
            task = self._progress.add_task("trials", total=trials)
            progress = self._progress
            self._advance = lambda: progress.advance(task)

    def result(self, _: Result) -> None:
        """A trial has ended."""
        self._advance()

    def verdict(self, said: Verdict) -> None:
        """One function's verdict."""
        words, style = _STATUS[said.status]
        self._out.print(Text.assemble((f"{clean(said.function)} ", "bold"), (words, style), f": {clean(said.reason)}"))
        self._out.print(Text(f"{connects(said.baseline.destinations)}", style="dim"))
        for name in said.baseline.refused:
            self._out.print(Text(f"It could not reach {clean(name)}", style="yellow"))
        if said.outcomes:
            self._out.print()
            self._out.print(_table(said))
        for number, finding in enumerate(said.findings, 1):
            self._finding(number, finding)
        if said.untried:
            self._out.print()
            self._out.print(Text("Not tried:", style="bold"))
            for one in said.untried:
                self._out.print(Text(f"  {one.what}: {clean(one.why)}"))
        self._out.print()
        self._out.print(Text(f"{said.invocations} invocations in {said.took_s:.0f} s", style="dim"))

    def side_by_side(self, before: Verdict, after: Verdict) -> None:
        """The same trials without and with thawsafe."""
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("connection to", "while frozen", "as it is", "with thawsafe"):
            made.add_column(heading, header_style="dim", no_wrap=True)
        _, rows = table(before)
        _, fixed = table(after)
        for one, other in zip(rows, fixed, strict=False):
            if any(cell.startswith(("fails", "slow")) for cell in (*one[2:], *other[2:])):
                made.add_row(one[0], one[1], _summed(one[2:]), _summed(other[2:]))
        self._out.print()
        self._out.print(Text("The same trials with thawsafe switched on from outside", style="bold"))
        self._out.print(made)

    def wrote(self, what: str, path: str) -> None:
        """A file was written."""
        self._err.print(Text(f"{what}: {path}", style="dim"))

    def _finding(self, number: int, finding: Finding) -> None:
        style = {"failure": "red", "risk": "yellow", "cost": "cyan"}[finding.severity]
        self._out.print()
        seen = f", seen {finding.times} times" if finding.times > 1 else ""
        self._out.print(Text.assemble((f"{number}. {finding.rule}", f"bold {style}"), (f" ({finding.severity}{seen})", "dim")))
        self._out.print(Text(f"   {clean(finding.claim)}"))
        start = finding.proof[0].at if finding.proof else finding.at
        for proof in finding.proof:
            self._out.print(Text(f"   {proof.at - start:+9.3f} s  {clean(proof.text)}", style="dim"))
        for cure in finding.cures:
            self._out.print(Text.assemble("   Cure, ", (f"{cure.client}: ", "bold"), f"{cure.setting}"))
            self._out.print(Text(f"         {cure.why}", style="dim"))


def connects(destinations: Sequence[Destination]) -> str:
    """Whom a function connects to, in a sentence."""
    if not destinations:
        return "It opened no connection."
    words = {"kept": "kept open", "closed": "closed after use", "mixed": "sometimes kept open"}
    listed = ", ".join(f"{clean(one.name)} ({one.protocol}, {words[one.keeps]})" for one in destinations)
    return f"It connects to {listed}."


def _summed(marks: Sequence[str]) -> Text:
    ill = [mark for mark in marks if mark.startswith("fails")]
    slow = [mark for mark in marks if mark.startswith("slow")]
    tried = [mark for mark in marks if mark]
    if ill:
        return Text(f"fails after {len(ill)} of {len(tried)} gaps", style="red")
    return Text(f"slow after {len(slow)} of {len(tried)} gaps", style="yellow") if slow else Text("ok", style="green")


def _table(said: Verdict) -> Table:
    head, rows = table(said)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in head:
        made.add_column(heading, header_style="dim", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(clean(cell), style=_style(cell) if column > 1 else "") for column, cell in enumerate(row)))
    return made


def _style(cell: str) -> str:
    return {"fails": "red", "slow": "yellow", "ok": "green"}.get(cell.partition(" ")[0], "dim")


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, no_color=not colours())
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console
