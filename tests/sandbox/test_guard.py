"""Whatever dies, and however: nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from frostline.core.events import EnvironmentFrozen, EnvironmentGone, EnvironmentStartFailed
from frostline.sandbox import rundir

from .driver import LIMIT_S, Driver, kinds_here, left_behind

REPOSITORY = Path(__file__).parents[2]


class Victim:
    """A Frostline that may be killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the victim could not start"
        found: dict[str, Any] = json.loads(line)
        self.run: str = found["run"]
        self.warden: int = found["warden"]
        self.directories: list[str] = found["directories"]
        self.members = [pid for head in found["heads"] for pid in (head, *descendants(head))]

    def left(self) -> list[str]:
        """What there still is of it."""
        return left_behind(self.run, self.directories) + [f"member {pid}" for pid in self.members if is_ours(pid)]


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # it came and went
        return []
    return [below for child in children for below in (int(child), *descendants(int(child)))]


def is_ours(pid: int) -> bool:
    """Whether a process lives (its number may have been given to another one) that looks like one of an environment's."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] in (b"/bin/sh", b"yes", b"/bin/sleep")
    except OSError:
        return False


async def gone(there: Callable[[], list[str]]) -> None:
    """Wait until nothing is left."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while there():  # noqa: ASYNC110 - other processes end, and nobody is told
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(there()) from None


@pytest.fixture(params=kinds_here())
def victim(request: pytest.FixtureRequest, code: Path) -> Iterator[Victim]:
    command = [sys.executable, "-m", "tests.sandbox.victim", request.param, str(code)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        yield Victim(process)
        process.kill()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda signum: signum.name)
async def test_the_warden_cleans_up_after_a_frostline_that_was_killed(victim: Victim, signum: signal.Signals) -> None:
    assert victim.left() != []
    victim.process.send_signal(signum)
    await gone(victim.left)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_warden(victim: Victim) -> None:
    assert os.getsid(victim.warden) == victim.warden
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(victim.warden, signum)
    victim.process.kill()
    await gone(victim.left)


async def test_when_both_are_killed_the_next_run_sweeps_up(victim: Victim) -> None:
    victim.process.kill()
    os.kill(victim.warden, signal.SIGKILL)

    def left() -> list[str]:
        rundir.sweep()
        return victim.left()

    await gone(left)


async def test_the_sweep_spares_runs_that_live(victim: Victim) -> None:
    before = victim.left()
    assert victim.run.rpartition("-")[2] not in rundir.sweep()
    assert victim.run in victim.left() and len(victim.left()) >= len(before) > 0


async def test_a_killed_warden_takes_its_environments_with_it_and_that_is_said(driver: Driver, code: Path) -> None:
    frozen, running = await driver.started(code), await driver.started(code)
    for environment in (frozen, running):
        driver.run(environment, "echo up; sleep 1000 & wait")
        await driver.until(environment, "up")
    driver.sandbox.freeze(frozen)
    await driver.expect(frozen, EnvironmentFrozen)
    warden = driver.sandbox._warden
    assert warden is not None and warden._process is not None
    os.kill(warden._process.pid, signal.SIGKILL)
    for environment in (frozen, running):
        await driver.expect(environment, EnvironmentGone)
    late = driver.begin(code)
    assert "warden" in (await driver.expect(late, EnvironmentStartFailed)).reason
