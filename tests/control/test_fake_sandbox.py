"""The fake sandbox keeps the port's promises, and sees who breaks the other side of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest

from frostline.core.events import (
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
from frostline.sandbox.port import Blueprint, ProcessSpec, SandboxError
from frostline.testing.fake_runtime import Exit, Process
from frostline.testing.fake_sandbox import FakeSandbox
from tests.control.rig import eventually


class Stand(FakeSandbox):
    """A fake sandbox, what it reported, and what came out of its processes."""

    def __init__(self) -> None:
        super().__init__()
        self.output: list[bytes] = []

    async def begin(self) -> None:
        def on_output(_: str, __: str, ___: Literal["text", "frames"], data: bytes) -> None:
            self.output.append(data)

        await self.opened(lambda _: None, on_output)
        self.start(Blueprint(environment="e", code=Path("/code")))
        await self.expect(EnvironmentStarted)

    async def expect(self, *kinds: type[SandboxEvent]) -> Any:
        """Wait until the last reports are of these classes; the last of them."""
        await self.until(lambda: [type(event) for event in self.reported[-len(kinds) :]] == list(kinds))
        return self.reported[-1]

    def go(self, program: Any, name: str = "runtime", *, gate: bool = False) -> None:
        self.programs[name] = program
        self.run("e", ProcessSpec(name=name, argv=("/x",), env={"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"}, gate=gate))


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand()
    await stand.begin()
    yield stand
    await stand.close()
    assert stand.environments == {}


async def forever(process: Process) -> None:
    await asyncio.sleep(600)


async def test_a_program_ends_with_its_status(stand: Stand) -> None:
    async def exits(process: Process) -> None:
        process.print("last words")
        raise Exit(7)

    stand.go(exits)
    assert await stand.expect(ProcessExited) == ProcessExited("e", process="runtime", status=7)
    assert stand.output == [b"last words\n"]


async def test_a_program_that_fails_prints_its_traceback_and_ends_with_1(stand: Stand) -> None:
    async def fails(process: Process) -> None:
        raise ValueError("no")

    stand.go(fails)
    assert (await stand.expect(ProcessExited)).status == 1
    assert b"ValueError: no" in b"".join(stand.output)


async def test_a_process_without_a_program_cannot_be_executed(stand: Stand) -> None:
    stand.run("e", ProcessSpec(name="runtime", argv=("/var/task/bootstrap",), env={}))
    assert (await stand.expect(ProcessExited)).error == "fork/exec /var/task/bootstrap: no such file or directory"


async def test_a_program_behind_its_gate_does_nothing(stand: Stand) -> None:
    async def speaks(process: Process) -> None:
        process.print("in")

    stand.go(speaks, gate=True)
    await asyncio.sleep(0.01)
    assert stand.output == []
    stand.open_gate("e", "runtime")
    await stand.expect(ProcessExited)
    assert stand.output == [b"in\n"]


async def test_nothing_of_a_frozen_program_moves_and_its_timers_are_overdue_at_the_thaw(stand: Stand) -> None:
    ticks: list[str] = []

    async def thread() -> None:
        while True:
            await asyncio.sleep(0.001)
            ticks.append("thread")

    async def program(process: Process) -> None:
        process.spawn(thread())
        while True:
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(600)
            except TimeoutError:
                ticks.append("timeout")

    stand.go(program)
    await eventually(lambda: {"thread", "timeout"} <= set(ticks))
    stand.freeze("e")
    await stand.expect(EnvironmentFrozen)
    before = len(ticks)
    await asyncio.sleep(0.01)
    assert len(ticks) == before
    stand.thaw("e")
    await stand.expect(EnvironmentThawed)
    await eventually(lambda: {"thread", "timeout"} <= set(ticks[before:]))


async def test_a_thaw_calls_off_a_freeze_that_is_under_way(stand: Stand) -> None:
    stand.hold("freeze")
    stand.freeze("e")
    stand.thaw("e")
    stand.release()
    await stand.expect(EnvironmentThawed)
    assert not any(isinstance(event, EnvironmentFrozen) for event in stand.reported)


async def test_a_freeze_that_fails_leaves_the_program_running(stand: Stand) -> None:
    stand.fails["freeze"] = "stuck"
    stand.go(forever)
    stand.freeze("e")
    assert await stand.expect(EnvironmentFreezeFailed) == EnvironmentFreezeFailed("e", "stuck")
    stand.signal("e", "runtime", signal.SIGTERM)
    assert (await stand.expect(ProcessExited)).signal == signal.SIGTERM


async def test_sigterm_waits_for_the_thaw_and_sigkill_does_not(stand: Stand) -> None:
    stand.go(forever, "one")
    stand.go(forever, "two")
    stand.freeze("e")
    await stand.expect(EnvironmentFrozen)
    stand.signal("e", "one", signal.SIGTERM)
    stand.signal("e", "two", signal.SIGKILL)
    assert (await stand.expect(ProcessExited)).process == "two"
    stand.thaw("e")
    await stand.until(lambda: not stand.processes)
    assert stand.reported[-1] == ProcessExited("e", process="one", signal=signal.SIGTERM)


async def test_a_program_may_catch_sigterm(stand: Stand) -> None:
    async def program(process: Process) -> int:
        process.catch_sigterm()
        await process.terminated.wait()
        return 3

    stand.go(program)
    await asyncio.sleep(0.001)
    stand.signal("e", "runtime", signal.SIGTERM)
    assert (await stand.expect(ProcessExited)).status == 3


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
async def test_each_process_is_reported_before_the_answer_to_kill_and_to_destroy(stand: Stand, frozen: bool) -> None:
    stand.go(forever, "one")
    stand.go(forever, "two")
    if frozen:
        stand.freeze("e")
        await stand.expect(EnvironmentFrozen)
    stand.kill_processes("e")
    await stand.expect(ProcessExited, ProcessExited, ProcessesKilled)
    stand.go(forever)
    stand.destroy("e")
    await stand.expect(ProcessExited, EnvironmentGone)


async def test_an_environment_that_cannot_be_built_is_gone(stand: Stand) -> None:
    stand.fails["start"] = "no room"
    stand.start(Blueprint(environment="f", code=Path("/code")))
    assert await stand.expect(EnvironmentStartFailed) == EnvironmentStartFailed("f", "no room")
    assert "f" not in stand.environments


async def test_ports_are_handed_over_once(stand: Stand) -> None:
    stand.ports("e").api.close()
    with pytest.raises(SandboxError, match="were taken"):
        stand.ports("e")


async def test_answers_can_come_at_once(stand: Stand) -> None:
    stand.at_once = True
    stand.freeze("e")
    assert isinstance(stand.reported[-1], EnvironmentFrozen)


async def test_output_can_be_drained_before_its_time(stand: Stand) -> None:
    spoke = asyncio.Event()

    async def speaks(process: Process) -> None:
        process.print("now")
        spoke.set()
        await asyncio.sleep(600)

    stand.go(speaks)
    await spoke.wait()
    assert stand.output == []
    stand.drain_output("e")
    assert stand.output == [b"now\n"]


async def test_whoever_breaks_the_contract_is_told_how(stand: Stand) -> None:
    stand.go(forever)
    stand.freeze("e")
    await stand.expect(EnvironmentFrozen)
    stand.freeze("e")
    stand.run("e", ProcessSpec(name="runtime", argv=("/x",), env={}))
    stand.thaw("none")
    stand.start(Blueprint(environment="e", code=Path("/code")))
    stand.destroy("e")
    stand.thaw("e")
    assert stand.complaints == [
        "freeze of e, which is frozen",
        "run of runtime in e, which is frozen",
        "run of runtime in e, where it runs already",
        "thaw of the environment 'none', which is not there",
        "start of the environment 'e', which is there already",
        "thaw of the environment e, which is being destroyed",
    ]
