"""An environment that is kept awake until it sends something, and one that is ready before anybody invokes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from frostline.core.conditions import Conditions
from frostline.core.events import ConnectionTraffic
from frostline.testing.fake_runtime import Process
from frostline.testing.fake_sandbox import FakeSandbox
from frostline.trials.runner import Run
from frostline.trials.trial import Life, Setting
from tests.trials.trying import NoWaiting, Sandboxes, handler, run, trial


def slow_to_freeze(folder: Path, sandboxes: Sandboxes) -> Run:
    setting = Setting(level="processes", freeze_delay_s=60.0)
    return Run(setting, folder / "run.story.jsonl", opener=sandboxes, gaps=NoWaiting())


def sends(sandbox: FakeSandbox, at: float, *, sent: int = 17, kind: str = "ping") -> None:
    (environment,) = sandbox.environments
    fields = {"connection": 1, "at": at, "until": at, "sent": sent, "received": 0, "kind": kind}
    sandbox.report(ConnectionTraffic(environment, **fields))  # type: ignore[arg-type]


async def test_it_is_frozen_when_it_sends_something_of_its_own_accord(tmp_path: Path) -> None:
    sandboxes = Sandboxes()
    said: list[bool] = []

    async def script(life: Life) -> None:
        answered = await life.invoke(1)
        (sandbox,) = sandboxes.opened
        lingering = asyncio.create_task(life.linger(30.0))  # noqa: TID251 - the test's own
        await asyncio.sleep(0)
        for at, sent, kind in ((0.5, 17, "ping"), (5.0, 0, "data"), (5.0, 17, "ping_ack")):
            sends(sandbox, answered.end + at, sent=sent, kind=kind)
        await asyncio.sleep(0)
        assert not lingering.done()
        assert sandbox.called("freeze") == []
        sends(sandbox, answered.end + 5.0)
        said.append(await lingering)
        await sandbox.until_frozen()
        await life.invoke(2)

    (result,) = await slow_to_freeze(tmp_path, sandboxes).carry_out([trial(tmp_path, "a", script)])
    assert (result.finished, result.freezes, said) == (True, 1, [True])


async def test_it_is_frozen_all_the_same_when_it_sends_nothing(tmp_path: Path) -> None:
    sandboxes = Sandboxes()
    said: list[bool] = []

    async def script(life: Life) -> None:
        await life.invoke(1)
        said.append(await life.linger(0.01))
        await sandboxes.opened[0].until_frozen()

    (result,) = await slow_to_freeze(tmp_path, sandboxes).carry_out([trial(tmp_path, "a", script)])
    assert (result.finished, said) == (True, [False])


async def test_it_is_ready_and_frozen_before_its_first_invocation(tmp_path: Path) -> None:
    sandboxes = Sandboxes()

    async def script(life: Life) -> None:
        await life.prepare()
        (sandbox,) = sandboxes.opened
        assert len(sandbox.called("freeze")) == 1
        life.meet(Conditions(latency_s=0.5))
        assert list(sandbox.conditions) == list(sandbox.environments)
        await life.invoke(1)

    (result,) = await run(tmp_path, sandboxes).carry_out([trial(tmp_path, "a", script)])
    assert result.problem is None
    assert (result.finished, result.freezes, len(result.invocations)) == (True, 1, 1)


async def test_one_that_fails_in_its_init_is_not_ready(tmp_path: Path) -> None:
    sandboxes = Sandboxes(handler)

    async def script(life: Life) -> None:
        sandboxes.opened[0].programs["runtime"] = dies
        await life.prepare()

    async def dies(process: Process) -> int:
        return 1

    (result,) = await run(tmp_path, sandboxes).carry_out([trial(tmp_path, "a", script)])
    assert (result.finished, result.problem) == (False, "a could not be initialized before its first invocation")
