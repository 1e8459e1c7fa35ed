"""What a trial is: one environment's life, as invocations with gaps between them; and what came of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from ..core.conditions import Conditions
from ..core.effects import FunctionFailed, Succeeded
from ..core.policy import Policy
from ..core.upstream import Upstream
from ..diagnose.finding import Finding
from ..project import Deployment

Level = Literal["off", "processes", "network"]
"""How much of an environment stands still between two invocations: nothing, its processes, or its network too."""

LEVELS: tuple[Level, ...] = ("off", "processes", "network")


class Setting(Struct, frozen=True, kw_only=True):
    """What is the same for all trials of one run."""

    level: Level = "network"
    conditions: Conditions = Conditions()
    """What connections meet in a freeze; at level `network` only."""
    upstreams: tuple[Upstream, ...] = ()
    """The servers of the lab."""
    reach_network: bool = True
    """Destinations outside of the lab can be reached."""
    warp: bool = False
    """Clocks can be moved, where the machine allows."""
    freeze_delay_s: float = Policy().freeze_delay_s
    """How long an environment is idle before it is frozen."""


class Invoked(Struct, frozen=True, kw_only=True):
    """One invocation of a trial, answered. Times are epoch seconds on the control plane's clock."""

    request_id: str
    begin: float
    end: float
    outcome: Succeeded | FunctionFailed

    @property
    def failed(self) -> bool:
        """The function failed."""
        return isinstance(self.outcome, FunctionFailed)

    @property
    def answer(self) -> Any:
        """What it answered, decoded where it is JSON; for a failure AWS's object with `errorType` and `errorMessage`."""
        text = self.outcome.payload.data
        try:
            return json.loads(text)
        except ValueError:
            return text.decode("utf-8", "replace")

    @property
    def error(self) -> str | None:
        """Why it failed, in the words of the function's client: `ReadError: [Errno 104] Connection reset by peer`."""
        if not self.failed:
            return None
        answer = self.answer
        if not isinstance(answer, dict):
            return str(answer)
        kind, message = answer.get("errorType"), answer.get("errorMessage")
        return ": ".join(str(part) for part in (kind, message) if part) or "no error was given"


class Life(Protocol):
    """An environment, as the script of a trial deals with it."""

    async def invoke(self, event: object = None) -> Invoked:
        """Invoke the function with an event, and wait for its answer. Raises `TrialError` when it could not be invoked."""

    async def idle(self, seconds: float) -> None:
        """A gap: the environment has nothing to do for so long, and stands still at the levels that freeze."""

    def meet(self, conditions: Conditions | None) -> None:
        """What its connections meet from now on; None: what the run's setting says."""

    async def wait(self, seconds: float) -> None:
        """A gap that is waited for, however gaps are made to pass: for invocations that follow one another."""

    async def prepare(self) -> None:
        """Have an environment that is initialized, and frozen, before it is invoked for the first time. Raises `TrialError`."""

    async def linger(self, up_to_s: float) -> bool:
        """It stays awake until it sends something of its own accord, at most for so long, and is frozen then; whether it sent something.

        For settings whose `freeze_delay_s` is longer than that.
        """


Script = Callable[[Life], Awaitable[None]]
"""What happens in a trial. It ends the trial by returning; a failed invocation is a result and raises nothing."""


class TrialError(Exception):
    """A trial could not be carried out. The message is for a person."""


class Trial(Struct, frozen=True, kw_only=True):
    """One trial to carry out."""

    name: str
    """Its function's name: it must be the run's only one of this name, so that nothing else runs in its environment."""
    deployment: Deployment
    """The function; its own name does not count."""
    script: Script
    variables: dict[str, str] = {}
    """Environment variables for this trial, added to the function's own and stronger than them."""


class Result(Struct, kw_only=True):
    """What came of a trial."""

    trial: str
    invocations: list[Invoked] = []
    finished: bool = False
    """Its script came to its end; False where the run was interrupted or `problem` says why."""
    problem: str | None = None
    """Why the machine could not carry it out, in a sentence."""
    clocks_moved: bool = True
    """In every gap that was made to pass, the clocks of every process moved with it. True where no gap was."""
    clocks_note: str = ""
    """What was not moved, and why."""
    freezes: int = 0
    """How often its environment stood still, as the story has it."""
    environments: int = 0
    """How many environments served it. More than one means that its function crashed or timed out."""
    findings: list[Finding] = []
    """What the story says of it; filled in when the run is over."""

    @property
    def failed(self) -> bool:
        """One of its invocations failed."""
        return any(invoked.failed for invoked in self.invocations)


def in_turn(steps: Sequence[object], gaps: Sequence[float]) -> Script:
    """A script that invokes with these events, one after the other, with these gaps (in seconds) between them."""
    if len(gaps) != len(steps) - 1:
        raise ValueError(f"{len(steps)} invocations have {len(steps) - 1} gaps between them, and {len(gaps)} were given")

    async def script(life: Life) -> None:
        await life.invoke(steps[0])
        for gap, event in zip(gaps, steps[1:], strict=True):
            await life.idle(gap)
            await life.invoke(event)

    return script


def deployed(trial: Trial) -> Deployment:
    """The trial's function as it is deployed: under the trial's name, with one environment at a time."""
    function = trial.deployment.function
    function = msgspec.structs.replace(
        function,
        name=trial.name,
        environment={**function.environment, **trial.variables},
        concurrency=1,
        # An invocation may come while the environment has answered and is not yet idle.
        queue_limit=1,
    )
    return msgspec.structs.replace(trial.deployment, function=function)
