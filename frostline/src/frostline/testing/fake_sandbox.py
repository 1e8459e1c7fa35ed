"""A sandbox without processes or kernel: `sandbox.port.Sandbox` on one event loop, for tests of what is above it.

    sandbox = FakeSandbox({"runtime": runtime(lambda process, event: event.payload)})
    plane = ControlPlane(sandbox.opened)

Environments have a Runtime API on loopback, and their processes are programs (see `fake_runtime`) that talk to it over real HTTP. Freezing
stops them. Answers come as soon as they can; a test can hold them back and let go of them in another order, or have things fail:

    sandbox.hold("freeze")                  the kernel is slow to answer; `release` when it has
    sandbox.fails["start"] = "no room"      EnvironmentStartFailed; also "freeze", and "run" for the processes' ProcessExited
    sandbox.late_freezes = True             an EnvironmentFrozen that a thaw has called off comes all the same
    sandbox.at_once = True                  answers come from within the call, as the real sandbox's sometimes do

`calls` is what was asked of it, and `until` waits for something to be true of it. Whoever breaks the port's contract finds a sentence in
`complaints`.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from ..core.conditions import Conditions
from ..core.events import (
    EnvironmentFreezeFailed,
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    ProcessesKilled,
    ProcessExited,
    SandboxEvent,
)
from ..sandbox.port import Blueprint, Level, Paths, Ports, ProcessSpec, SandboxError
from .fake_environment import LEVEL, Answer, FakeEnvironment, FakeProcess
from .fake_runtime import Process, Program

Report = Callable[[SandboxEvent], None]
OnOutput = Callable[[str, str, Literal["text", "frames"], bytes], None]
Answering = Literal["start", "freeze", "warp", "thaw", "kill_processes", "destroy"]
"""The calls that are answered, by their methods' names."""

PIPE_DELAY_S = 0.002
"""How long output lies in its pipe before anybody looks, unless it is drained: long enough that a response overtakes it."""


class Call(Struct, frozen=True):
    """What was asked of the sandbox."""

    method: str
    environment: str
    argument: Any = None


