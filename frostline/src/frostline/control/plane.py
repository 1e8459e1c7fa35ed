"""The control plane: the core, a sandbox, the servers and the recording, put together.

This is the ladder by which effects are carried out: one method an effect. What a method does is short, because each of the parts that it calls has a
file of its own: `environments` (Runtime API, output), `invokers` (answers), `telemetry`, `logs`, `timers`, and the sandbox behind its port.
"""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random, SystemRandom
from typing import Literal

import msgspec

from .. import __version__
from ..core import effects as do
from ..core.conditions import Conditions
from ..core.effects import Outcome
from ..core.events import (
    ConditionsChanged,
    EnvironmentFreezeFailed,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentWarped,
    Event,
    FunctionDeployed,
    FunctionRemoved,
    InvocationArrived,
    MemorySampled,
    NetworkEvent,
    ProcessesKilled,
    ProcessExited,
    RuntimeResponded,
    SandboxEvent,
    ShutdownRequested,
)
from ..core.fleet import Fleet
from ..core.payload import Payload
from ..core.policy import Policy
from ..core.states import State
from ..project import Deployment, Project
from ..sandbox.port import Level, Ports, Sandbox, SandboxError
from ..story.writer import StoryWriter, level_record
from .clock import Clock
from .environments import Exchanges, Host
from .invokers import FutureInvoker, Invoker, Invokers
from .launching import Launcher, blueprint
from .logs import LogLine, LogStore
from .passing import PATIENCE_S, Passing
from .ring import Ladder, Ring
from .tasks import spawn
from .telemetry import TelemetryHub
from .timers import Timers
from .trace_ids import TraceIds

STORY_FLUSH_S = 0.5
STOP_TIMEOUT_S = 10.0

OpenSandbox = Callable[[Callable[[SandboxEvent], None], Callable[[str, str, Literal["text", "frames"], bytes], None]], Awaitable[Sandbox]]
"""Makes and opens the sandbox, given where it reports to."""


