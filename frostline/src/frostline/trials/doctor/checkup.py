"""Carries the doctor's trials out, and gives what is known at any moment."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ...core.conditions import Conditions
from ...core.fates import Fates
from ...core.upstream import Upstream
from ...project import Deployment
from ...project.packages import packages
from ...sandbox.router.policy import OUTSIDE
from ...story.reader import Story
from ...story.timeline import Timeline, timeline
from ..gaps import Gaps, RealTime, Warped
from ..recording import extract
from ..runner import Opener, Run
from ..trial import Level, Result, Script, Setting, Trial
from .baseline import Baseline, baseline, failure
from .compiled import compiled
from .plan import GAPS_S, LINGERS_S, LONGEST_WAIT_S, Cell, Plan, plan
from .scripts import BASELINE_INVOCATIONS, JUDGED, one_second, script_of, several
from .second_look import WIDTH, doubtful
from .verdict import Outcome, Verdict, outcome, verdict

BASELINE_ENVIRONMENTS = 3
"""A function that fails sometimes must show it before anything is blamed on a freeze."""

FIRST_INVOCATIONS = BASELINE_ENVIRONMENTS * BASELINE_INVOCATIONS + 2
"""How often a function is invoked before there is a plan."""

PATIENCE_S = 10.0
"""How long an invocation may take in a trial, at most. A black hole is waited out for as long as the function's clients do, and a function whose timeout is
minutes is judged by this."""

REAL_WAIT_S = 61.0
"""The longest gap that is waited for where waiting was asked for, but no gap."""


FIRST, AGAIN = "cell", "again"
"""Two looks at a cell (`second_look`)."""

_TRIAL = re.compile(r"\b(?:baseline|clocks|(?:cell|again)-\d+)-\d+\b")
"""Names of trials."""


class Question(Struct, frozen=True, kw_only=True):
    """What the doctor is asked."""

    deployment: Deployment
    event: Any = {}
    """What the function is invoked with."""
    upstreams: tuple[Upstream, ...] = ()
    reach_network: bool = False
    """Destinations outside of the lab may be reached."""
    trials: int = 2
    """Of each cell."""
    gaps: tuple[float, ...] = ()
    """Instead of the usual ones."""
    real: bool = False
    """Gaps are waited for; no clock is moved."""
    patience_s: float = PATIENCE_S
    width: int = 12
    """Environments side by side."""


class Checkup:
    """One function's. What is known is in `baseline`, `plan` and `verdict()` at any moment, also after a cancellation."""

    def __init__(
        self,
        question: Question,
        folder: Path,
        *,
        on_plan: Callable[[Baseline, Plan], None] = lambda _found, _made: None,
        on_result: Callable[[Result], None] = lambda _: None,
        note: Callable[[str], None] = lambda _: None,
        opener: Opener | None = None,
    ) -> None:
        """`folder`: where stories are kept. `on_plan` is told what will be done before it begins; `on_result` of each trial as it ends."""
        self._question = question
        self._folder = folder
        self._on_plan = on_plan
        self._on_result = on_result
        self._note = note
        self._opener = opener
        function = question.deployment.function
        found = packages(function, question.deployment.code)
        limited = msgspec.structs.replace(function, timeout_s=min(function.timeout_s, question.patience_s), packages=found)
        self._deployment = msgspec.structs.replace(question.deployment, function=limited)
        self._began = time.monotonic()
        self._took_s: float | None = None
        self.baseline: Baseline | None = None
        self.plan: Plan | None = None
        self._runs: list[Run] = []
        self._said: set[str] = set()

    @property
    def function(self) -> str:
        """The function's name."""
        return self._deployment.function.name

    async def carry_out(self) -> None:
        """Find the baseline, plan, and make the trials. Raises `SandboxError` where the machine does not allow to freeze the network, and `StoryError`."""
        try:
            self._deployment = await compiled(self._deployment, self._folder / "code")
            async with _Together() as together:
                looking = together.create_task(self._find_baseline())
                trying = together.create_task(self._why_no_warp())
            self.baseline = found = looking.result()
            if not found.healthy:
                return
            why_not = trying.result()
            self.plan = made = self._plan(found, why_not)
            self._on_plan(found, made)
            await self._make_trials(found, made)
        finally:
            self._took_s = time.monotonic() - self._began

    async def _find_baseline(self) -> Baseline:
        names = [f"baseline-{number}" for number in range(BASELINE_ENVIRONMENTS)]
        script = several(self._question.event)
        run = self._run("baseline", self._setting("off"), RealTime())
        await run.carry_out([self._trial(name, script) for name in names])
        return baseline(run.results, _read(self._folder / "baseline.story.jsonl"), self._question.upstreams, self._deployment.function)

    async def _why_no_warp(self) -> str:
        """Why the function's clocks cannot be moved, found out by moving them; empty where they can."""
        if self._question.real:
            return "clocks were to stay as they are (--real)"
        run = self._run("clocks", self._setting("network", warp=True), Warped())
        (result,) = await run.carry_out([self._trial("clocks-0", one_second(self._question.event))])
        return "" if result.clocks_moved else f"its clocks cannot be moved ({result.clocks_note})"

    def _plan(self, found: Baseline, why_not: str) -> Plan:
        question = self._question
        longest = max(question.gaps, default=REAL_WAIT_S) if question.real else LONGEST_WAIT_S
        return plan(found, trials=question.trials, gaps=question.gaps or GAPS_S, warps=not why_not, why_not=why_not, longest_wait_s=longest)

    async def _make_trials(self, found: Baseline, made: Plan) -> None:
        turns = [(number, turn) for turn in range(made.trials) for number in range(len(made.cells))]
        await self._try(found, made, FIRST, turns, width=self._question.width, on_result=self._on_result)
        again = doubtful([self._outcome(number, cell) for number, cell in enumerate(made.cells)])
        if again and made.warps:
            self._note(f"{self.function} ran out of time in {len(again)} of {len(made.cells)} cells. These are tried again by themselves.")
            turns = [(number, turn) for number, times in again.items() for turn in range(times)]
            await self._try(found, made, AGAIN, turns, width=WIDTH)

    async def _try(
        self,
        found: Baseline,
        made: Plan,
        look: str,
        turns: Sequence[tuple[int, int]],
        *,
        width: int,
        on_result: Callable[[Result], None] = lambda _: None,
    ) -> None:
        """Cells' trials, by their number and turn. Those for which somebody has to wait go on beside the others."""
        lingering: list[Trial] = []
        others: list[Trial] = []
        for number, turn in turns:
            cell = made.cells[number]
            trial = self._trial(f"{look}-{number}-{turn}", script_of(cell, found, self._question.event))
            (lingering if cell.moment == "lingering" else others).append(trial)
        gaps: Gaps = Warped() if made.warps else RealTime()
        setting = self._setting("network", warp=made.warps)
        slow = msgspec.structs.replace(setting, freeze_delay_s=LINGERS_S * 2)
        async with _Together() as together:
            for name, chosen, trials in ((f"{look}-lingering", slow, lingering), (look, setting, others)):
                if trials:
                    together.create_task(self._run(name, chosen, gaps, on_result, width).carry_out(trials))

    def _run(
        self, name: str, setting: Setting, gaps: Gaps, on_result: Callable[[Result], None] = lambda _: None, width: int | None = None
    ) -> Run:
        story = self._folder / f"{name}.story.jsonl"
        width = width or self._question.width
        run = Run(setting, story, width=width, gaps=gaps, opener=self._opener, on_result=on_result, note=self._noted)
        self._runs.append(run)
        return run

    def _noted(self, sentence: str) -> None:
        """Trials have names that mean nothing to a person, and say the same. Who was refused is in the verdict."""
        said = _TRIAL.sub(self.function, sentence)
        if OUTSIDE not in said and said not in self._said:
            self._said.add(said)
            self._note(said)

    def _setting(self, level: Level, *, warp: bool = False) -> Setting:
        return Setting(
            conditions=Conditions(fates=Fates(default="survive")),
            level=level,
            upstreams=self._question.upstreams,
            reach_network=self._question.reach_network,
            warp=warp,
        )

    def _trial(self, name: str, script: Script) -> Trial:
        return Trial(name=name, deployment=self._deployment, script=script)

    # What is known -----------------------------------------------------------------------------------------------------------------------

    def verdict(self, *, interrupted: bool = False) -> Verdict | None:
        """What can be said now; None where not even the baseline is known."""
        if self.baseline is None:
            return None
        made = self.plan
        outcomes = [] if made is None else [self._outcome(number, cell) for number, cell in enumerate(made.cells)]
        return verdict(
            self.function,
            self.baseline,
            outcomes,
            () if made is None else made.untried,
            upstreams=self._question.upstreams,
            event=self._question.event,
            invocations=sum(len(result.invocations) for run in self._runs for result in run.results),
            took_s=self._took_s if self._took_s is not None else time.monotonic() - self._began,
            interrupted=interrupted,
        )

    def _outcome(self, number: int, cell: Cell) -> Outcome:
        assert self.baseline is not None
        again, found = self._results(number)
        results = [result for _, result in found]
        for result in results:
            result.findings = [msgspec.structs.replace(finding, function=self.function) for finding in result.findings]
            result.problem = None if result.problem is None else _TRIAL.sub(self.function, result.problem)
        return outcome(cell, results, self.baseline, JUDGED, again=again)

    def _results(self, number: int) -> tuple[bool, list[tuple[Run, Result]]]:
        """A cell's, each with the run that it was part of, and whether they are the second look's: where that came to its end, it counts."""
        again = self._of(AGAIN, number)
        ended = bool(again) and all(result.finished for _, result in again)
        return ended, again if ended else self._of(FIRST, number)

    def _of(self, look: str, number: int) -> list[tuple[Run, Result]]:
        return [(run, result) for run in self._runs for result in run.results if result.trial.startswith(f"{look}-{number}-")]

    def write_story(self, one: Outcome, into: Path) -> None:
        """Write the story of an outcome's first failed trial. Raises `StoryError` and OSError."""
        assert self.plan is not None
        _, results = self._results(self.plan.cells.index(one.cell))
        run, failed = next(((run, result) for run, result in results if any(map(failure, result.invocations))), results[0])
        extract(run.story, [failed.trial], into)


class _Together(asyncio.TaskGroup):
    """Tasks of which one error is enough: it is raised as it is, and not as a group of one."""

    async def __aexit__(self, *raised: Any) -> None:
        try:
            await super().__aexit__(*raised)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None


def _read(story: Path) -> Timeline:
    with Story.open(story) as opened:
        return timeline(opened.header, opened)
