"""A checkup from its question to its verdict, on a fake sandbox: functions without connections."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from frostline.sandbox.port import SandboxError
from frostline.sandbox.router.policy import OUTSIDE
from frostline.story.reader import Story
from frostline.story.timeline import timeline
from frostline.testing.fake_environment import LEVEL
from frostline.testing.fake_runtime import Event, Handler, Process
from frostline.trials.doctor.baseline import Baseline
from frostline.trials.doctor.checkup import FIRST_INVOCATIONS, Checkup, Question
from frostline.trials.doctor.plan import GAPS_S, Plan
from frostline.trials.doctor.verdict import Verdict
from tests.trials.trying import Sandboxes, deployment, until

FREEZES = replace(LEVEL, network_freezes=True)


def well(process: Process, event: Event) -> bytes:
    return event.payload


class Made:
    """A checkup, and what it told."""

    def __init__(self, folder: Path, handle: Handler = well, *, warps: bool = True, **question: object) -> None:
        self.sandboxes = Sandboxes(handle, level=replace(FREEZES, warps=warps))
        self.planned: list[tuple[Baseline, Plan]] = []
        self.ended = 0
        self.notes: list[str] = []
        asked = Question(deployment=deployment(folder), trials=1, **question)  # type: ignore[arg-type]
        self.checkup = Checkup(
            asked,
            folder,
            on_plan=lambda found, made: self.planned.append((found, made)),
            on_result=self._ended,
            note=self.notes.append,
            opener=self.sandboxes,
        )

    def _ended(self, _: object) -> None:
        self.ended += 1

    async def verdict(self) -> Verdict:
        await self.checkup.carry_out()
        said = self.checkup.verdict()
        assert said is not None
        return said


async def test_a_function_that_survives(tmp_path: Path) -> None:
    made = Made(tmp_path)
    said = await made.verdict()
    assert (said.status, said.reason) == ("survives", "it opened no connection, and answered after every gap")
    assert [one.cell.gap_s for one in said.outcomes] == list(GAPS_S)
    assert said.invocations == FIRST_INVOCATIONS + made.planned[0][1].invocations
    assert made.ended == len(GAPS_S)
    assert [setting.reach_network for setting in made.sandboxes.settings] == [False] * 3


async def test_a_function_that_is_ill_gets_no_trials(tmp_path: Path) -> None:
    def fails(process: Process, event: Event) -> bytes:
        raise KeyError("orderId")

    made = Made(tmp_path, fails)
    said = await made.verdict()
    assert said.status == "not_judged"
    assert said.reason.startswith("it fails without being frozen, always: KeyError")
    assert (made.planned, said.outcomes) == ([], ())


async def test_where_clocks_stand_still_short_gaps_are_waited_for(tmp_path: Path) -> None:
    said = await Made(tmp_path, warps=False, gaps=(0.05, 61.0)).verdict()
    assert [one.cell.gap_s for one in said.outcomes] == [0.05]
    (untried,) = said.untried
    assert untried.what == "gaps of 61s"
    assert untried.why.startswith("its clocks cannot be moved (")


async def test_waiting_in_earnest_moves_no_clock(tmp_path: Path) -> None:
    made = Made(tmp_path, real=True, gaps=(0.05,))
    said = await made.verdict()
    assert said.status == "survives"
    assert not any(setting.warp for setting in made.sandboxes.settings)


async def test_a_failure_after_a_gap_has_its_story(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def fails_late(process: Process, event: Event) -> bytes:
        name = process.env["AWS_LAMBDA_FUNCTION_NAME"]
        seen[name] = seen.get(name, 0) + 1
        if name.startswith("cell-0") and seen[name] == 3:
            raise RuntimeError("the clock jumped")
        return event.payload

    made = Made(tmp_path, fails_late, gaps=(6.0, 61.0))
    said = await made.verdict()
    assert [one.failed for one in said.outcomes] == [1, 0]
    assert [one.error for one in said.unexplained] == ["RuntimeError: the clock jumped"]
    story = tmp_path / "one.story.jsonl"
    made.checkup.write_story(said.outcomes[0], story)
    with Story.open(story) as opened:
        told = timeline(opened.header, opened)
    assert [one.failed for one in told.invocations.values()] == [False, False, True, False]


@pytest.mark.parametrize(("slow", "status", "failed"), [("machine", "survives", 0), ("function", "does_not_survive", 1)])
async def test_what_ran_out_of_time_is_tried_again_by_itself(tmp_path: Path, slow: str, status: str, failed: int) -> None:
    seen: dict[str, int] = {}

    def times_out(process: Process, event: Event) -> bytes:
        name = process.env["AWS_LAMBDA_FUNCTION_NAME"]
        seen[name] = seen.get(name, 0) + 1
        looks = ("cell-0-",) if slow == "machine" else ("cell-0-", "again-0-")
        if name.startswith(looks) and seen[name] == 3:
            raise TimeoutError("timed out")
        return event.payload

    made = Made(tmp_path, times_out, gaps=(6.0, 61.0))
    said = await made.verdict()
    assert (said.status, said.outcomes[0].failed, said.outcomes[0].again, said.outcomes[1].again) == (status, failed, True, False)
    assert made.ended == 2  # what was planned
    assert made.notes == ["any ran out of time in 1 of 2 cells. These are tried again by themselves."]
    if slow == "machine":
        assert said.reason == "it opened no connection, and answered after every gap, in 1 of 2 cells only when tried again by itself"
    else:
        made.checkup.write_story(said.outcomes[0], tmp_path / "one.story.jsonl")


async def test_an_interruption_leaves_what_is_known(tmp_path: Path) -> None:
    made = Made(tmp_path, real=True, gaps=(0.01, 30.0))
    working = asyncio.create_task(made.checkup.carry_out())  # noqa: TID251 - the test's own
    await until(lambda: made.ended == 1)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    said = made.checkup.verdict(interrupted=True)
    assert said is not None
    assert [one.known for one in said.outcomes] == [True, False]
    assert [(one.what, one.why) for one in said.untried] == [("1 of 2 cells", "it was interrupted")]


async def test_before_the_baseline_nothing_is_known(tmp_path: Path) -> None:
    assert Made(tmp_path).checkup.verdict() is None


async def test_a_machine_that_cannot_freeze_the_network_says_so(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.sandboxes.level = LEVEL
    with pytest.raises(SandboxError, match="the network cannot be frozen"):
        await made.checkup.carry_out()


async def test_notes_name_the_function_once_and_leave_refusals_to_the_verdict(tmp_path: Path) -> None:
    def speaks(process: Process, event: Event) -> bytes:
        for sandbox in made.sandboxes.opened:
            if sandbox.is_open:
                for environment in sandbox.environments:
                    sandbox.on_note(environment, "something is odd")
                    sandbox.on_note(environment, f"a connection was refused: {OUTSIDE}")
        return event.payload

    made = Made(tmp_path, speaks, gaps=(6.0,))
    await made.verdict()
    assert made.notes == ["any: something is odd"]
