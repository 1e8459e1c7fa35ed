"""What both cages have in common: a warden, environments with a head, and the answers to the control plane.

Callbacks throughout: between a request of the control plane and what the kernel does lie one or two system calls. Only opening has a task, for
the folders and cgroups that a thread makes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from ..core.conditions import Conditions
from ..core.events import EnvironmentGone, EnvironmentStarted, EnvironmentStartFailed, EnvironmentWarped, SandboxEvent
from . import cgroups
from .channel import Channel
from .environment import Environment, OnOutput
from .freezer import KernelEvents
from .guard import Warden
from .port import Blueprint, FreezeMethod, Level, Paths, Ports, ProcessSpec, SandboxError
from .rundir import RunDirectory, sweep
from .warden.protocol import Message

OPEN_FILES = 65536
"""What this process's soft limit for descriptors is raised to, if it may."""

START_LIMIT_S = 30.0
"""How long an environment may take to be built. It takes milliseconds; a dead network disk takes for ever."""

Made = TypeVar("Made")


class CagedSandbox(ABC):
    """A `Sandbox` but for the kind of its cages; see the port for what each method promises."""

    def __init__(self, report: Callable[[SandboxEvent], None], on_output: OnOutput, *, freezer: FreezeMethod | None = None) -> None:
        """`freezer`: insist on this way of freezing, or None for the best there is."""
        self.report = report
        self.on_output = on_output
        self.conditions: dict[str | None, Conditions] = {}
        self.on_note: Callable[[str | None, str], None] = lambda _environment, _sentence: None
        self.level: Level
        self._wanted = freezer
        self._environments: dict[str, Environment] = {}
        self._run: RunDirectory | None = None
        self._making: asyncio.Task[Any] | None = None
        self._warden: Warden | None = None
        self._events: KernelEvents | None = None
        self._plan = cgroups.Plan()
        self._closing = False
        self._closed: asyncio.Future[None] | None = None

    # What the kinds differ in ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _prepare(self, warden: Warden, run: RunDirectory) -> Level:
        """Open the warden and find out what is there. Raises SandboxError."""

    @abstractmethod
    def _request(self, blueprint: Blueprint, run: RunDirectory) -> Message:
        """The warden's request for an environment. Raises SandboxError when it cannot be built."""

    @abstractmethod
    def _paths(self, blueprint: Blueprint, run: RunDirectory) -> Paths:
        """Where the environment's processes find its directories."""

    @abstractmethod
    def _ready(self, environment: Environment, fds: list[int]) -> None:
        """The head has built the environment and sent these."""

    def _networked(self, environment: Environment, fds: list[int]) -> None:
        """The head has a network namespace and sent it."""
        raise AssertionError(environment, fds)

    # Life --------------------------------------------------------------------------------------------------------------------------------

    async def open(self) -> Level:
        """Make ready and say what the machine allows. Raises SandboxError when it does not allow this kind of cage."""
        _raise_open_files()
        try:
            await asyncio.to_thread(sweep)
            self._run = RunDirectory()
            if sys.platform == "linux":
                self._events = KernelEvents()
            self._warden = Warden(self._run, self._heard, self._warden_died)
            self.level = await self._prepare(self._warden, self._run)
        except BaseException:
            await self.close()
            raise
        return self.level

    async def _make(self, work: Callable[[], Made]) -> Made:
        """Do it in a thread, to its end: what it makes has to be there when `close` cleans up, also where `open` was cancelled meanwhile."""
        self._making = asyncio.get_running_loop().create_task(asyncio.to_thread(work), name="make")
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        """Destroy every environment and leave nothing behind. Safe to call twice, and while `open` is under way."""
        if self._closed is not None:
            await asyncio.shield(self._closed)
            return
        self._closing = True
        self._closed = asyncio.get_running_loop().create_future()
        try:
            for environment in list(self._environments.values()):
                environment.state = "destroying"
                self._stop_timer(environment)
                environment.close()
            if self._making is not None:
                await asyncio.gather(self._making, return_exceptions=True)
            await self._close_network()
            if self._warden is not None:
                await self._warden.close()
            await asyncio.to_thread(self._clean)
            for name in list(self._environments):
                self._forget(name)
            if self._events is not None:
                self._events.close()
        finally:
            self._closed.set_result(None)

    async def _close_network(self) -> None:  # noqa: B027 - a sandbox without a network has nothing to do
        """End what runs for all environments together."""

    def _clean(self) -> None:
        """What the warden leaves: nothing, unless it was killed."""
        for home in self._plan.homes:
            cgroups.clear(home.path)
        if self._plan.moved is not None and self._plan.homes:
            with contextlib.suppress(OSError):
                cgroups.go_back(self._plan.moved, self._plan.homes[0].path)
        if self._run is not None:
            self._run.remove()

    # Environments ------------------------------------------------------------------------------------------------------------------------

    def start(self, blueprint: Blueprint) -> None:
        """Build an environment."""
        self._start(blueprint)

    def _start(self, blueprint: Blueprint, report: Callable[[SandboxEvent], None] | None = None) -> None:
        """`report`: who is told, if not the control plane."""
        name = blueprint.environment
        if name in self._environments:
            raise ValueError(f"environment {name} exists already")
        assert self._run is not None and self._warden is not None, "the sandbox is not open"
        environment = self._environments[name] = Environment(
            blueprint, self._paths(blueprint, self._run), report or self.report, self._output
        )
        loop = asyncio.get_running_loop()
        try:
            if not self._warden.alive or self._closing:
                raise SandboxError("the warden, which makes environments, has ended; start Frostline again")
            request = self._request(blueprint, self._run)
        except SandboxError as error:
            loop.call_soon(self._start_failed, environment, str(error))
            return
        self._warden.send(request)
        environment.limit = loop.call_later(START_LIMIT_S, self._start_failed, environment, f"it was not built within {START_LIMIT_S:g} s")

    def protect(self, ports: Iterable[int]) -> None:  # noqa: B027 - a sandbox without a network has nothing to do
        """Keep environments from these ports of this machine."""

    def decide(self, conditions: Conditions | None, environment: str | None = None) -> None:
        """Say what connections meet from now on."""
        if conditions is None:
            self.conditions.pop(environment, None)
        else:
            self.conditions[environment] = conditions

    def observe(self, offset: float, *, recording: bool) -> None:  # noqa: B027 - see `protect`
        """Say how to tell what is seen of connections."""

    def ports(self, environment: str) -> Ports:
        """The ports of a started environment; once. Raises SandboxError the second time."""
        return self._known(environment).take_ports()

    def paths(self, environment: str) -> Paths:
        """Where a started environment's processes find its directories."""
        return self._known(environment).paths

    def run(self, environment: str, process: ProcessSpec) -> None:
        """Start a process."""
        self._known(environment).run(process)

    def open_gate(self, environment: str, process: str) -> None:
        """Let a process with a gate go on."""
        self._known(environment).open_gate(process)

    def signal(self, environment: str, process: str, signum: int) -> None:
        """Signal a process and its process group. In a frozen environment it arrives at the thaw."""
        self._known(environment).signal(process, signum)

    def kill_processes(self, environment: str) -> None:
        """SIGKILL everything in the environment, frozen or not; afterwards it is not frozen."""
        self._known(environment).kill_processes()

    def freeze(self, environment: str) -> None:
        """Stop every process of the environment."""
        self._known(environment).freeze()

    def thaw(self, environment: str) -> None:
        """Let them go on, or call off a freeze."""
        self._known(environment).thaw()

    def warp(self, environment: str, seconds: float) -> None:
        """Move a frozen environment's clocks on. Raises ValueError for a gap that is not above zero: clocks do not go back."""
        if not seconds > 0:
            raise ValueError(f"clocks are moved on by a time above zero, not by {seconds:g} s")
        known = self._known(environment)
        if not self.level.warps or not known.stands_still or self._warden is None or not self._warden.alive:
            reason = "this sandbox does not move clocks" if not self.level.warps else f"environment {environment} does not stand still"
            asyncio.get_running_loop().call_soon(
                self.report, EnvironmentWarped(environment, seconds=seconds, ahead_s=known.ahead_s, error=reason)
            )
            return
        known.begin_warp(seconds)
        self._warden.send({"op": "warp", "environment": environment, "gap_ns": round(seconds * 1e9)})

    def destroy(self, environment: str) -> None:
        """Kill and remove everything. No ProcessExited comes any more, only EnvironmentGone."""
        known = self._environments.get(environment)
        if known is None:
            asyncio.get_running_loop().call_soon(self.report, EnvironmentGone(environment))
            return
        if known.state == "destroying":
            return
        known.drain()
        known.state = "destroying"
        known.close()
        self._stop_timer(known)
        if self._warden is not None and self._warden.alive:
            self._warden.send({"op": "destroy", "environment": environment})
        else:
            asyncio.get_running_loop().call_soon(self._forget, environment)

    def drain_output(self, environment: str) -> None:
        """Hand over through `on_output`, now, what processes have already written."""
        self._known(environment).drain()

    def connect(self, environment: str, port: int) -> socket.socket:
        """A non-blocking TCP socket, connecting to the environment's own loopback. Raises OSError, also when it has to be asked again."""
        return self._known(environment).connect(port)

    def memory_peak_mb(self, environment: str) -> int | None:
        """The most memory the environment has used, in MiB, or None where it cannot be known."""
        gauge = self._known(environment).gauge
        return None if gauge is None else gauge.peak_mb()

    def _known(self, name: str) -> Environment:
        """An environment; for a name that is not (or no longer) known one in which nothing runs, and which answers so."""
        return self._environments.get(name) or Environment(Blueprint(environment=name, code=Path()), Paths(), self.report, self._output)

    # What comes back ---------------------------------------------------------------------------------------------------------------------

    def _heard(self, message: Message, fds: list[int]) -> None:
        """The warden said something about an environment."""
        environment = self._environments.get(message["environment"])
        match message["op"]:
            case "cloned" if environment is not None and environment.state == "starting":
                self._cloned(environment, message, fds[0])
            case "start_failed" if environment is not None:
                self._start_failed(environment, message["reason"])
            case "warped":
                if environment is not None and environment.state == "started":
                    environment.warped(message)
            case "gone":
                self._forget(message["environment"])
            case _:
                for fd in fds:
                    os.close(fd)

    def _cloned(self, environment: Environment, message: Message, line: int) -> None:
        environment.head_pid = message["pid"]
        environment.directories = message["directories"]
        environment.head = Channel(
            socket.socket(fileno=line),
            lambda said, fds: self._head_said(environment, said, fds),
            lambda: self._head_died(environment),
        )

    def _head_said(self, environment: Environment, message: Message, fds: list[int]) -> None:
        match message["op"]:
            case "ready":
                try:
                    environment.equip(self.level.freezer, self._plan.homes, self._events)
                    self._ready(environment, fds)
                except OSError as error:
                    self._start_failed(environment, error.strerror or str(error))
                else:
                    self._started(environment)
            case "network":
                self._networked(environment, fds)
            case "failed":
                self._start_failed(environment, message["reason"])
            case _:
                environment.heard(message, fds)

    def _started(self, environment: Environment) -> None:
        """Answer, once everything is there that has to be."""
        if environment.state == "starting" and environment.api is not None and environment.attached:
            environment.state = "started"
            self._stop_timer(environment)
            environment.report(EnvironmentStarted(environment.id))

    def _start_failed(self, environment: Environment, reason: str) -> None:
        if environment.state != "starting":
            return
        environment.state = "failed"
        self._stop_timer(environment)
        environment.report(EnvironmentStartFailed(environment.id, f"environment {environment.id} could not be built: {reason}"))
        # What there is of it goes now; the control plane is not told twice.
        if environment.state == "failed":
            environment.close()
            if self._warden is not None and self._warden.alive:
                self._warden.send({"op": "destroy", "environment": environment.id})
            else:
                self._environments.pop(environment.id, None)

    def _head_died(self, environment: Environment) -> None:
        if environment.state == "starting":
            self._start_failed(environment, "its first process died while building it")
        else:
            # All that was in it died with it, and nothing can be started in it any more: it is gone, as if that had been asked for.
            self.destroy(environment.id)

    def _forget(self, name: str) -> None:
        environment = self._environments.pop(name, None)
        self.conditions.pop(name, None)
        if environment is not None:
            environment.close()
            self._detach(name)
            if environment.state != "failed":
                environment.report(EnvironmentGone(name))

    def _detach(self, environment: str) -> None:  # noqa: B027 - a sandbox without a network has nothing to do
        """The environment is gone; so is its place in the network."""

    def _warden_died(self) -> None:
        """Its children die with it (PR_SET_PDEATHSIG), unless the v1 freezer holds them: their groups are killed from here."""
        for environment in list(self._environments.values()):
            cgroups.kill(environment.directories)
            self._start_failed(environment, "the warden, which makes environments, was killed")
            if environment.state == "destroying":
                self._forget(environment.id)

    def _output(self, environment: str, process: str, kind: str, data: bytes) -> None:
        self.on_output(environment, process, "frames" if kind == "frames" else "text", data)

    def _stop_timer(self, environment: Environment) -> None:
        if environment.limit is not None:
            environment.limit.cancel()
            environment.limit = None


def _raise_open_files() -> None:
    """Each environment takes about ten descriptors here, and 1,024, the usual soft limit, is one hundred environments."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
