"""How `frostline doctor` looks on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

from ..diagnose.finding import Finding
from ..render.words import clean, duration, number
from ..trials.doctor.baseline import Baseline, Destination
from ..trials.doctor.checkup import FIRST_INVOCATIONS
from ..trials.doctor.pages import STATUS
from ..trials.doctor.plan import Plan
from ..trials.doctor.table import LEGEND, Group, Mark, Table, compared, table, told
from ..trials.doctor.verdict import Status, Unexplained, Verdict
from ..trials.trial import Result
from .terminal import colours

WIDTH = 120
"""The longest line of text that is easily read."""

TELL_EVERY_S = 10.0
"""How often progress is told where there is no terminal to draw it on."""

_STATUS: dict[Status, str] = {"survives": "bold green", "does_not_survive": "bold red", "not_judged": "bold yellow"}

_MARKS = {"ok": "green", "slow": "yellow", "failed": "bold red", "unknown": "dim", "nothing": ""}

_SEVERITIES = {"failure": "red", "risk": "yellow"}


class DoctorView:
    """Prints what is done, then the verdict. Everything but the verdict goes to standard error."""

    def __init__(self) -> None:
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)
        self._progress: Progress | None = None
        self._advance: Callable[[], None] = lambda: None

    # While it runs -----------------------------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self, function: str, *, reach_network: bool) -> Iterator[None]:
        """While one function is looked at."""
        outside = "Hosts outside of the lab are reached." if reach_network else "Nothing outside of the lab is reached."
        first = f"{clean(function)}: invoked {FIRST_INVOCATIONS} times first, to see whether it is healthy and what it connects to."
        self._err.print(Text(f"{first} {outside}"))
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=self._err, transient=True, disable=not self._err.is_terminal) as self._progress:
            yield
        self._progress = None

    def planned(self, found: Baseline, made: Plan, *, reach_network: bool) -> None:
        """What will be done, before it begins."""
        trials = len(made.cells) * made.trials
        self._err.print(Text(connects(found.destinations)))
        outside = ", ".join(clean(one.name) for one in found.destinations if one.outside)
        if reach_network and outside:
            self._err.print(Text(f"Outside of the lab it reaches {outside}.", style="yellow"))
        for refused in found.refused:
            if refused.outside:
                self._err.print(Text(f"It would reach {clean(refused.name)}, which is outside of the lab.", style="yellow"))
        self._err.print(Text(f"It will be invoked {made.invocations:,} times more, in {number(trials, 'environment')}."))
        if self._progress is not None and self._err.is_terminal:
            task = self._progress.add_task("trials", total=trials)
            progress = self._progress
            self._advance = lambda: progress.advance(task)
        else:
            self._advance = _Told(self._err, trials).advance

    def result(self, _: Result) -> None:
        """A trial has ended."""
        self._advance()

    def note(self, sentence: str) -> None:
        """A sentence for the person."""
        self._err.print(Text.assemble(("frostline: ", "bold bright_blue"), clean(sentence)))

    def wrote(self, what: str, path: str) -> None:
        """A file was written."""
        self._err.print(Text(f"{what}: {path}", style="dim"))

    # The verdict -------------------------------------------------------------------------------------------------------------------------

    def verdict(self, said: Verdict) -> None:
        """One function's verdict."""
        words = STATUS[said.status], _STATUS[said.status]
        self._hang(0, Text.assemble((clean(said.function), "bold"), " ", words, f": {clean(said.reason, 400)}"))
        if said.baseline.destinations:
            self._hang(0, Text(connects(said.baseline.destinations), style="dim"))
        if said.outcomes:
            self._say()
            self._table(table(said))
        for place, finding in enumerate(said.findings, 1):
            self._finding(place, finding)
        for one in said.unexplained:
            self._unexplained(one)
        self._list("What it costs", [f"{one.rule}: {one.claim}" for one in said.costs])
        self._list("Not tried", [f"{one.what}: {one.why}" for one in said.untried])
        self._list("What to do", said.advice)
        self._say()
        self._say(Text(f"{number(said.invocations, 'invocation')} in {duration(said.took_s)}", style="dim"))

    def side_by_side(self, before: Verdict, after: Verdict) -> None:
        """The same trials without and with thawsafe."""
        made = Grid(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for heading in ("connection to", "while frozen", "as it is", "with thawsafe"):
            made.add_column(heading, header_style="dim", overflow="fold")
        for row in compared(before, after):
            made.add_row(Text(clean(row.title)), row.label, _text(row.before), _text(row.after))
        self._say()
        words = STATUS[after.status], _STATUS[after.status]
        self._say(Text.assemble(("The same trials with thawsafe switched on from outside: ", "bold"), words))
        self._say(made)

    def end(self, said: Sequence[Verdict]) -> None:
        """All verdicts once more, where there are several."""
        if len(said) > 1:
            self._say()
            for one in said:
                self._say(Text.assemble((clean(one.function), "bold"), " ", (STATUS[one.status], _STATUS[one.status])))

    def _table(self, shown: Table) -> None:
        made = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)
        made.add_column(
            "frozen for", header_style="dim"
        )  # where there is little room its words go on in the next line, and marks are whole
        for gap in shown.gaps:
            made.add_column(gap, header_style="dim", no_wrap=True, justify="right")
        for group in shown.groups:
            _add_group(made, group)
        self._say(made)
        if shown.moments:
            self._say()
            self._say(Text("frozen in a bad moment", style="dim"))
            moments = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
            for label, mark in shown.moments:
                moments.add_row(f"  {label}", _text(mark))
            self._say(moments)
        used = {mark.text for group in shown.groups for row in group.rows for mark in row.marks} | {mark.text for _, mark in shown.moments}
        if legend := _legend(used):
            self._say(Text(legend, style="dim"))

    def _finding(self, place: int, finding: Finding) -> None:
        seen = f", seen {number(finding.times, 'time')}" if finding.times > 1 else ""
        style = _SEVERITIES[finding.severity]
        self._say()
        self._say(Text.assemble((f"{place}. {finding.rule}", f"bold {style}"), (f" ({finding.severity}{seen})", "dim")))
        self._hang(3, Text(clean(finding.claim)))
        start = finding.proof[0].at if finding.proof else finding.at
        for proof in finding.proof:
            since = f"+{duration(proof.at - start)}"
            self._hang(17, Text(clean(proof.text), style="dim"), Text(f"   {since:>12}  ", style="dim"))
        for cure in finding.cures:
            self._hang(9, Text.assemble("Cure, ", (f"{cure.client}: ", "bold"), cure.setting), Text("   "))
            self._hang(9, Text(cure.why, style="dim"))

    def _unexplained(self, one: Unexplained) -> None:
        self._say()
        self._say(Text("It fails, and what its connections did does not say why", style="bold red"))
        self._hang(3, Text(clean(one.error, 400)))
        self._hang(3, Text(f"After: {'; '.join(map(told, one.cells))}", style="dim"))

    def _list(self, title: str, sentences: Sequence[str]) -> None:
        if sentences:
            self._say()
            self._say(Text(title, style="bold"))
        for sentence in sentences:
            self._hang(4, Text(clean(sentence, 600)), Text("  "))

    def _hang(self, indent: int, text: Text, first: Text | None = None) -> None:
        """Lines that begin in the same column; `first` stands in the place of the first one's indent."""
        lead = Text(" " * indent) if first is None else first
        head, *rest = text.wrap(self._out, self._out.width - max(indent, lead.cell_len))
        head.rstrip()
        self._say(lead + head)
        for line in rest:
            line.rstrip()
            self._say(Text(" " * indent) + line)

    def _say(self, what: RenderableType = "") -> None:
        self._out.print(what)


