"""Many trials side by side, on one control plane, under the same setting.

Each trial has a function of its own name, so an environment of its own; when its script has ended, the function is removed and its environment goes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ..control.passing import PATIENCE_S as STANDS_STILL_S
from ..control.plane import ControlPlane, OpenSandbox
from ..core.conditions import Conditions
from ..core.effects import FunctionFailed, Succeeded, Throttled, Unavailable
from ..core.events import FreezeRequested, ProvisionRequested, SandboxEvent
from ..core.policy import Policy
from ..sandbox.choose import open_sandbox
from ..sandbox.port import Sandbox, SandboxError
from ..sandbox.router.upstreams import Upstreams
from ..upstreams import PROGRAM
from .gaps import Gaps, RealTime
from .listening import Listening
from .recording import add_findings
from .trial import Invoked, Result, Setting, Trial, TrialError, deployed

WIDTH = 30
"""Environments at once: one of Node or Python takes 20 to 60 MB, and waits most of the time."""

STARTING = 2
"""Environments that start at once. Starting is what takes the processor; what is measured meanwhile in other environments should not have to wait for it."""

SETTLED_S = 1.0
"""After an answer there are echoes: acknowledgements, answers to a server's own pings. What is sent later is sent of one's own accord."""

Opener = Callable[[Setting, Callable[[str], None]], OpenSandbox]
"""Opens the sandbox for a run's setting, given where sentences for a person go."""


class Run:
    """One run of trials. `results` holds what is known, also when the run was cancelled."""

    def __init__(
        self,
        setting: Setting,
        story: Path,
        *,
        width: int = WIDTH,
        starting: int = STARTING,
        gaps: Gaps | None = None,
        opener: Opener | None = None,
        on_result: Callable[[Result], None] = lambda _: None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`story`: where the run is recorded; findings are read from there. `on_result` is told of every trial as it ends, still without findings."""
        self.results: list[Result] = []
        self.story = story
        self._setting = setting
        self._gaps = gaps if gaps is not None else RealTime()
        self._on_result = on_result
        self._running = asyncio.Semaphore(width)
        self._starting = asyncio.Semaphore(starting)
        policy = Policy(freeze=setting.level != "off", freeze_delay_s=setting.freeze_delay_s, spares=0)
        self._listening = Listening()
        self._plane = ControlPlane(self._listening.through((opener or sandbox_for)(setting, note)), policy=policy, story=story, note=note)

    async def carry_out(self, trials: Sequence[Trial]) -> list[Result]:
        """Carry the trials out: their results, in their order, with findings.

        Raises SandboxError where the machine does not allow the level. When it is cancelled, everything is shut down in good order, and `results` holds
        what was known by then, with findings, before the cancellation goes on.
        """
        names = [trial.name for trial in trials]
        if len(set(names)) != len(names):
            raise ValueError("two trials of one run have the same name")
        self.results = [Result(trial=name) for name in names]
        try:
            level = await self._plane.open()
            if self._setting.level == "network" and not level.network_freezes:
                raise SandboxError("the network cannot be frozen on this machine")
            if self._setting.level == "processes" and level.freezer == "off":
                raise SandboxError("processes cannot be frozen on this machine")
            async with asyncio.TaskGroup() as group:
                for trial, result in zip(trials, self.results, strict=True):
                    group.create_task(self._one(trial, result), name=f"trial {trial.name}")
        finally:
            await self._plane.close()
            if self.story.exists():
                add_findings(self.story, {result.trial: result for result in self.results})
        return self.results

    async def _one(self, trial: Trial, result: Result) -> None:
        async with self._running:
            try:
                self._plane.deploy_one(deployed(trial))
                await trial.script(_Life(result, self._plane, self._gaps, self._starting, self._listening))
                result.finished = True
            except TrialError as error:
                result.problem = str(error)
            self._plane.remove(trial.name)
        self._on_result(result)


class _Life:
    """One trial's environment."""

    def __init__(self, result: Result, plane: ControlPlane, gaps: Gaps, starting: asyncio.Semaphore, listening: Listening) -> None:
        self._result = result
        self._plane = plane
        self._gaps = gaps
        self._starting = starting
        self._listening = listening

    async def invoke(self, event: object = None) -> Invoked:
        if self._result.invocations:
            invoked = await self._invoke(event)
        else:
            async with self._starting:
                invoked = await self._invoke(event)
        self._result.invocations.append(invoked)
        return invoked

    async def _invoke(self, event: object) -> Invoked:
        name = self._result.trial
        begin = self._plane.clock.now()
        request_id, outcome = await self._plane.call(name, msgspec.json.encode(event))
        match outcome:
            case Succeeded() | FunctionFailed():
                return Invoked(request_id=request_id, begin=begin, end=self._plane.clock.now(), outcome=outcome)
            case Throttled(reason=reason):
                raise TrialError(f"{name} was not invoked: {reason}")
            case Unavailable(message=message):
                raise TrialError(f"{name} could not be invoked: {message}")
            case _:
                raise TrialError(f"{name} was not answered: {type(outcome).__name__}")

    async def idle(self, seconds: float) -> None:
        warped = await self._gaps.idle(self._plane, self._result.trial, seconds)
        if warped is not None and not warped.complete:
            self._result.clocks_moved = False
            notes = [f"{process.name}: {process.note}" for process in warped.processes if process.note]
            self._result.clocks_note = warped.error or "; ".join(dict.fromkeys(notes)) or "no process's clocks were moved"

    def meet(self, conditions: Conditions | None) -> None:
        for environment in self._plane.environments_of(self._result.trial):
            self._plane.decide(conditions, environment)

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @property
    def _environment(self) -> str | None:
        return next(iter(self._plane.environments_of(self._result.trial)), None)

    async def prepare(self) -> None:
        name = self._result.trial
        async with self._starting:
            self._plane.ring.feed(ProvisionRequested(name))
            environment = self._environment
            patience_s = self._plane.policy.init_timeout_s + STANDS_STILL_S
            if environment is None or not await self._plane.passing.stands_still(environment, patience_s):
                raise TrialError(f"{name} could not be initialized before its first invocation")

    async def linger(self, up_to_s: float) -> bool:
        environment = self._environment
        if environment is None:
            return False
        sent = await self._listening.sends(environment, self._plane.clock.now() + SETTLED_S, up_to_s)
        self._plane.ring.feed(FreezeRequested(environment))
        return sent


def sandbox_for(setting: Setting, note: Callable[[str], None]) -> OpenSandbox:
    """The sandbox that a setting asks for."""
    servers = Upstreams(servers=setting.upstreams, program=(sys.executable, PROGRAM), on_lost=note) if setting.upstreams else None

    async def open_it(
        report: Callable[[SandboxEvent], None], on_output: Callable[[str, str, Literal["text", "frames"], bytes], None]
    ) -> Sandbox:
        met = setting.conditions
        return await open_sandbox(
            report,
            on_output,
            freezer=setting.level,
            fates=met.fates,
            middleboxes=met.middleboxes,
            warp=setting.warp,
            upstreams=servers,
            reach_network=setting.reach_network,
        )

    return open_it
