"""Carries an incident's stages out, and keeps what came of them: also when it is interrupted."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby, islice
from pathlib import Path

from msgspec import Struct

from ..project import Deployment
from ..render.page import page
from ..render.view import View
from ..sandbox.port import SandboxError
from ..upstreams import servable
from .incident import Cell, Incident, Outcome, Stage
from .ready import Bundled, NotHere, Progress, ready
from .recording import extract, read_view
from .runner import Opener, Run
from .trial import Result, Setting, Trial

MakeReady = Callable[[Bundled, Progress], Deployment]
"""Makes a bundled function ready: `ready.ready`."""


class Skipped(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What this machine does not allow, and why: a client's cells, or a level's."""

    client: str | None = None
    level: str | None = None
    why: str


class Explained(Struct, frozen=True, kw_only=True):
    """A failing trial, with its own story."""

    outcome: Outcome
    result: Result
    story: Path
    picture: Path
    """The story as a page for a browser."""
    view: View
    """What there is to see in the story."""


class Demonstration:
    """One incident, demonstrated."""

    def __init__(
        self,
        incident: Incident,
        *,
        trials: int,
        folder: Path,
        opener: Opener | None = None,
        make_ready: MakeReady = ready,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`trials`: for each cell. `folder`: where stories are kept while it runs."""
        self.incident = incident
        self.outcomes: list[Outcome] = []
        """What is known so far, in the order of the cells."""
        self.skipped: list[Skipped] = []
        self.trials = trials
        self._folder = folder
        self._opener = opener
        self._make_ready = make_ready
        self._note = note
        self._deployments: dict[Bundled, Deployment] = {}
        self._stories: list[tuple[Path, list[Outcome]]] = []

    def prepare(self, progress: Progress) -> None:
        """Make the functions ready. A client that cannot be is left out, and `skipped` says why.

        Raises Unservable where the servers cannot be started, and `ProjectError`.
        """
        servable(self.incident.upstreams)
        refused: dict[Bundled, str] = {}
        for cell in (cell for stage in self.incident.stages for cell in stage.cells):
            function = cell.function
            if function not in self._deployments and function not in refused:
                try:
                    self._deployments[function] = self._make_ready(function, progress)
                except NotHere as error:
                    refused[function] = str(error)
            if function in refused:
                skipped = Skipped(client=cell.client, why=refused[function])
                if skipped not in self.skipped:
                    self.skipped.append(skipped)

    def cells(self, stage: Stage) -> list[Cell]:
        """Those of a stage's cells that can be tried here."""
        levels = {skipped.level for skipped in self.skipped}
        return [cell for cell in stage.cells if cell.function in self._deployments and cell.level not in levels]

    async def carry_out(self, stage: Stage, on_result: Callable[[Result], None] = lambda _: None) -> list[Outcome]:
        """Try the cells of a stage. Cancelled, it keeps in `outcomes` what is known."""
        outcomes = [Outcome(cell=cell) for cell in self.cells(stage)]
        self.outcomes += outcomes
        for _, group in groupby(outcomes, key=lambda outcome: (outcome.cell.level, outcome.cell.conditions)):
            together = list(group)
            first = together[0].cell
            try:
                await self._run(together, on_result)
            except SandboxError as error:
                self.skipped.append(Skipped(level=first.level, why=str(error)))
                self.outcomes = [outcome for outcome in self.outcomes if outcome not in together]
                outcomes = [outcome for outcome in outcomes if outcome not in together]
        return outcomes

    async def _run(self, outcomes: list[Outcome], on_result: Callable[[Result], None]) -> None:
        trials = [trial for outcome in outcomes for trial in self._cell_trials(outcome.cell)]
        first = outcomes[0].cell
        setting = Setting(level=first.level, conditions=first.conditions, upstreams=self.incident.upstreams)
        story = self._folder / f"{len(self._stories)}.story.jsonl"
        self._stories.append((story, outcomes))
        run = Run(setting, story, opener=self._opener, on_result=on_result, note=self._note)
        try:
            await run.carry_out(trials)
        finally:
            results = iter(run.results)
            for outcome in outcomes:
                outcome.results = list(islice(results, self.trials))

    def _cell_trials(self, cell: Cell) -> list[Trial]:
        name = re.sub(r"[^A-Za-z0-9]+", "-", f"{cell.client}-{cell.variant}")
        return [
            Trial(
                name=f"{name}-{number}",
                deployment=self._deployments[cell.function],
                script=cell.script,
                variables=cell.variables,
            )
            for number in range(1, self.trials + 1)
        ]

    def explain(self, outcomes: list[Outcome], path: Path) -> Explained | None:
        """Choose a trial that failed, if one did, and write its own story and picture: to `path` with `.story.jsonl` and `.html` at its end.

        Raises OSError when they cannot be written.
        """
        failed = [(outcome, result) for outcome in outcomes for result in outcome.carried_out if result.failed]
        if not failed:
            return None
        outcome, result = next(((outcome, result) for outcome, result in failed if result.findings), failed[0])
        recorded = next(recorded for recorded, told in self._stories if outcome in told)
        story, picture = path.with_name(f"{path.name}.story.jsonl"), path.with_name(f"{path.name}.html")
        extract(recorded, {result.trial}, story)
        view = read_view(story)
        picture.write_text(page(view), encoding="utf-8")
        return Explained(outcome=outcome, result=result, story=story, picture=picture, view=view)
