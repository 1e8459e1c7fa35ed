"""The commands, called in this process, with a fake sandbox where they open one; and a running Frostline for those that call one."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from frostline.cli import running
from frostline.cli.main import main
from frostline.core.function import Function
from frostline.testing.fake_runtime import Program
from frostline.testing.fake_sandbox import FakeSandbox
from tests.control.rig import Rig

Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    """Call a command as a shell would; its exit status, output and messages."""

    def call(*arguments: str, stdin: str | bytes | None = None, env: Mapping[str, str] | None = None, colour: bool = False) -> Result:
        result = CliRunner().invoke(main, arguments, input=stdin, env=env, color=colour, prog_name="frostline")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception  # what a person would see as a traceback
        return result

    return call


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSandbox]:
    """The sandbox that commands open."""
    sandbox = FakeSandbox()

    async def opened(report: Any, on_output: Any, **_: Any) -> FakeSandbox:
        return await sandbox.opened(report, on_output)

    monkeypatch.setattr(running, "open_sandbox", opened)
    thresholds = gc.get_threshold()
    yield sandbox
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    assert not sandbox.is_open
    assert sandbox.environments == {}
    assert sandbox.complaints == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A function's folder."""
    folder = tmp_path / "colours"
    folder.mkdir()
    (folder / "bootstrap").write_text("#!/bin/sh\n")
    (folder / "bootstrap").chmod(0o755)
    return folder


class Running:
    """A Frostline on a fake sandbox, on an event loop in a thread of its own."""

    def __init__(self, folder: Path, programs: Mapping[str, Program], functions: tuple[Function, ...]) -> None:
        self._ready = threading.Event()
        self._folder = folder
        self._programs = programs
        self._functions = functions
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="a running Frostline")
        self.rig: Rig
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.rig = Rig(FakeSandbox(self._programs), self._folder)
        await self.rig.start(*self._functions)
        self._ready.set()
        await self._end.wait()
        await self.rig.close()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(60)

    @property
    def port(self) -> str:
        return str(self.rig.port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Start = Callable[..., Running]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Start]:
    """Start a Frostline with this runtime and these functions."""
    started: list[Running] = []

    def start(runtime: Program, *functions: Function) -> Running:
        running_ = Running(tmp_path, {"runtime": runtime}, functions)
        started.append(running_)
        running_.start()
        return running_

    yield start
    for each in started:
        each.stop()
        each.rig.look_back()
