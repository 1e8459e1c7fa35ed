"""Freezing and thawing around invocations: the sandbox's answers in every order, and what callers notice of it, which is nothing."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest
from msgspec.structs import replace

from frostline.core.effects import FreezeEnvironment, ThawEnvironment, Transition
from frostline.core.events import EnvironmentFrozen, ReclaimRequested
from frostline.sandbox.port import Level
from frostline.testing.fake_runtime import Event, Exit, Process, runtime
from frostline.testing.fake_sandbox import LEVEL
from tests.control.rig import POLICY, Rig, eventually, function

ECHO = runtime(lambda process, event: event.payload)
SLOW = replace(POLICY, freeze_delay_s=10.0)
"""Nothing is frozen by itself within a test."""


async def test_an_idle_environment_stands_still_and_the_next_invocation_lets_it_go_on(rig: Rig) -> None:
    ticks = 0

    async def program(process: Process) -> None:
        async def background() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        process.spawn(background())
        await ECHO(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start()
    for number in range(20):
        assert (await rig.invoke(number)).json() == number
        await rig.sandbox.until_frozen()
        before = ticks
        await asyncio.sleep(0.005)
        assert ticks == before
    assert len(rig.sandbox.called("start")) == 1
    assert await rig.states() == ["frozen"]


async def test_back_to_back_invocations_pay_for_no_freeze(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start(policy=SLOW)
    connection = await rig.connect()
    for _ in range(20):
        await connection.request("POST", "/2015-03-31/functions/f/invocations", body=b"1")
    assert rig.seen(FreezeEnvironment, ThawEnvironment) == []


async def test_an_invocation_that_meets_a_freeze_under_way_is_served(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    rig.sandbox.hold("freeze")
    await rig.start()
    await rig.invoke(1)
    await rig.sandbox.until(lambda: bool(rig.sandbox.called("freeze")))
    assert await rig.states() == ["freezing"]
    assert (await rig.invoke(2)).json() == 2
    assert len(rig.sandbox.called("start")) == 1


@pytest.mark.parametrize("at_once", [False, True], ids=["answers come later", "answers come at once"])
async def test_a_freeze_that_is_answered_after_the_thaw_is_not_believed(rig: Rig, at_once: bool) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    rig.sandbox.late_freezes = True
    rig.sandbox.at_once = at_once
    rig.sandbox.hold("freeze", "thaw")
    await rig.start()
    await rig.invoke(1)
    await rig.sandbox.until(lambda: bool(rig.sandbox.called("freeze")))
    async with asyncio.TaskGroup() as group:
        second = group.create_task(rig.invoke(2))
        await rig.sandbox.until(lambda: bool(rig.sandbox.called("thaw")))
        rig.sandbox.release("freeze")
        assert await rig.states() == ["thawing"]
        rig.sandbox.hold("freeze")  # the next one, which may begin as soon as the invocation is answered
        rig.sandbox.release("thaw")
    assert second.result().json() == 2
    assert len(rig.seen(EnvironmentFrozen)) == 1


async def test_a_freeze_that_fails_is_said_and_tried_again_and_the_function_runs_on(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    rig.sandbox.fails["freeze"] = "the freezer is stuck"
    await rig.start(policy=replace(POLICY, freeze_retry_s=0.005))
    await rig.invoke(1)
    await rig.sandbox.until(lambda: len(rig.sandbox.called("freeze")) > 1)
    rig.sandbox.fails.clear()
    await rig.sandbox.until_frozen()
    assert any("the freezer is stuck" in note for note in rig.notes)
    assert (await rig.invoke(2)).json() == 2


async def test_a_process_that_is_killed_while_frozen_costs_no_invocation(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    await rig.invoke(1)
    await rig.sandbox.until_frozen()
    rig.sandbox.processes[0].kill(out_of_memory=True)
    assert (await rig.invoke(2)).json() == 2


async def test_a_process_that_dies_during_the_thaw_costs_no_invocation(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    await rig.invoke(1)
    await rig.sandbox.until_frozen()
    rig.sandbox.hold("thaw")
    async with asyncio.TaskGroup() as group:
        second = group.create_task(rig.invoke(2))
        await rig.sandbox.until(lambda: bool(rig.sandbox.called("thaw")))
        rig.sandbox.processes[0].kill()
        await rig.sandbox.until(lambda: not rig.sandbox.processes)
        rig.sandbox.release("thaw")
    assert second.result().json() == 2


async def test_a_timeout_of_the_function_s_own_is_overdue_at_the_thaw(rig: Rig) -> None:
    """The article's background timer: it fires late, and only because the clock ran on while nobody looked."""
    fired: list[float] = []

    async def program(process: Process) -> None:
        async def timer() -> None:
            began = time.monotonic()
            await asyncio.sleep(0.25)
            fired.append(time.monotonic() - began)

        async def handler(_: Process, event: Event) -> bytes:
            if event.json() == "set":
                process.spawn(timer())
            return event.payload

        await runtime(handler)(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start(policy=replace(POLICY, freeze_delay_s=0.0))
    await rig.invoke("set")
    await rig.sandbox.until_frozen()
    await asyncio.sleep(0.4)
    assert fired == []
    await rig.invoke("look")
    await eventually(lambda: bool(fired))
    assert fired[0] >= 0.4


async def test_a_machine_that_cannot_freeze_runs_functions_all_the_same(rig: Rig) -> None:
    rig.sandbox.level = Level(cage="plain", freezer="off", network=False, egress=True, memory_limit=False, process_limit=False)
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    await rig.invoke(1)
    await asyncio.sleep(0.02)
    assert await rig.states() == ["idle"]
    assert rig.sandbox.called("freeze") == []
    rig.sandbox.level = LEVEL


async def test_an_idle_environment_is_reclaimed_after_the_idle_timeout(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start(policy=replace(POLICY, idle_timeout_s=0.05))
    await rig.invoke(1)
    await rig.sandbox.until(lambda: not rig.sandbox.environments)
    assert await rig.states() == []
    assert (await rig.invoke(2)).json() == 2
    assert len(rig.sandbox.called("start")) == 2


async def test_chaos_reclaims_after_every_invocation(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start(policy=replace(POLICY, chaos=1.0))
    for number in range(4):
        assert (await rig.invoke(number)).json() == number
        await rig.sandbox.until(lambda: not rig.sandbox.environments)
    assert len(rig.sandbox.called("start")) == 4


@pytest.mark.parametrize("gate", [True, False], ids=["with a gate", "without"])
async def test_a_spare_runs_nothing_of_the_function_before_it_is_wanted(rig: Rig, gate: bool) -> None:
    inits: list[str] = []

    async def program(process: Process) -> None:
        inits.append(process.environment)
        await ECHO(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start(policy=replace(POLICY, spares=1, spare_delay_s=0.01), gate=gate)
    await eventually(lambda: any(t.after == "prepared" for t in rig.seen(Transition)))
    assert inits == []
    assert (await rig.invoke(1)).json() == 1
    assert len(inits) == 1
    await rig.sandbox.until(lambda: len(rig.sandbox.called("start")) == 2)  # the used spare is replaced
    assert len(inits) == 1


async def test_an_extension_is_told_of_each_invocation_and_holds_up_the_freeze_until_it_is_done(rig: Rig) -> None:
    told: list[str] = []
    done = asyncio.Event()

    async def extension(process: Process) -> None:
        identifier = await process.register("INVOKE", "SHUTDOWN")
        while True:
            event = await process.next_event(identifier)
            told.append(event["eventType"])
            if event["eventType"] == "SHUTDOWN":
                raise Exit(0)
            await done.wait()

    rig.sandbox.programs |= {"runtime": ECHO, "extension:watcher": extension}
    await rig.start(function(extensions=("watcher",)))
    assert (await rig.invoke(1)).json() == 1  # the caller does not wait for extensions
    await asyncio.sleep(0.01)
    assert rig.sandbox.called("freeze") == []
    done.set()
    await rig.sandbox.until_frozen()
    await rig.plane.close()
    assert told == ["INVOKE", "SHUTDOWN"]


async def test_a_runtime_that_ignores_sigterm_is_killed_and_its_extension_is_told(rig: Rig) -> None:
    told: list[str] = []

    async def stubborn(process: Process) -> None:
        process.catch_sigterm()
        await ECHO(process)

    async def extension(process: Process) -> None:
        identifier = await process.register("SHUTDOWN")
        told.append((await process.next_event(identifier))["shutdownReason"])

    rig.sandbox.programs |= {"runtime": stubborn, "extension:watcher": extension}
    await rig.start(function(extensions=("watcher",)), policy=replace(SLOW, shutdown_external_s=1.0))
    await rig.invoke(1)
    await rig.plane.close()
    assert told == ["spindown"]
    assert [call.argument for call in rig.sandbox.called("signal")] == [("runtime", 15), ("runtime", 9)]


async def test_a_thousand_invocations_while_environments_freeze_thaw_and_are_reclaimed_are_each_answered_once(rig: Rig) -> None:
    """With the laws and the fleet's invariants looked at after each event (see `Rig.look_back`)."""
    random = Random(7)

    async def handler(process: Process, event: Event) -> bytes:
        del process
        await asyncio.sleep(random.random() * 0.004)
        return event.payload

    rig.sandbox.programs["runtime"] = runtime(handler)
    rig.sandbox.late_freezes = True
    await rig.start(function(concurrency=1000), policy=replace(POLICY, freeze_delay_s=0.0, chaos=0.02))
    answers: dict[int, object] = {}

    async def caller(first: int) -> None:
        for number in range(first, first + 10):
            response = await rig.invoke(number)
            assert response.status == 200, response
            assert number not in answers
            answers[number] = response.json()
            await asyncio.sleep(random.random() * 0.02)
            known = rig.plane.ring.fleet.environments
            if known and random.random() < 0.1:
                rig.plane.ring.feed(ReclaimRequested(environment=random.choice(known).id))

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for first in range(0, 1000, 10):
            group.create_task(caller(first))
    assert answers == {number: number for number in range(1000)}
    calls = {method: len(rig.sandbox.called(method)) for method in ("freeze", "thaw", "destroy")}
    assert min(calls.values()) > 50, calls
