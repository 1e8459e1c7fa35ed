"""Trials on a fake sandbox: functions that are programs, and gaps that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from frostline.control.plane import ControlPlane, OpenSandbox
from frostline.project import Deployment, Launch, Seen
from frostline.sandbox.port import Level, SandboxError
from frostline.testing.builders import function
from frostline.testing.fake_environment import LEVEL
from frostline.testing.fake_runtime import Event, Handler, Process, runtime
from frostline.testing.fake_sandbox import FakeSandbox
from frostline.trials.runner import Run
from frostline.trials.trial import Script, Setting, Trial, in_turn


def handler(process: Process, event: Event) -> bytes:
    """Fails where its function's variables say so: in the invocation whose event says when."""
    wanted = event.json()
    if wanted == "fail" or (isinstance(wanted, dict) and wanted.get("number") == int(process.env.get("FAILS", "0"))):
        raise ConnectionResetError("connection reset by peer")
    return event.payload


class NoWaiting:
    """Gaps that pass at once."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, float]] = []

    async def idle(self, plane: ControlPlane, name: str, seconds: float) -> None:
        self.passed.append((name, seconds))


class Sandboxes:
    """Opens fake sandboxes, one for each run, and remembers what they were asked for."""

    def __init__(self, handle: Handler = handler, *, level: Level = LEVEL, refused: Mapping[str, str] | None = None) -> None:
        self.handle = handle
        self.level = level
        self.refused = dict(refused or {})
        """Levels that the machine does not allow, and why."""
        self.settings: list[Setting] = []
        self.opened: list[FakeSandbox] = []

    def __call__(self, setting: Setting, note: Callable[[str], None]) -> OpenSandbox:
        self.settings.append(setting)

        async def open_it(report: Any, on_output: Any) -> FakeSandbox:
            if (why := self.refused.get(setting.level)) is not None:
                raise SandboxError(why)
            sandbox = FakeSandbox({"runtime": runtime(self.handle)}, level=self.level)
            self.opened.append(sandbox)
            return await sandbox.opened(report, on_output)

        return open_it


def deployment(folder: Path, **variables: str) -> Deployment:
    """A function without code, as a fake sandbox runs it."""
    return Deployment(
        function=function("any", environment=variables), code=folder, launch=Launch(argv=(Seen("task", "bootstrap"),), gate=False)
    )


def trial(folder: Path, name: str, script: Script | None = None, **variables: str) -> Trial:
    """A trial of two invocations with a gap between them."""
    return Trial(
        name=name,
        deployment=deployment(folder),
        script=script or in_turn([{"number": 1}, {"number": 2}], [4.5]),
        variables=variables,
    )


def run(folder: Path, sandboxes: Sandboxes, level: str = "processes", **options: Any) -> Run:
    """A run with its story in the folder, and gaps that pass at once."""
    return Run(
        Setting(level=level),  # type: ignore[arg-type]
        folder / "run.story.jsonl",
        opener=sandboxes,
        **{"gaps": NoWaiting(), **options},
    )


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0)