class _Told:
    """Progress where there is no terminal: a line now and then, as a log shows it."""

    def __init__(self, console: Console, trials: int) -> None:
        self._console = console
        self._trials = trials
        self._done = 0
        self._began = self._told = time.monotonic()

    def advance(self) -> None:
        """A trial has ended."""
        self._done += 1
        now = time.monotonic()
        if now - self._told >= TELL_EVERY_S and self._done < self._trials:
            self._told = now
            left = (now - self._began) * (self._trials - self._done) / self._done
            self._console.print(Text(f"{self._done} of {self._trials} trials, about {left:.0f} s left", style="dim"))


def connects(destinations: Sequence[Destination]) -> str:
    """Whom a function connects to, in a sentence."""
    if not destinations:
        return "It opened no connection."
    words = {"kept": "kept open", "closed": "closed after use", "mixed": "sometimes kept open"}
    told = [f"{clean(one.name)} ({', '.join([one.server.protocol, *one.clients[:2], words[one.keeps]])})" for one in destinations]
    return f"It connects to {', '.join(told)}."


def _add_group(made: Grid, group: Group) -> None:
    made.add_row(Text(clean(group.title), style="bold"))
    for row in group.rows:
        made.add_row(f"  {row.label}", *map(_text, row.marks))


def _text(mark: Mark) -> Text:
    return Text(mark.text, style=_MARKS[mark.style])


def _legend(used: set[str]) -> str:
    shown = {
        "fails": "fails" in used,
        "1/2": any("/" in text for text in used),
        "3.0s": any(text.endswith("s") and text[:1].isdigit() for text in used),
        "?": "?" in used,
        "blank": "" in used,
    }
    return "; ".join(f"{sign}: {LEGEND[sign]}" for sign, there in shown.items() if there)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, no_color=not colours())
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console
