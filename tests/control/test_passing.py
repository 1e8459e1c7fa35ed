"""Time that passes for environments while they stand still."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from frostline.core.events import EnvironmentWarped
from frostline.sandbox.port import Level
from frostline.testing.fake_runtime import Event, Exit, Process, runtime
from frostline.testing.fake_sandbox import LEVEL
from tests.control.rig import POLICY, Rig, eventually

ECHO = runtime(lambda process, event: event.payload)
WARPS: Level = replace(LEVEL, warps=True)


def ready(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    rig.sandbox.level = WARPS


def warps(rig: Rig) -> list[float]:
    return [event.seconds for event in rig.witness.events if isinstance(event, EnvironmentWarped) and not event.error]


async def test_time_passes_once_an_environment_stands_still(rig: Rig) -> None:
    ready(rig)
    await rig.start()
    await rig.invoke(1)
    # Asked for while it is still on its way to the freeze.
    warped = await rig.plane.pass_time("f", 3600.0)
    assert warped is not None
    assert (warped.seconds, warped.complete) == (3600.0, True)
    before = rig.sandbox.called("freeze")
    assert (await rig.invoke(2)).json() == 2
    assert len(rig.sandbox.called("thaw")) == len(before)


async def test_an_invocation_in_the_middle_of_it_is_served(rig: Rig) -> None:
    ready(rig)
    await rig.start()
    await rig.invoke(1)
    await rig.sandbox.until_frozen()
    passing = asyncio.ensure_future(rig.plane.pass_time("f", 60.0))  # noqa: TID251 - the test's own
    assert (await rig.invoke(2)).json() == 2
    warped = await passing
    assert warped is not None and warped.seconds == 60.0


async def test_nothing_passes_where_there_is_no_environment(rig: Rig) -> None:
    ready(rig)
    await rig.start()
    assert await rig.plane.pass_time("f", 60.0) is None
    assert await rig.plane.pass_time("nobody", 60.0) is None


async def test_nothing_passes_for_one_whose_processes_have_ended(rig: Rig) -> None:
    def crash(process: Process, event: Event) -> bytes:
        raise Exit(1)

    ready(rig)
    rig.sandbox.programs["runtime"] = runtime(crash)
    await rig.start()
    await rig.invoke(1)
    assert await asyncio.wait_for(rig.plane.pass_time("f", 60.0), 10) is None


async def test_a_sandbox_that_cannot_says_so(rig: Rig) -> None:
    ready(rig)
    rig.sandbox.level = replace(LEVEL, warps=False)
    await rig.start()
    await rig.invoke(1)
    warped = await rig.plane.pass_time("f", 60.0)
    assert warped is not None
    assert warped.error == "this sandbox does not move clocks"


async def test_every_freeze_is_longer_where_that_was_asked_for(rig: Rig) -> None:
    ready(rig)
    await rig.start(after_s=2400.0)
    for number in range(3):
        await rig.invoke(number)
        await rig.sandbox.until_frozen()
        await eventually(lambda number=number: len(warps(rig)) == number + 1)
    assert warps(rig) == [2400.0] * 3


async def test_clocks_that_did_not_move_are_told_once(rig: Rig) -> None:
    ready(rig)
    await rig.start(policy=replace(POLICY))
    event = EnvironmentWarped("e", seconds=1.0, error="there is no compiler")
    rig.plane.tell_clocks("f", event)
    rig.plane.tell_clocks("f", event)
    assert rig.notes == ["f: not all of its clocks were moved (there is no compiler)"]
