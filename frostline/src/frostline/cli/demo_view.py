"""How `frostline demo` looks on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ..render.terminal import terminal
from ..render.words import clean, duration
from ..trials.demonstration import Explained, Skipped
from ..trials.incident import Incident, Outcome, Stage
from ..trials.report import distinct, rows
from ..trials.trial import LEVELS, Result
from .terminal import colours

WIDTH = 110
"""The longest line of text that is easily read."""

ERROR_LENGTH = 160


class DemoView:
    """Prints a demonstration, stage by stage."""

    def __init__(self, incident: Incident) -> None:
        self._incident = incident
        self._out = Console(highlight=False, markup=False, emoji=False, no_color=not colours())
        self._out.width = min(self._out.width, WIDTH) if self._out.is_terminal else WIDTH
        self._told: set[Skipped] = set()
        self._compared = False

    def begin(self, skipped: Sequence[Skipped]) -> None:
        """The head: what will be seen."""
        self._say(Text(self._incident.title, style="bold"))
        self._say(Text(self._incident.text))
        self._say(Text(f"Each trial: {self._incident.trial}."))
        self._left_out(skipped)

    @contextmanager
    def stage(self, stage: Stage, trials: int) -> Iterator[Callable[[Result], None]]:
        """A stage's head, and its progress while it runs: what is given is to be called for every trial that ends."""
        self._say(Text(stage.title, style="bold underline"))
        self._say(Text(stage.text))
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("trials", total=trials)
            yield lambda _: progress.advance(task)

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """What came of a stage's cells, each by itself."""
        measured = any(outcome.cell.watched_s is not None for outcome in outcomes)
        table = _table("client", "variant", "noticed, at the median" if measured else "failed", "")
        for outcome in outcomes:
            what = Text(_noticed(outcome)) if measured else _count(outcome.failed, len(outcome.carried_out))
            table.add_row(outcome.cell.client, outcome.cell.variant, what, Text(_said(outcome)))
        self._say(table)

    def compared(self, outcomes: Sequence[Outcome]) -> None:
        """All cells so far side by side: what failed at which level."""
        self._compared = True
        if found := rows(outcomes):
            table = _table("client", "variant", *LEVELS)
            for row in found:
                table.add_row(row.client, row.variant, *(_count(*row.failed[level]) if level in row.failed else Text() for level in LEVELS))
            self._say(Text("Failed trials, by what stood still in the gaps"))
            self._say(table)

    def explained(self, explained: Explained) -> None:
        """One failing trial: what its story says."""
        self._say(Text(f"What the story of one of them says ({explained.result.trial})", style="bold"))
        self._say(terminal(explained.view, width=self._out.width))

    def end(self, outcomes: Sequence[Outcome], skipped: Sequence[Skipped], explained: Explained | None) -> None:
        """What was left out, and what was written; and the table, where it did not come to that."""
        if not self._compared:
            self.compared(outcomes)
        self._left_out(skipped)
        if explained is not None:
            self._say(Text(f"The failing trial as a page for a browser: {explained.picture}\nand as a recording: {explained.story}"))

    def _left_out(self, skipped: Sequence[Skipped]) -> None:
        for one in skipped:
            if one not in self._told:
                self._told.add(one)
                what = one.client if one.client is not None else f"everything with --freeze {one.level}"
                self._say(Text(f"Left out: {what}, because {clean(one.why)}", style="yellow"))

    def _say(self, what: RenderableType) -> None:
        self._out.print(what)
        self._out.print()


def _count(failed: int, trials: int) -> Text:
    return Text(f"{failed} of {trials}", style="red" if failed else "green")


def _said(outcome: Outcome) -> str:
    return clean("; ".join(distinct([*outcome.errors, *outcome.problems], 1)), ERROR_LENGTH)


def _noticed(outcome: Outcome) -> str:
    seconds = outcome.noticed_median_s
    return f"after {duration(seconds)}" if seconds is not None else f"not within {duration(outcome.cell.watched_s or 0.0)}"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in headings:
        table.add_column(heading, header_style="dim", no_wrap=heading != "")
    return table
