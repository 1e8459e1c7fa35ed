"""Trials side by side: what is known of each, whatever the function and the machine do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from frostline.control.plane import ControlPlane
from frostline.core.states import State
from frostline.sandbox.port import SandboxError
from frostline.story.reader import Story
from frostline.testing.fake_environment import LEVEL
from frostline.testing.fake_runtime import Event, Process
from frostline.trials.gaps import RealTime
from frostline.trials.trial import Life, Result, in_turn
from tests.trials.trying import NoWaiting, Sandboxes, handler, run, trial, until


async def test_each_trial_has_an_environment_of_its_own_and_its_own_variables(tmp_path: Path) -> None:
    trials = [trial(tmp_path, "well"), trial(tmp_path, "fails-late", FAILS="2"), trial(tmp_path, "fails-early", FAILS="1")]
    told: list[Result] = []
    results = await run(tmp_path, Sandboxes(), on_result=told.append).carry_out(trials)
    assert [(result.trial, [invoked.failed for invoked in result.invocations]) for result in results] == [
        ("well", [False, False]),
        ("fails-late", [False, True]),
        ("fails-early", [True, False]),
    ]
    assert [result.failed for result in results] == [False, True, True]
    assert all(result.finished and result.environments == 1 and result.problem is None for result in results)
    assert results[1].invocations[1].error == "ConnectionResetError: connection reset by peer"
    assert sorted(result.trial for result in told) == ["fails-early", "fails-late", "well"]


async def test_gaps_are_passed_by_whoever_knows_how(tmp_path: Path) -> None:
    gaps = NoWaiting()
    await run(tmp_path, Sandboxes(), gaps=gaps).carry_out([trial(tmp_path, "a"), trial(tmp_path, "b")])
    assert sorted(gaps.passed) == [("a", 4.5), ("b", 4.5)]


async def test_a_gap_in_real_time_is_waited_for(tmp_path: Path) -> None:
    (result,) = await run(tmp_path, Sandboxes(), gaps=RealTime()).carry_out([trial(tmp_path, "t", in_turn([1, 2], [0.02]))])
    first, second = result.invocations
    assert second.begin - first.end >= 0.019


async def test_what_stood_still_is_counted(tmp_path: Path) -> None:
    sandboxes = Sandboxes()

    async def script(life: Life) -> None:
        for number in range(3):
            await life.invoke({"number": number})
            await sandboxes.opened[0].until_frozen()

    (result,) = await run(tmp_path, sandboxes).carry_out([trial(tmp_path, "a", script)])
    assert result.freezes == 3


async def test_nothing_stands_still_at_level_off(tmp_path: Path) -> None:
    sandboxes = Sandboxes()
    await run(tmp_path, sandboxes, "off").carry_out([trial(tmp_path, "a")])
    assert sandboxes.opened[0].called("freeze") == []
    with Story.open(tmp_path / "run.story.jsonl") as story:
        assert not any(getattr(line.effect, "after", None) == State.FROZEN.value for line in story)


async def test_a_script_may_go_by_what_it_sees(tmp_path: Path) -> None:
    async def script(life: Life) -> None:
        while not (await life.invoke({"number": 1})).failed:
            pass
        await life.invoke({"number": 0})

    (result,) = await run(tmp_path, Sandboxes()).carry_out([trial(tmp_path, "a", script, FAILS="1")])
    assert [invoked.failed for invoked in result.invocations] == [True, False]


async def test_no_more_than_the_width_run_at_once(tmp_path: Path) -> None:
    running: set[str] = set()
    most = 0

    class Watched(NoWaiting):
        async def idle(self, plane: ControlPlane, name: str, seconds: float) -> None:
            nonlocal most
            running.add(name)
            most = max(most, len(running))
            await until(lambda: most >= 3)
            await asyncio.sleep(0.01)  # for a fourth that must not come
            running.discard(name)

    results = await run(tmp_path, Sandboxes(), width=3, gaps=Watched()).carry_out([trial(tmp_path, f"t{n}") for n in range(9)])
    assert most == 3
    assert all(result.finished for result in results)


async def test_no_more_than_so_many_start_at_once(tmp_path: Path) -> None:
    starting = most = 0

    async def slow(process: Process, event: Event) -> bytes:
        nonlocal starting, most
        starting += 1
        most = max(most, starting)
        await until(lambda: most >= 2)
        await asyncio.sleep(0.005)  # for a third that must not come
        starting -= 1
        return event.payload

    await run(tmp_path, Sandboxes(slow), starting=2).carry_out([trial(tmp_path, f"t{n}", in_turn([{}], [])) for n in range(6)])
    assert most == 2


async def test_a_trials_environment_goes_when_it_is_over(tmp_path: Path) -> None:
    sandboxes = Sandboxes()
    first_over = asyncio.Event()

    async def waits(life: Life) -> None:
        await life.invoke({})
        await first_over.wait()
        await sandboxes.opened[0].until(lambda: len(sandboxes.opened[0].environments) == 1)

    def told(result: Result) -> None:
        if result.trial == "short":
            first_over.set()

    results = await run(tmp_path, sandboxes, on_result=told).carry_out([trial(tmp_path, "short"), trial(tmp_path, "long", waits)])
    assert all(result.finished for result in results)


async def test_an_environment_that_cannot_be_started_is_the_machines_problem(tmp_path: Path) -> None:
    sandboxes = Sandboxes()
    carried = run(tmp_path, sandboxes)

    async def breaks(life: Life) -> None:
        sandboxes.opened[0].fails["start"] = "there is no room"
        await life.invoke({})

    (result,) = await carried.carry_out([trial(tmp_path, "a", breaks)])
    assert result.problem is not None
    assert "there is no room" in result.problem
    assert (result.finished, result.failed, result.invocations) == (False, False, [])


async def test_cancelled_it_keeps_what_is_known(tmp_path: Path) -> None:
    sandboxes = Sandboxes()

    class Endless(NoWaiting):
        async def idle(self, plane: ControlPlane, name: str, seconds: float) -> None:
            if name == "endless":
                await asyncio.Event().wait()

    carried = run(tmp_path, sandboxes, gaps=Endless())
    task = asyncio.ensure_future(carried.carry_out([trial(tmp_path, "done", FAILS="2"), trial(tmp_path, "endless")]))  # noqa: TID251 - the test's own
    await until(lambda: len(carried.results) == 2 and carried.results[0].finished and bool(carried.results[1].invocations))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done, endless = carried.results
    assert (done.finished, done.failed, done.environments) == (True, True, 1)
    assert (endless.finished, len(endless.invocations), endless.environments) == (False, 1, 1)
    assert not sandboxes.opened[0].is_open


@pytest.mark.parametrize(("level", "said"), [("network", "the network cannot be frozen"), ("processes", "processes cannot be frozen")])
async def test_a_level_that_the_machine_does_not_allow_is_refused(tmp_path: Path, level: str, said: str) -> None:
    sandboxes = Sandboxes(level=msgspec.structs.replace(LEVEL, freezer="off", network_freezes=False))
    with pytest.raises(SandboxError, match=said):
        await run(tmp_path, sandboxes, level).carry_out([trial(tmp_path, "a")])
    assert not sandboxes.opened[0].is_open


async def test_two_trials_of_one_name_would_share_an_environment(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the same name"):
        await run(tmp_path, Sandboxes()).carry_out([trial(tmp_path, "a"), trial(tmp_path, "a")])


async def test_the_fakes_handler_fails_when_it_is_told_to(tmp_path: Path) -> None:
    (result,) = await run(tmp_path, Sandboxes(handler)).carry_out([trial(tmp_path, "a", in_turn(["fail"], []))])
    assert result.failed