class FakeSandbox:
    """Implements `sandbox.port.Sandbox`.

    `programs`: what a process runs, by its name (`runtime`, `extension:<file name>`); it may be changed at any time.
    """

    def __init__(self, programs: Mapping[str, Program] | None = None, *, level: Level = LEVEL) -> None:
        self.programs: dict[str, Program] = dict(programs or {})
        self.level = level
        self.report: Report = lambda _: None
        self.on_output: OnOutput = lambda *_: None
        self.on_note: Callable[[str | None, str], None] = lambda _environment, _sentence: None
        self.environments: dict[str, FakeEnvironment] = {}
        self.calls: list[Call] = []
        self.reported: list[SandboxEvent] = []
        self.complaints: list[str] = []
        self.fails: dict[Literal["start", "freeze", "run"], str] = {}
        self.late_freezes = False
        self.at_once = False
        self.is_open = False
        self.protected: frozenset[int] = frozenset()
        self.conditions: dict[str | None, Conditions] = {}
        self.observed: tuple[float, bool] | None = None
        self._held: dict[Answering, list[Answer]] = {}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    # For tests ---------------------------------------------------------------------------------------------------------------------------

    async def opened(self, report: Report, on_output: OnOutput) -> FakeSandbox:
        """Open it and tell it where to report to: what a control plane is given to open its sandbox."""
        self.report, self.on_output = report, on_output
        await self.open()
        return self

    def hold(self, *methods: Answering) -> None:
        """Hold back the answers to these calls."""
        for method in methods:
            self._held.setdefault(method, [])

    def release(self, *methods: Answering) -> None:
        """Give the answers that were held back (those of `methods`, or all), and hold back no more."""
        for name in methods or tuple(self._held):
            for answer in self._held.pop(name, []):
                self._tell(answer)

    def called(self, method: str, environment: str | None = None) -> list[Call]:
        """The calls of a method so far."""
        return [call for call in self.calls if call.method == method and environment in (None, call.environment)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on this sandbox holds. It is looked at after every call and every report."""
        if condition():
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, future))
        await future

    async def until_frozen(self, count: int = 1) -> None:
        """Wait until so many environments stand still, and the control plane was told."""
        await self.until(lambda: sum(environment.frozen for environment in self.environments.values()) >= count)

    @property
    def processes(self) -> list[FakeProcess]:
        """Everything that runs."""
        return [process for environment in self.environments.values() for process in environment.processes.values()]

    def _note(self, method: str, environment: str, argument: object = None) -> FakeEnvironment | None:
        self.calls.append(Call(method, environment, argument))
        found = self.environments.get(environment)
        if method != "start" and (found is None or (not found.started and method != "destroy")):
            self.complaints.append(f"{method} of the environment {environment!r}, which is not there")
        elif found is not None and found.destroying and method != "start":
            self.complaints.append(f"{method} of the environment {environment}, which is being destroyed")
        self._look()
        return found

    def _look(self) -> None:
        for entry in tuple(self._waiting):
            condition, future = entry
            if future.done() or condition():
                self._waiting.remove(entry)
                if not future.done():
                    future.set_result(None)

    # Answers -----------------------------------------------------------------------------------------------------------------------------

    def _answer(self, method: Answering, event: SandboxEvent) -> Answer:
        answer = Answer(event)
        if method in self._held:
            self._held[method].append(answer)
        elif self.at_once:
            self._tell(answer)
        else:
            asyncio.get_running_loop().call_soon(self._tell, answer)
        return answer

    def _tell(self, answer: Answer) -> None:
        if answer.called_off:
            return
        event = answer.event
        environment = self.environments.get(event.environment)
        if environment is not None:
            environment.started = environment.started or isinstance(event, EnvironmentStarted)
            if isinstance(event, EnvironmentFrozen):
                environment.frozen = not environment.running.is_set()
            if isinstance(event, EnvironmentStartFailed | EnvironmentGone):
                del self.environments[event.environment]
        self.reported.append(event)
        self.report(event)
        self._look()

    # The port ----------------------------------------------------------------------------------------------------------------------------

    async def open(self) -> Level:
        """See the port."""
        self.is_open = True
        return self.level

    async def close(self) -> None:
        """See the port."""
        self.is_open = False
        self.release()
        for environment in tuple(self.environments.values()):
            if not environment.destroying:
                self.destroy(environment.id)
        await self.until(lambda: not self.environments)

    def start(self, blueprint: Blueprint) -> None:
        """See the port."""
        name = blueprint.environment
        self._note("start", name, blueprint)
        if name in self.environments:
            self.complaints.append(f"start of the environment {name!r}, which is there already")
            return
        environment = self.environments[name] = FakeEnvironment(blueprint)
        if reason := self.fails.get("start"):
            self._answer("start", EnvironmentStartFailed(name, reason))
            return
        environment.api = socket.socket()
        environment.api.bind(("127.0.0.1", 0))
        environment.api.listen()
        environment.start_answer = self._answer("start", EnvironmentStarted(name))

    def protect(self, ports: Iterable[int]) -> None:
        """See the port. The ports are kept in `protected`."""
        self.protected = frozenset(ports)

    def decide(self, conditions: Conditions | None, environment: str | None = None) -> None:
        """See the port. They are kept in `conditions`, by environment; None for all."""
        if conditions is None:
            self.conditions.pop(environment, None)
        else:
            self.conditions[environment] = conditions

    def observe(self, offset: float, *, recording: bool) -> None:
        """See the port. It is kept in `observed`."""
        self.observed = (offset, recording)

    def ports(self, environment: str) -> Ports:
        """See the port."""
        found = self._note("ports", environment)
        if found is None or found.api is None:
            raise SandboxError(f"environment {environment} has no ports to give: it has not started, or they were taken")
        api, found.api = found.api, None
        host, port = api.getsockname()
        return Ports(api=api, api_address=f"{host}:{port}")

    def paths(self, environment: str) -> Paths:
        """See the port."""
        self._note("paths", environment)
        return Paths()

    def run(self, environment: str, process: ProcessSpec) -> None:
        """See the port."""
        found = self._note("run", environment, process)
        if found is None:
            return
        if not found.running.is_set():
            self.complaints.append(f"run of {process.name} in {environment}, which is frozen")
        if process.name in found.processes:
            self.complaints.append(f"run of {process.name} in {environment}, where it runs already")
            return
        program = self.programs.get(process.name)
        if program is None or "run" in self.fails:
            reason = self.fails.get("run", "no such file or directory")
            self._later(ProcessExited(environment, process=process.name, error=f"fork/exec {process.argv[0]}: {reason}"))
            return
        gate = asyncio.Event()
        if not process.gate:
            gate.set()
        view = Process(environment, process, found.running, partial(self._wrote, found))
        found.processes[process.name] = FakeProcess(view, program, gate, found.running, partial(self._ended, found))

    def open_gate(self, environment: str, process: str) -> None:
        """See the port."""
        found = self._note("open_gate", environment, process)
        if found is not None and process in found.processes:
            found.processes[process].gate.set()

    def signal(self, environment: str, process: str, signum: int) -> None:
        """See the port."""
        found = self._note("signal", environment, (process, signum))
        if found is not None:
            self._signal(found, process, signum)

    def kill_processes(self, environment: str) -> None:
        """See the port."""
        found = self._note("kill_processes", environment)
        if found is not None:
            self._kill(found, lambda: self._answer("kill_processes", ProcessesKilled(environment)))

    def freeze(self, environment: str) -> None:
        """See the port."""
        found = self._note("freeze", environment)
        if found is None:
            return
        if not found.running.is_set():
            self.complaints.append(f"freeze of {environment}, which is frozen")
        if reason := self.fails.get("freeze"):
            self._answer("freeze", EnvironmentFreezeFailed(environment, reason))
            return
        found.running.clear()
        found.freeze_answer = self._answer("freeze", EnvironmentFrozen(environment))

    def thaw(self, environment: str) -> None:
        """See the port."""
        found = self._note("thaw", environment)
        if found is not None:
            self._run_on(found)
            self._answer("thaw", EnvironmentThawed(environment))

    def warp(self, environment: str, seconds: float) -> None:
        """See the port. No clock really moves; the environment's `ahead_s` says how far they would be ahead."""
        found = self._note("warp", environment, seconds)
        if found is not None:
            self._answer("warp", found.warp(seconds, possible=self.level.warps))

    def destroy(self, environment: str) -> None:
        """See the port."""
        found = self._note("destroy", environment)
        if found is None:
            return
        found.destroying = True
        if found.start_answer is not None:
            found.start_answer.called_off = True
        if found.api is not None:
            found.api.close()
            found.api = None
        self._kill(found, lambda: self._answer("destroy", EnvironmentGone(environment)))

    def drain_output(self, environment: str) -> None:
        """See the port."""
        found = self.environments.get(environment)
        if found is not None:
            self._read_pipes(found)

    def connect(self, environment: str, port: int) -> socket.socket:
        """See the port."""
        self.calls.append(Call("connect", environment, port))
        found = self.environments.get(environment)
        ports = [each.process.ports[port] for each in (found.processes.values() if found is not None else ()) if port in each.process.ports]
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", ports[0] if ports else 1))  # port 1: refused, as where nobody listens
        return sock

    def memory_peak_mb(self, environment: str) -> int | None:
        """See the port."""
        found = self.environments.get(environment)
        return found.memory_peak_mb if found is not None else None

    # Processes ---------------------------------------------------------------------------------------------------------------------------

    def _run_on(self, environment: FakeEnvironment) -> None:
        if environment.freeze_answer is not None and not self.late_freezes:
            environment.freeze_answer.called_off = True
        environment.freeze_answer = None
        environment.frozen = False
        environment.running.set()
        pending, environment.pending = environment.pending, []
        for process, signum in pending:
            self._signal(environment, process, signum)

    def _signal(self, environment: FakeEnvironment, name: str, signum: int) -> None:
        found = environment.processes.get(name)
        if found is None:
            return
        if signum == signal.SIGKILL:
            found.kill()
        elif not environment.running.is_set():
            environment.pending.append((name, signum))
        elif found.process.catches_sigterm and signum == signal.SIGTERM:
            found.process.terminated.set()
        else:
            found.kill(signum)

    def _kill(self, environment: FakeEnvironment, then: Callable[[], object]) -> None:
        """Kill everything; `then` is done when it is."""
        for process in environment.processes.values():
            process.kill()
        self._run_on(environment)
        if environment.processes:
            environment.when_empty.append(then)
        else:
            then()

    def _ended(self, environment: FakeEnvironment, process: FakeProcess) -> None:
        process.process.let_go()
        self._read_pipes(environment)
        environment.processes.pop(process.process.name, None)
        self._tell(Answer(process.exited()))
        if not environment.processes:
            waiting, environment.when_empty = environment.when_empty, []
            for then in waiting:
                then()

    def _later(self, event: SandboxEvent) -> None:
        if self.at_once:
            self._tell(Answer(event))
        else:
            asyncio.get_running_loop().call_soon(self._tell, Answer(event))

    def _wrote(self, environment: FakeEnvironment, process: str, kind: Literal["text", "frames"], data: bytes) -> None:
        environment.pipes.append((process, kind, data))
        asyncio.get_running_loop().call_later(PIPE_DELAY_S, self._read_pipes, environment)

    def _read_pipes(self, environment: FakeEnvironment) -> None:
        pipes, environment.pipes = environment.pipes, []
        for process, kind, data in pipes:
            self.on_output(environment.id, process, kind, data)
        self._look()
