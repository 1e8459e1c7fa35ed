"""Drives a real sandbox in tests: one queue of events for each environment, and everything that processes wrote."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TypeVar

from frostline.core.events import EnvironmentGone, EnvironmentStarted, NetworkEvent, ProcessExited, SandboxEvent
from frostline.sandbox import cgroups
from frostline.sandbox.caged import CagedSandbox
from frostline.sandbox.environment import OutputKind
from frostline.sandbox.namespaces import NamespaceSandbox
from frostline.sandbox.plain import PlainSandbox
from frostline.sandbox.port import Blueprint, FreezeMethod, Level, ProcessSpec

LIMIT_S = 30.0
"""Long, for a machine that is busy with other things; nothing here takes so long by itself."""

PYTHON = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
INTERPRETER = (Path(sys.base_prefix),)

_numbers = itertools.count(1)
E = TypeVar("E", bound=SandboxEvent)


def freezers_here() -> list[FreezeMethod]:
    """How this user can freeze environments with namespaces on this machine."""
    found: list[FreezeMethod] = []
    for version, name in ((2, "cgroup-v2"), (1, "cgroup-v1")):
        made = cgroups.plan(f"probe{os.getpid()}", freezer=version)
        if made.home("freezer") is not None:
            found.append("cgroup-v2" if name == "cgroup-v2" else "cgroup-v1")
        for home in made.homes:
            cgroups.clear(home.path)
    return [*found, "signals"]


def kinds_here() -> list[str]:
    """Each combination of cage and freezer that works on this machine."""
    namespaces = [f"namespaces/{method}" for method in freezers_here()] if sys.platform == "linux" else []
    return [*namespaces, "plain/signals"]


def make(kind: str, driver: Driver) -> CagedSandbox:
    """A sandbox of a kind as `kinds_here` names it, not open yet."""
    cage, _, freezer = kind.partition("/")
    # Without a router, which has tests of its own and takes a quarter of a second to start.
    method: FreezeMethod = (
        "signals" if freezer == "signals" else "off" if freezer == "off" else "cgroup-v1" if freezer == "cgroup-v1" else "cgroup-v2"
    )
    if cage == "plain":
        return PlainSandbox(driver.report, driver.on_output, freezer=method)
    return NamespaceSandbox(driver.report, driver.on_output, freezer=method, egress=False)


class Driver:
    """A sandbox, and what it said."""

    def __init__(self) -> None:
        self.sandbox: CagedSandbox
        self.level: Level
        self.written: defaultdict[tuple[str, str, OutputKind], bytearray] = defaultdict(bytearray)
        self._events: defaultdict[str, asyncio.Queue[SandboxEvent]] = defaultdict(asyncio.Queue)
        self._wrote = asyncio.Event()
        self.seen: list[NetworkEvent] = []
        """What was told of connections; it comes when it comes."""

    async def open(self, kind: str) -> Driver:
        self.sandbox = make(kind, self)
        self.level = await self.sandbox.open()
        return self

    def report(self, event: SandboxEvent) -> None:
        if isinstance(event, NetworkEvent):
            self.seen.append(event)
            return
        self._events[event.environment].put_nowait(event)

    def on_output(self, environment: str, process: str, kind: OutputKind, data: bytes) -> None:
        self.written[environment, process, kind] += data
        self._wrote.set()

    def begin(self, code: Path, **blueprint: object) -> str:
        """Ask for an environment."""
        name = f"env{next(_numbers)}"
        self.sandbox.start(Blueprint(environment=name, code=code, **blueprint))  # type: ignore[arg-type]
        return name

    async def started(self, code: Path, **blueprint: object) -> str:
        """An environment that is there."""
        name = self.begin(code, **blueprint)
        await self.expect(name, EnvironmentStarted)
        return name

    async def expect(self, environment: str, kind: type[E]) -> E:
        """The environment's next event, which has to be of this kind."""
        async with asyncio.timeout(LIMIT_S):
            event = await self._events[environment].get()
        assert isinstance(event, kind), event
        return event

    def heard(self, environment: str) -> list[SandboxEvent]:
        """Events that nobody has waited for yet."""
        queue = self._events[environment]
        return [queue.get_nowait() for _ in range(queue.qsize())]

    def run(
        self, environment: str, *argv: str, name: str = "runtime", env: dict[str, str] | None = None, gate: bool = False, log: bool = False
    ) -> None:
        """Start a process; a single word of `argv` is a shell's script."""
        whole = argv if len(argv) > 1 else ("/bin/sh", "-c", argv[0])
        paths = self.sandbox.paths(environment)
        variables = {"PATH": "/usr/bin:/bin", "TMP": paths.tmp, **(env or {})}
        self.sandbox.run(environment, ProcessSpec(name=name, argv=whole, env=variables, cwd=paths.task, gate=gate, telemetry_log=log))

    def python(self, environment: str, script: str) -> None:
        """Start a Python script; the environment needs `extra_read_only=INTERPRETER`."""
        self.run(environment, PYTHON, "-I", "-S", "-c", script)

    def text(self, environment: str, process: str = "runtime", kind: OutputKind = "text") -> str:
        """What a process wrote so far."""
        return self.written[environment, process, kind].decode(errors="replace")

    async def until(self, environment: str, needle: str, process: str = "runtime", *, after: int = 0, kind: OutputKind = "text") -> int:
        """Wait until a process has written something, after so many characters; where it ended."""
        async with asyncio.timeout(LIMIT_S):
            while (found := self.text(environment, process, kind).find(needle, after)) < 0:
                self._wrote.clear()
                await self._wrote.wait()
        return found + len(needle)

    async def output_of(self, environment: str, *argv: str) -> str:
        """Run a process to its end, which has to be a good one; what it wrote."""
        self.written[environment, "runtime", "text"].clear()
        self.run(environment, *argv)
        ended = await self.expect(environment, ProcessExited)
        written = self.text(environment)
        assert (ended.status, ended.error) == (0, ""), (ended, written)
        return written

    async def destroy(self, environment: str) -> None:
        self.sandbox.destroy(environment)
        await self.expect(environment, EnvironmentGone)


def left_behind(run: str, directories: list[str]) -> list[str]:
    """What there still is of a run: its folder, cgroups, processes that see it, mounts that belong to it."""
    left = [directory for directory in directories if Path(directory).exists()]
    for entry in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                command, mounts = (entry / "cmdline").read_bytes(), (entry / "mountinfo").read_text()
            except OSError:
                continue
            if run.encode() in command or run in mounts:
                left.append(f"process {entry.name}: {command.decode(errors='replace')}")
    return [*left, *([run] if Path(run).exists() else [])]
