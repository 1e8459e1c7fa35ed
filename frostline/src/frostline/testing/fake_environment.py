"""What `FakeSandbox` keeps of an environment and of a process in it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Literal

from ..core.events import EnvironmentWarped, ProcessClock, ProcessExited, SandboxEvent
from ..sandbox.port import Blueprint, Level
from .fake_runtime import Process, Program, Thread, run

LEVEL = Level(
    cage="namespaces",
    freezer="cgroup-v2",
    network=True,
    egress=False,
    warps=True,
    memory_limit=True,
    process_limit=True,
    notes=("Nothing here is real.",),
)
"""What the fake says that the machine allows, unless it is told otherwise."""


class Answer:
    """An answer on its way."""

    __slots__ = ("called_off", "event")

    def __init__(self, event: SandboxEvent) -> None:
        self.event = event
        self.called_off = False


class FakeProcess:
    """A program that runs, or waits at its gate."""

    def __init__(
        self, process: Process, program: Program, gate: asyncio.Event, running: asyncio.Event, ended: Callable[[FakeProcess], None]
    ) -> None:
        self.process = process
        self.gate = gate
        self.signal: int | None = None
        """What killed it."""
        self.out_of_memory = False

        async def work() -> int:
            await gate.wait()
            return await run(program, process)

        self.thread = Thread(running, work(), repr(process))
        self.thread.task.add_done_callback(lambda _: ended(self))

    def kill(self, signum: int = signal.SIGKILL, *, out_of_memory: bool = False) -> None:
        """End it by a signal."""
        if self.signal is None:
            self.signal = signum
            self.out_of_memory = out_of_memory
            self.thread.kill()

    def exited(self) -> ProcessExited:
        """How it ended."""
        name, environment = self.process.name, self.process.environment
        if self.signal is not None or self.thread.task.cancelled():
            return ProcessExited(environment, process=name, signal=self.signal or signal.SIGKILL, out_of_memory=self.out_of_memory)
        return ProcessExited(environment, process=name, status=self.thread.task.result())


class FakeEnvironment:
    """One environment of the fake."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.id = blueprint.environment
        self.blueprint = blueprint
        self.processes: dict[str, FakeProcess] = {}
        self.running = asyncio.Event()
        self.running.set()
        self.frozen = False
        """The freeze was answered."""
        self.started = False
        self.destroying = False
        self.memory_peak_mb: int | None = None
        self.ahead_s = 0.0
        self.api: socket.socket | None = None
        self.pipes: list[tuple[str, Literal["text", "frames"], bytes]] = []
        """Output that nobody has read."""
        self.pending: list[tuple[str, int]] = []
        """Signals that wait for the thaw."""
        self.start_answer: Answer | None = None
        self.freeze_answer: Answer | None = None
        self.when_empty: list[Callable[[], object]] = []

    def warp(self, seconds: float, *, possible: bool) -> EnvironmentWarped:
        """Move the clocks on, as far as there are any."""
        if not possible or not self.frozen:
            reason = f"environment {self.id} does not stand still" if possible else "this sandbox does not move clocks"
            return EnvironmentWarped(self.id, seconds=seconds, ahead_s=self.ahead_s, error=reason)
        self.ahead_s += seconds
        clocks = tuple(ProcessClock(pid=number, name=name, moved=True) for number, name in enumerate(self.processes, 1))
        return EnvironmentWarped(self.id, seconds=seconds, ahead_s=self.ahead_s, processes=clocks)
