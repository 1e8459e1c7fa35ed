"""Carries the doctor's trials out, and gives what is known at any moment."""

from __future__ import annotations

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
from ...story.reader import Story
from ...story.timeline import Timeline, timeline
from ..gaps import RealTime, Warped
from ..recording import extract
from ..runner import Run
from ..trial import Life, Result, Script, Setting, Trial
from .baseline import Baseline, baseline
from .plan import GAPS_S, Cell, Plan, conditions, plan
from .verdict import Outcome, Verdict, outcome, verdict

BASELINE_ENVIRONMENTS = 3
BASELINE_INVOCATIONS = 4
"""A function that fails sometimes, or only when it is asked again, must show it before anything is blamed on a freeze."""

SOON_S = 0.05
"""Between invocations that follow one another."""

PATIENCE_S = 10.0
"""How long an invocation may take in a trial, at most. A black hole is waited out for as long as the function's clients do, and a function whose timeout is
minutes is judged by this."""

JUDGED = {"idle": 2, "in_flight": 1, "after_init": 2}
"""How many of a script's last invocations come after the freeze in question: the first one after it, and the next, which can be the one that pays."""


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
    gaps: tuple[float, ...] = GAPS_S
    patience_s: float = PATIENCE_S
    width: int = 12
    """Environments side by side."""
    variables: dict[str, str] = {}
    """Environment variables, stronger than the function's own."""


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
    ) -> None:
        """`folder`: where stories are kept. `on_plan` is told what will be done before it begins; `on_result` of each trial as it ends."""
        self._question = question
        self._folder = folder
        self._on_plan = on_plan
        self._on_result = on_result
        self._note = note
        function = question.deployment.function
        limited = msgspec.structs.replace(function, timeout_s=min(function.timeout_s, question.patience_s))
        self._deployment = msgspec.structs.replace(question.deployment, function=limited)
        self._began = time.monotonic()
        self._took_s: float | None = None
        self.baseline: Baseline | None = None
        self.plan: Plan | None = None
        self.clocks_note = ""
        """Why clocks could not be moved."""
        self._baseline_results: list[Result] = []
        self._run: Run | None = None
        self._story = folder / "trials.story.jsonl"

    @property
    def function(self) -> str:
        """The function's name."""
        return self._deployment.function.name

    async def carry_out(self) -> None:
        """Find the baseline, plan, and make the trials. Raises `SandboxError` where the machine does not allow to freeze the network."""
        try:
            self.baseline = found = await self._find_baseline()
            if not found.healthy:
                return
            warps = await self._warps()
            self.plan = made = plan(found, trials=self._question.trials, gaps=self._question.gaps, warps=warps, clocks=self.clocks_note)
            self._on_plan(found, made)
            await self._make_trials(found, made, warps=warps)
        finally:
            self._took_s = time.monotonic() - self._began

    async def _find_baseline(self) -> Baseline:
        story = self._folder / "baseline.story.jsonl"
        event = self._question.event
        script = _script([event] * BASELINE_INVOCATIONS, [SOON_S] * (BASELINE_INVOCATIONS - 1))
        run = Run(self._setting("off"), story, note=self._note)
        try:
            await run.carry_out([self._trial(f"baseline-{number}", script) for number in range(BASELINE_ENVIRONMENTS)])
        finally:
            self._baseline_results = run.results
        return baseline(run.results, read(story))

    async def _warps(self) -> bool:
        """Whether the function's clocks can be moved: found out by moving them."""
        run = Run(self._setting("network", warp=True), self._folder / "clocks.story.jsonl", gaps=Warped(), note=self._note)
        (result,) = await run.carry_out([self._trial("clocks", _script([self._question.event] * 2, [1.0]))])
        self.clocks_note = result.clocks_note
        return result.clocks_moved

    async def _make_trials(self, found: Baseline, made: Plan, *, warps: bool) -> None:
        trials = [
            self._trial(f"cell-{number}-{turn}", self._script(cell, found))
            for turn in range(made.trials)
            for number, cell in enumerate(made.cells)
        ]
        self._run = Run(
            self._setting("network", warp=warps),
            self._story,
            width=self._question.width,
            gaps=Warped() if warps else RealTime(),
            on_result=self._on_result,
            note=self._note,
        )
        await self._run.carry_out(trials)

    def _setting(self, level: str, *, warp: bool = False) -> Setting:
        return Setting(
            conditions=Conditions(fates=Fates(default="survive")),
            level=level,  # type: ignore[arg-type] # one of ours
            upstreams=self._question.upstreams,
            reach_network=self._question.reach_network,
            warp=warp,
        )

    def _trial(self, name: str, script: Script) -> Trial:
        return Trial(name=name, deployment=self._deployment, script=script, variables=self._question.variables)

    def _script(self, cell: Cell, found: Baseline) -> Script:
        """Warm invocations, the gap with what happens in it, and two invocations after it."""
        event = self._question.event

        async def idle(life: Life) -> None:
            await life.invoke(event)
            await life.wait(SOON_S)
            await life.invoke(event)
            life.meet(conditions(cell, found.destinations))
            await life.idle(cell.gap_s)
            await life.invoke(event)
            # It happens in this one gap: what a client opens afterwards is as good as ever.
            life.meet(None)
            await life.wait(SOON_S)
            await life.invoke(event)

        return idle if cell.moment == "idle" else _script([event] * 5, [SOON_S, cell.gap_s, cell.gap_s, cell.gap_s])

    # What is known -----------------------------------------------------------------------------------------------------------------------

    def verdict(self, *, interrupted: bool = False) -> Verdict | None:
        """What can be said now; None where not even the baseline is known."""
        if self.baseline is None:
            return None
        made = self.plan
        outcomes = [] if made is None else [self._outcome(number, cell) for number, cell in enumerate(made.cells)]
        calls = [result.invocations for result in self._results()]
        return verdict(
            self.function,
            self.baseline,
            outcomes,
            () if made is None else made.untried,
            invocations=sum(map(len, calls)),
            took_s=self._took_s if self._took_s is not None else time.monotonic() - self._began,
            interrupted=interrupted,
        )

    def _results(self) -> list[Result]:
        return self._baseline_results + ([] if self._run is None else self._run.results)

    def _outcome(self, number: int, cell: Cell) -> Outcome:
        assert self.baseline is not None
        results = [result for result in self._results() if result.trial.startswith(f"cell-{number}-")]
        for result in results:
            result.findings = [msgspec.structs.replace(finding, function=self.function) for finding in result.findings]
        return outcome(cell, results, self.baseline, JUDGED[cell.moment])

    def write_story(self, one: Outcome, into: Path) -> None:
        """Write the story of an outcome's first failed trial. Raises `StoryError` and OSError."""
        assert self.plan is not None
        number = self.plan.cells.index(one.cell)
        results = [result for result in self._results() if result.trial.startswith(f"cell-{number}-")]
        failed = next((result for result in results if result.failed), results[0])
        extract(self._story, [failed.trial], into)


def _script(events: Sequence[object], gaps: Sequence[float]) -> Script:
    """Invocations with gaps between them; short gaps are waited for, so that nothing freezes for longer than it would."""

    async def script(life: Life) -> None:
        await life.invoke(events[0])
        for gap, event in zip(gaps, events[1:], strict=True):
            if gap <= SOON_S:
                await life.wait(gap)
            else:
                await life.idle(gap)
            await life.invoke(event)

    return script


def read(story: Path) -> Timeline:
    """A run's story. Raises `StoryError`."""
    with Story.open(story) as opened:
        return timeline(opened.header, opened)
