"""A demonstration, stage by stage: what is kept of it, and what is left out with a reason."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from frostline.core.conditions import Conditions
from frostline.core.fates import Fates
from frostline.project import Deployment
from frostline.story.reader import Story
from frostline.story.timeline import timeline
from frostline.testing.fake_runtime import Event, Process
from frostline.trials.demonstration import Demonstration, Skipped
from frostline.trials.incident import Cell, Incident, Stage
from frostline.trials.ready import Bundled, NotHere, Progress
from frostline.trials.trial import Level, Life, in_turn
from tests.trials.trying import Sandboxes, deployment, until

HERE = Bundled(folder="here", language="python", handler="app.handler")
MISSING = Bundled(folder="missing", language="go", handler="bootstrap")
BLACK_HOLE = Conditions(fates=Fates(default="blackhole"))


def cell(client: str, variant: str, level: Level = "processes", *, fails: int = 0, **more: object) -> Cell:
    fields = {
        "client": client,
        "variant": variant,
        "level": level,
        "function": HERE,
        "variables": {"FAILS": str(fails)},
        "script": in_turn([{"number": 1}, {"number": 2}], [0.0]),
    }
    return Cell(**{**fields, **more})  # type: ignore[arg-type]


def incident(*stages: Stage) -> Incident:
    return Incident(name="a", title="An incident", text="It happens.", trial="two invocations", upstreams=(), stages=stages)


def stage(*cells: Cell, explained: bool = False) -> Stage:
    return Stage(title="a stage", text="to see", cells=cells, explained=explained)


def demonstration(folder: Path, incident: Incident, sandboxes: Sandboxes, trials: int = 2) -> Demonstration:
    def make_ready(function: Bundled, progress: Progress) -> Deployment:
        if function == MISSING:
            raise NotHere("go is not on PATH")
        progress(f"preparing {function.folder}")
        return deployment(folder)

    made = Demonstration(incident, trials=trials, folder=folder, opener=sandboxes, make_ready=make_ready)
    made.prepare(lambda _: None)
    return made


async def test_what_fails_and_what_does_not(tmp_path: Path) -> None:
    cells = cell("net/http", "incident", fails=2), cell("net/http", "IdleConnTimeout")
    shown = demonstration(tmp_path, incident(stage(*cells)), Sandboxes())
    told: list[str] = []
    outcomes = await shown.carry_out(shown.incident.stages[0], lambda result: told.append(result.trial))
    assert [(one.cell.variant, one.failed, len(one.carried_out)) for one in outcomes] == [("incident", 2, 2), ("IdleConnTimeout", 0, 2)]
    assert sorted(told) == ["net-http-IdleConnTimeout-1", "net-http-IdleConnTimeout-2", "net-http-incident-1", "net-http-incident-2"]
    assert shown.outcomes == outcomes


async def test_cells_of_the_same_setting_run_side_by_side_and_others_apart(tmp_path: Path) -> None:
    sandboxes = Sandboxes()
    cells = cell("a", "x"), cell("b", "x"), cell("a", "x", "off"), cell("a", "y", "off", conditions=BLACK_HOLE)
    shown = demonstration(tmp_path, incident(stage(*cells)), sandboxes)
    outcomes = await shown.carry_out(shown.incident.stages[0])
    assert [(setting.level, setting.conditions) for setting in sandboxes.settings] == [
        ("processes", Conditions()),
        ("off", Conditions()),
        ("off", BLACK_HOLE),
    ]
    assert [len(one.carried_out) for one in outcomes] == [2, 2, 2, 2]


async def test_a_client_whose_language_is_missing_is_left_out(tmp_path: Path) -> None:
    cells = cell("net/http", "incident", function=MISSING), cell("net/http", "cure", function=MISSING), cell("httpx", "incident")
    shown = demonstration(tmp_path, incident(stage(*cells)), Sandboxes())
    assert shown.skipped == [Skipped(client="net/http", why="go is not on PATH")]
    assert [one.cell.client for one in await shown.carry_out(shown.incident.stages[0])] == ["httpx"]


async def test_a_level_that_this_machine_does_not_allow_is_left_out(tmp_path: Path) -> None:
    sandboxes = Sandboxes(refused={"network": "there are no namespaces"})
    both = stage(cell("a", "incident", "network"), cell("a", "incident", "off"))
    shown = demonstration(tmp_path, incident(both, stage(cell("a", "cure", "network"))), sandboxes)
    assert [one.cell.level for one in await shown.carry_out(both)] == ["off"]
    assert shown.skipped == [Skipped(level="network", why="there are no namespaces")]
    assert await shown.carry_out(shown.incident.stages[1]) == []
    assert [one.cell.level for one in shown.outcomes] == ["off"]
    assert [setting.level for setting in sandboxes.settings] == ["network", "off"]


async def test_a_failing_trial_is_explained_by_its_own_story(tmp_path: Path) -> None:
    shown = demonstration(tmp_path, incident(stage(cell("a", "well"), cell("b", "incident", fails=2))), Sandboxes())
    outcomes = await shown.carry_out(shown.incident.stages[0])
    explained = shown.explain(outcomes, tmp_path / "written")
    assert explained is not None
    assert explained.result.trial == "b-incident-1"
    assert explained.story == tmp_path / "written.story.jsonl"
    with Story.open(explained.story) as story:
        assert list(timeline(story.header, story).functions) == ["b-incident-1"]
    page = explained.picture.read_text(encoding="utf-8")
    assert "b-incident-1" in page
    assert "b-incident-2" not in page


async def test_where_nothing_failed_there_is_nothing_to_explain(tmp_path: Path) -> None:
    shown = demonstration(tmp_path, incident(stage(cell("a", "well"))), Sandboxes())
    assert shown.explain(await shown.carry_out(shown.incident.stages[0]), tmp_path / "written") is None
    assert not {path.name for path in tmp_path.iterdir() if path.name.startswith("written")}  # noqa: ASYNC240


async def test_interrupted_it_keeps_what_is_known(tmp_path: Path) -> None:
    waiting: list[str] = []

    async def stuck(process: Process, event: Event) -> bytes:
        if event.json() == "wait":
            waiting.append(process.environment)
            await asyncio.Event().wait()
        return event.payload

    async def waits(life: Life) -> None:
        await life.invoke({})
        await life.invoke("wait")

    shown = demonstration(tmp_path, incident(stage(cell("a", "quick"), cell("b", "slow", script=waits))), Sandboxes(stuck), trials=1)
    ended: list[str] = []
    task = asyncio.ensure_future(  # noqa: TID251 - the test's own
        shown.carry_out(shown.incident.stages[0], lambda result: ended.append(result.trial))
    )
    await until(lambda: bool(waiting) and ended == ["a-quick-1"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(one.cell.variant, len(one.carried_out), len(one.results)) for one in shown.outcomes] == [("quick", 1, 1), ("slow", 0, 1)]