class ControlPlane:
    """A running Frostline, without its face: functions are deployed and invoked, and it says what it does."""

    def __init__(
        self,
        open_sandbox: OpenSandbox,
        *,
        policy: Policy | None = None,
        story: Path | None = None,
        after_s: float | None = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`after_s`: every freeze lasts for so many seconds more of the environment's own time, where its clocks can be moved."""
        self.policy = policy if policy is not None else Policy()
        self.clock = Clock()
        self.logs = LogStore()
        self.invokers = Invokers()
        self.exchanges = Exchanges()
        self.hosts: dict[str, Host] = {}
        self.deployments: dict[str, Deployment] = {}
        self.note = note
        """Told in a sentence what a person should know."""
        self._open_sandbox = open_sandbox
        self._story_path = story
        self._after_s = after_s
        self._told: set[str] = set()
        self._sandbox: Sandbox | None = None
        self._level: Level | None = None
        self._ring: Ring | None = None
        self._timers: Timers | None = None
        self._revisions: dict[tuple[str, str], Deployment] = {}
        self._stopped = asyncio.Event()
        self._new_trace_id = TraceIds()
        self._closing = asyncio.Lock()
        self._story_flush: asyncio.TimerHandle | None = None

    @property
    def ring(self) -> Ring:
        """The ring; there is one from `open` on."""
        assert self._ring is not None, "the control plane is not open"
        return self._ring

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox; there is one from `open` on."""
        assert self._sandbox is not None, "the control plane is not open"
        return self._sandbox

    @property
    def level(self) -> Level:
        """What the machine allows; known from `open` on."""
        assert self._level is not None, "the control plane is not open"
        return self._level

    # Life --------------------------------------------------------------------------------------------------------------------------------

    async def open(self) -> Level:
        """Open the sandbox and be ready for functions. Raises what `open_sandbox` raises, and OSError for a story that cannot be written."""
        loop = asyncio.get_running_loop()
        self._sandbox = await self._open_sandbox(self._report, self._on_output)
        self._sandbox.on_note = self._noted
        self._sandbox.observe(self.clock.offset, recording=self._story_path is not None)
        level = self._level = self._sandbox.level
        self.telemetry = TelemetryHub(self.clock, self._sandbox)
        self.passing = Passing(self._sandbox, after_s=self._after_s)
        policy = self.policy if level.freezer != "off" else msgspec.structs.replace(self.policy, freeze=False)
        self.policy = policy
        story = None
        if self._story_path is not None:
            story = StoryWriter.create(self._story_path, version=__version__, started_at=self.clock.now(), level=level_record(level))
            self._story_flush = loop.call_later(STORY_FLUSH_S, self._flush_story, loop)
        fleet = Fleet(policy, Random(SystemRandom().getrandbits(64)))
        timers = self._timers = Timers(loop, self.clock.now, self._fire)
        self._ring = Ring(fleet, self.clock, self._ladder(self._sandbox, timers), story)
        return level

    def _fire(self, timer: str) -> None:
        self.ring.fire(timer)

    async def close(self) -> None:
        """Shut every environment down within AWS's budgets, answer whoever waits, and leave nothing behind. Safe to call twice, also at once."""
        async with self._closing:
            if self._sandbox is not None:
                await self._close(self._sandbox)

    async def _close(self, sandbox: Sandbox) -> None:
        if self._ring is not None and not self._stopped.is_set():
            self.ring.feed(ShutdownRequested())
            try:
                await asyncio.wait_for(self._stopped.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self.note(f"Not every environment ended within {STOP_TIMEOUT_S:g} s; {len(self.hosts)} of them are now destroyed.")
        self.invokers.abandon_all("Frostline is shutting down.")
        if self._timers is not None:
            self._timers.close()
        self.telemetry.close()
        for host in self.hosts.values():
            host.close()
        self.hosts.clear()
        await sandbox.close()
        self._sandbox = None
        if self._story_flush is not None:
            self._story_flush.cancel()
        if self._ring is not None and self._ring.story is not None:
            self._ring.story.close()
            if self._ring.story.failed is not None:
                self.note(self._ring.story.failed)

    def _flush_story(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._ring is not None and self._ring.story is not None:
            self._ring.story.flush()
        self._story_flush = loop.call_later(STORY_FLUSH_S, self._flush_story, loop)

    # Functions and invocations -----------------------------------------------------------------------------------------------------------

    def deploy(self, project: Project) -> None:
        """Make the project's functions the ones there are: new ones appear, changed ones are replaced, missing ones go."""
        names = {deployment.function.name for deployment in project.functions}
        for name in [name for name in self.deployments if name not in names]:
            self.remove(name)
        for deployment in project.functions:
            self.deploy_one(deployment)

    def deploy_one(self, deployment: Deployment) -> None:
        """Add or replace one function."""
        function = deployment.function
        known = self.deployments.get(function.name)
        if known is not None and known.function.revision == function.revision:
            return
        self.deployments[function.name] = deployment
        self._revisions = {key: value for key, value in self._revisions.items() if self._in_use(value)}
        self._revisions[function.name, function.revision] = deployment
        self.ring.feed(FunctionDeployed(function))

    def remove(self, name: str) -> None:
        """Remove one function. Its environments go, each when it has answered what it is busy with."""
        del self.deployments[name]
        self.ring.feed(FunctionRemoved(name))

    def _in_use(self, deployment: Deployment) -> bool:
        current = self.deployments.get(deployment.function.name)
        return deployment is current or any(host.deployment is deployment for host in self.hosts.values())

    def invoke(self, arrived: InvocationArrived, invoker: Invoker) -> None:
        """Invoke a function; the invoker is told what becomes of it."""
        if arrived.trace_id is None:
            arrived = msgspec.structs.replace(arrived, trace_id=self._new_trace_id(self.clock.now()))
        self.invokers.add(arrived.request_id, invoker)
        self.ring.feed(arrived)

    async def call(self, function: str, payload: bytes, *, tail: bool = False, client_context: str | None = None) -> tuple[str, Outcome]:
        """Invoke and wait: the request id, and how it ended."""
        request_id = str(uuid.uuid4())
        invoker = FutureInvoker()
        self.invoke(
            InvocationArrived(function=function, request_id=request_id, payload=Payload(payload), tail=tail, client_context=client_context),
            invoker,
        )
        return request_id, await invoker.outcome

    def environments_of(self, function: str) -> list[str]:
        """The environments of a function, the oldest first."""
        return [host.environment for host in self.hosts.values() if host.deployment.function.name == function]

    async def pass_time(self, function: str, seconds: float) -> EnvironmentWarped | None:
        """Let time pass for the one environment of a function: once it is frozen, its clocks and its network's idle times move on.

        None where there is nothing for which time could pass: no environment, one whose processes have ended, or one that does not freeze.
        """
        environment = next(iter(self.environments_of(function)), None)
        if environment is None or not await self.passing.stands_still(environment, self.policy.freeze_delay_s + PATIENCE_S):
            return None
        return await self.passing.warp(environment, seconds)

    def tell_clocks(self, function: str, warped: EnvironmentWarped) -> None:
        """Say which clocks did not move with the time that passed, each thing once."""
        told = [warped.error] if warped.error else [f"{process.name}: {process.note}" for process in warped.processes if process.note]
        for what in told:
            sentence = f"{function}: not all of its clocks were moved ({what})"
            if sentence not in self._told:
                self._told.add(sentence)
                self.note(sentence)

    def decide(self, conditions: Conditions | None, environment: str | None = None) -> None:
        """Say what connections meet from now on: see `Sandbox.decide`. The story has it."""
        self.sandbox.decide(conditions, environment)
        self.ring.feed(ConditionsChanged(environment=environment or "", at=self.clock.now(), conditions=conditions))

    # What the sandbox reports ------------------------------------------------------------------------------------------------------------

    def _noted(self, environment: str | None, sentence: str) -> None:
        host = self.hosts.get(environment or "")
        self.note(sentence if host is None else f"{host.deployment.function.name}: {sentence}")

    def _report(self, event: SandboxEvent) -> None:
        host = self.hosts.get(event.environment)
        if isinstance(event, NetworkEvent) and host is not None:
            event = host.tagged(event)
        if isinstance(event, EnvironmentStarted):
            if host is not None:
                self._serve(event, host)
            return
        if isinstance(event, ProcessExited) and host is not None:
            self.sandbox.drain_output(event.environment)
            host.flush(event.process)
            self._sample_memory(host)
        if isinstance(event, ProcessesKilled) and host is not None:
            host.disconnect()
        if isinstance(event, EnvironmentFreezeFailed):
            self.note(f"environment {event.environment} could not be frozen: {event.reason}")
        if isinstance(event, EnvironmentStartFailed):
            self.note(f"an environment could not be started: {event.reason}")
        if isinstance(event, EnvironmentWarped):
            self.passing.warped(event)
            if self._after_s is not None and host is not None:
                self.tell_clocks(host.deployment.function.name, event)
        self.ring.feed(event)
        if isinstance(event, EnvironmentGone | EnvironmentStartFailed):
            self._forget(event.environment)

    def _serve(self, event: EnvironmentStarted, host: Host) -> None:
        try:
            # Now: when a task comes to run, the environment may be on its way out.
            ports = self.sandbox.ports(event.environment)
        except SandboxError:
            return  # it is already
        spawn(self._started(event, host, ports), f"environment {event.environment} starts")

    async def _started(self, event: EnvironmentStarted, host: Host, ports: Ports) -> None:
        try:
            await host.serve(ports)
        except OSError as error:
            reason = f"its Runtime API cannot be served: {error.strerror or error}"
            ports.api.close()
            self.sandbox.destroy(event.environment)
            self._report(EnvironmentStartFailed(event.environment, reason))
            return
        if self.hosts.get(event.environment) is host:
            self.ring.feed(event)

    def _forget(self, environment: str) -> None:
        host = self.hosts.pop(environment, None)
        if host is not None:
            host.close()
        self.telemetry.forget(environment)
        if self._timers is not None:
            self._timers.cancel(environment)

    def _on_output(self, environment: str, process: str, kind: Literal["text", "frames"], data: bytes) -> None:
        host = self.hosts.get(environment)
        if host is not None:
            host.output(process, kind, data)

    def _before_events(self, host: Host, events: list[Event]) -> None:
        """A process spoke on its API: what it logged before that comes first, and its memory is looked at.

        Not before a response, which is on its invoker's way: its log is complete, and reported, only when the runtime asks for the next event.
        """
        if type(events[0]) is not RuntimeResponded:
            self.sandbox.drain_output(host.environment)
            self._sample_memory(host)

    def _sample_memory(self, host: Host) -> None:
        peak = self.sandbox.memory_peak_mb(host.environment)
        if peak is not None and peak != host.memory_peak_mb:
            host.memory_peak_mb = peak
            self.ring.feed(MemorySampled(host.environment, peak))

    # The ladder --------------------------------------------------------------------------------------------------------------------------

    def _ladder(self, sandbox: Sandbox, timers: Timers) -> Ladder:
        launcher = Launcher(sandbox, self.hosts)
        return {
            do.StartEnvironment: self._start_environment,
            do.StartProcess: launcher.start,
            do.OpenGate: launcher.open_gate,
            do.SignalProcess: lambda e: sandbox.signal(e.environment, e.process, signal.Signals[e.signal]),
            do.KillProcesses: lambda e: sandbox.kill_processes(e.environment),
            do.FreezeEnvironment: lambda e: sandbox.freeze(e.environment),
            do.ThawEnvironment: lambda e: sandbox.thaw(e.environment),
            do.DestroyEnvironment: lambda e: sandbox.destroy(e.environment),
            do.Answer: lambda e: self.exchanges.answer(e.exchange, e.reply),
            do.Resolve: lambda e: self.invokers.resolve(e.request_id, e.outcome),
            do.StreamStart: self.invokers.stream_start,
            do.StreamChunk: self.invokers.stream_chunk,
            do.StreamEnd: self.invokers.stream_end,
            do.Emit: self._emit,
            do.OpenTelemetry: self.telemetry.open,
            do.CloseTelemetry: lambda e: self.telemetry.finish(e.environment),
            do.Transition: self._moved,
            do.SetTimer: lambda e: timers.set(e.timer, e.at),
            do.CancelTimer: lambda e: timers.cancel(e.timer),
            do.Stopped: self._on_stopped,
        }

    def _moved(self, effect: do.Transition) -> None:
        self.telemetry.moved(effect.environment, effect.after)
        self.passing.moved(effect.environment, effect.after)
        if (host := self.hosts.get(effect.environment)) is not None:
            host.runs(effect.request_id if effect.after == State.BUSY.value else None, self.clock.now())

    def _start_environment(self, effect: do.StartEnvironment) -> None:
        deployment, environment = self._revisions[effect.function, effect.revision], effect.environment
        self.passing.moved(environment, State.STARTING.value)
        self.hosts[environment] = Host(environment, deployment, effect.log_stream, self.exchanges, self.ring.feed, self._before_events)
        self.sandbox.start(blueprint(environment, deployment))

    def _emit(self, effect: do.Emit) -> None:
        self.telemetry.emit(effect)
        if effect.text is None:
            return
        host = self.hosts.get(effect.environment)
        self.logs.add(
            LogLine(
                time=effect.time,
                function=effect.function,
                log_stream=host.log_stream if host is not None else "",
                environment=effect.environment,
                request_id=effect.request_id,
                type=effect.type,
                text=effect.text,
            )
        )

    def _on_stopped(self, effect: do.Stopped) -> None:
        if count := effect.unfinished_asynchronous:
            lost = (
                "1 asynchronous invocation was unfinished and is"
                if count == 1
                else f"{count} asynchronous invocations were unfinished and are"
            )
            self.note(f"{lost} lost: the queue is in memory only")
        self._stopped.set()
