"""One function and the life of its environment: invoked, frozen, invoked again; and what its recording says."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import msgspec

from ..control.invokers import FutureInvoker
from ..core.durations import spoken
from ..core.effects import FunctionFailed, Succeeded, Throttled, Unavailable
from ..core.events import EnvironmentWarped, InvocationArrived
from ..core.payload import Payload
from ..diagnose.diagnosis import findings
from ..diagnose.finding import Finding
from ..project import Deployment
from ..render.page import page
from ..render.view import select
from ..story.records import encoder
from ..story.timeline import Connection, Timeline, timeline
from ..trials.recording import concerning
from ..trials.trial import Invoked
from . import gap as gaps
from .errors import ClocksNotMoved, FrostlineError, NotFrozen, NotInvoked
from .invocation import Invocation, invocation
from .planes import SharedPlane

BURST_S = 0.1
"""What goes over a connection is told when nothing has for 50 ms, or when the network freezes."""

HOLE_S = 0.6
"""What is written into a black hole is told within half a second."""

GONE_S = 5.0
"""How long an environment may take to be gone: its extensions have 2 s."""

LOG_LINES = 20
"""Of what a failed invocation printed, in `Life.history`."""

MACHINE = ("localhost", "127.0.0.1", "host.frostline.internal", "host.docker.internal")
"""What people call this machine, whatever name the function has for it."""


class Life:
    """One environment, from the deployment of its function to its removal. Used within the loop of its control plane."""

    def __init__(self, shared: SharedPlane, deployment: Deployment) -> None:
        self.name = deployment.function.name
        self.history: list[str] = []
        """What was done, and what came of it: for a person."""
        self.failed = False
        """An invocation did."""
        self._deployment_notes = deployment.launch.notes
        self._shared = shared
        self._plane = shared.plane
        self._first_note = len(shared.notes)
        self._begin = shared.recorded()
        self._header = msgspec.structs.replace(shared.header, started_at=self._plane.clock.now())
        self._conditional = False
        """Something was chosen for the gap that it is in."""
        self._unanswered = 0
        self._ended_at: float | None = None
        """When the last invocation did, on the control plane's clock."""
        self._closed = False
        # An invocation may come while the environment has answered and is not yet idle.
        function = msgspec.structs.replace(deployment.function, concurrency=1, queue_limit=1)
        self._plane.deploy_one(msgspec.structs.replace(deployment, function=function))

    @property
    def environment(self) -> str | None:
        """Its environment; None before the first invocation, and where it has ended."""
        return next(iter(self._plane.environments_of(self.name)), None)

    @property
    def notes(self) -> list[str]:
        """What a person should know of it, each sentence once."""
        return list(dict.fromkeys([*self._deployment_notes, *self._shared.notes[self._first_note :]]))

    # Invocations and gaps ----------------------------------------------------------------------------------------------------------------

    async def invoke(self, event: object) -> Invocation:
        """Invoke it, and wait until the environment is done. Raises NotInvoked, and FrostlineError for an event that is not JSON."""
        self._check_open()
        payload = _encoded(event)
        environment, request_id, invoker = self.environment, str(uuid.uuid4()), FutureInvoker()
        begin = self._plane.clock.now()
        arrived = InvocationArrived(function=self.name, request_id=request_id, payload=Payload(payload), tail=True)
        self._unanswered += 1
        self._plane.invoke(arrived, invoker)
        self._be_as_ever(environment)
        outcome = await invoker.outcome  # cancelled, it stays unanswered
        self._unanswered -= 1
        self._ended_at = self._plane.clock.now()
        match outcome:
            case Succeeded() | FunctionFailed():
                invoked = Invoked(request_id=request_id, begin=begin, end=self._ended_at, outcome=outcome)
            case Throttled():
                raise NotInvoked(
                    f"{self.name} was not invoked: its environment serves one invocation at a time, and others were waiting already. Ask for the function "
                    "again, frostline.function(...), to have another environment."
                )
            case Unavailable(message=message):
                self._shared.broken = True
                raise NotInvoked(f"{self.name} could not be invoked: {'; '.join([message, *self.notes])}")
            case _:
                raise NotInvoked(f"{self.name} was not answered: {type(outcome).__name__}")
        lines = self._plane.logs.lines(self.name)
        made = invocation(invoked, [line.text for line in lines if line.request_id == request_id and line.type == "function"])
        self.history.append(f"invoked: {made.told}")
        if not made.ok:
            self.failed = True
            printed = "\n".join(made.log).splitlines()
            self.history += [f"    {line}" for line in printed[-LOG_LINES:]]
        return made

    def _check_open(self) -> None:
        if self._closed:
            raise FrostlineError(f"{self.name} has ended, with its `with` block or its test.")

    def _be_as_ever(self, environment: str | None) -> None:
        """What was chosen for a gap is met at the thaw, which is on its way: what is opened from now on is as good as ever."""
        if self._conditional and environment is not None:
            self._plane.decide(None, environment)
        self._conditional = False

    async def idle(self, *length: Any, **chosen: Any) -> None:
        """A gap, as `Function.idle` takes it. Raises FrostlineError, NotFrozen, ClocksNotMoved."""
        self._check_open()
        asked = gaps.read(*length, **chosen)
        environment, setting = self.environment, self._shared.setting
        if environment is None and self._ended_at is None:
            raise FrostlineError(f"{self.name} has no environment yet that could be idle: invoke it first.")
        if asked.fate not in (None, "fin_delivered") and setting.level == "processes":
            raise FrostlineError(
                f'{asked.fate} is nothing that a connection could meet at level="processes": the network is not frozen, and an end is told at once, as with '
                "fin_delivered."
            )
        if asked.to is not None:
            await self._check_connected(asked.to)
        if not asked.real and not self._plane.level.warps:
            raise ClocksNotMoved(
                f"{self.name} cannot be idle for {spoken(asked.seconds)} without waiting: {self._why_no_warp()}. {_INSTEAD}"
            )
        self.history.append(asked.told())
        if environment is not None and not self._plane.passing.runs_nothing(environment):
            self._plane.decide(asked.conditions(setting.upstreams), environment)
            self._conditional = True
            await self._pass(environment, asked.seconds, real=asked.real)
        elif asked.real:
            await asyncio.sleep(asked.seconds)

    async def _pass(self, environment: str, seconds: float, *, real: bool) -> None:
        passing = self._plane.passing
        if not await passing.stands_still(environment) and not passing.runs_nothing(environment):
            raise NotFrozen(
                f"{self.name} does not come to stand still: an environment freezes when it has answered and its extensions have asked for their next event."
            )
        if real:
            await asyncio.sleep(seconds)
        elif not passing.runs_nothing(environment):
            warped = await passing.warp(environment, seconds)
            if not warped.complete:
                raise ClocksNotMoved(f"{self.name} was idle, and its clocks do not say {spoken(seconds)}: {_unmoved(warped)}. {_INSTEAD}")

    def _why_no_warp(self) -> str:
        notes = self._plane.level.notes
        return "; ".join([note for note in notes if "clock" in note] or notes) or "clocks cannot be moved on this machine"

    async def _check_connected(self, to: gaps.Destination) -> None:
        """A name that is misspelt would have the test say nothing."""
        there = list((await self.story()).connections.values())
        for one in there:
            if to.port in (None, one.opened.port) and to.host in (one.opened.host, one.opened.address, *MACHINE):
                return
        names = ", ".join(dict.fromkeys(one.name for one in there)) or "nothing"
        raise FrostlineError(f"{self.name} has never connected to {to}, so nothing can become of that. It has connected to {names}.")

    # What the recording says ----------------------------------------------------------------------------------------------------------------

    async def story(self) -> Timeline:
        """All that is known of it by now."""
        environment = self.environment
        stands_still = environment is not None and await self._plane.passing.stands_still(environment)
        if not stands_still or self._shared.setting.level != "network":
            await asyncio.sleep(BURST_S)
        told = self._told()
        left_s = (self._ended_at or 0.0) + HOLE_S - self._plane.clock.now()
        if left_s > 0 and any(_unanswered(one) for one in told.connections.values()):
            await asyncio.sleep(left_s)
            told = self._told()
        return told

    def _told(self) -> Timeline:
        return timeline(self._header, concerning(self._shared.lines(self._begin), [self.name]))

    async def findings(self) -> list[Finding]:
        """What the story proves of what broke, or would without luck; the worst first."""
        return [one for one in findings(await self.story()) if one.severity != "cost"]

    async def costs(self) -> list[Finding]:
        """What the story proves that cost time and broke nothing."""
        return [one for one in findings(await self.story()) if one.severity == "cost"]

    async def connections(self) -> list[Connection]:
        """Every connection that it opened, in order."""
        return list((await self.story()).connections.values())

    async def write(self, picture: Path, story: Path | None = None) -> None:
        """Write its timeline as a page for a browser, and its story for `frostline story`. Raises FrostlineError."""
        told = await self.story()
        _write(picture, page(select(told, findings(told))).encode())
        if story is not None:
            lines = concerning(self._shared.lines(self._begin), [self.name])
            _write(story, b"".join(encoder.encode(one) + b"\n" for one in (self._header, *lines)))

    # The end -----------------------------------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Remove it, and wait until its environment is gone. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._plane.remove(self.name)
        try:
            async with asyncio.timeout(0 if self._unanswered else GONE_S):
                while self.environment is not None:  # noqa: ASYNC110 - the plane tells nobody
                    await asyncio.sleep(0.002)
        except TimeoutError:
            # It may be busy with an invocation that nobody waits for any more. No other function of this name may meet it.
            self._shared.broken = True


_INSTEAD = "Wait in earnest instead: idle(..., real=True)"


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise FrostlineError(f"{file} cannot be written: {error.strerror or error}") from None


def _encoded(event: object) -> bytes:
    try:
        return json.dumps(event, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FrostlineError(f"the event is not JSON: {error}") from None


def _unmoved(warped: EnvironmentWarped) -> str:
    notes = [f"{process.name}: {process.note}" for process in warped.processes if process.note]
    return warped.error or "; ".join(dict.fromkeys(notes)) or "no process's clocks were moved"


def _unanswered(connection: Connection) -> bool:
    """It became a black hole, and nothing is known to have been written into it."""
    lost = connection.lost
    return lost is not None and lost.fate == "blackhole" and all(first.at < lost.at for first in connection.first_writes)
