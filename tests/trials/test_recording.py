"""The story of a run: what it says of each trial, and one trial's story by itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from frostline.core.effects import Effect
from frostline.core.events import Event
from frostline.core.function import Function
from frostline.diagnose.finding import Finding
from frostline.story.reader import Story
from frostline.story.records import Line
from frostline.story.timeline import Timeline, timeline
from frostline.trials import recording
from frostline.trials.recording import add_findings, concerning, extract
from frostline.trials.trial import Result
from tests.trials.trying import Sandboxes, run, trial


async def recorded(folder: Path) -> Path:
    """The story of a run of three trials, two invocations each."""
    await run(folder, Sandboxes()).carry_out([trial(folder, name, FAILS="2") for name in ("a", "b", "c")])
    return folder / "run.story.jsonl"


def read(story: Path) -> Timeline:
    with Story.open(story) as opened:
        return timeline(opened.header, opened)


def lines(story: Path) -> list[Line]:
    with Story.open(story) as opened:
        return list(opened)


def said(line: Line) -> Event | Effect:
    thing = line.event if line.event is not None else line.effect
    assert thing is not None
    return thing


def named(chosen: Iterable[Line], field: str) -> set[str]:
    values = (getattr(said(line), field, None) for line in chosen)
    return {value.name if isinstance(value, Function) else str(value) for value in values if value is not None}


async def test_a_trials_own_story_tells_of_nobody_else(tmp_path: Path) -> None:
    story = await recorded(tmp_path)
    extract(story, {"b"}, tmp_path / "b.story.jsonl")
    whole, own = read(story), read(tmp_path / "b.story.jsonl")
    assert [life.function for life in own.environments.values()] == ["b"]
    assert list(own.functions) == ["b"]
    (life,) = own.environments.values()
    assert [one.request_id for one in life.invocations] == [one.request_id for one in whole.environments[life.id].invocations]
    assert len(life.invocations) == 2
    assert [(one.outcome, one.error_type) for one in life.invocations] == [("succeeded", None), ("failed", "ConnectionResetError")]
    assert life.phases == whole.environments[life.id].phases
    assert [log.text for log in own.logs] == [log.text for log in whole.logs if log.environment == life.id]


async def test_the_header_stays_and_so_does_every_line_as_it_was(tmp_path: Path) -> None:
    story = await recorded(tmp_path)
    extract(story, {"a", "b", "c"}, tmp_path / "all.story.jsonl")
    before, after = story.read_bytes().splitlines(), (tmp_path / "all.story.jsonl").read_bytes().splitlines()
    assert after[0] == before[0]
    assert len(after) > 30
    assert set(after) <= set(before)


async def test_each_line_belongs_to_one_of_the_trials_or_to_none(tmp_path: Path) -> None:
    everything = lines(await recorded(tmp_path))
    parts = {name: list(concerning(everything, {name})) for name in ("a", "b", "c")}
    chosen = [line.seq for part in parts.values() for line in part]
    assert len(chosen) == len(set(chosen))
    for name, part in parts.items():
        assert named(part, "function") == {name}
        assert len(named(part, "environment")) == 1
        assert len(named(part, "request_id")) == 2
    left = [said(line) for line in everything if line.seq not in chosen]
    assert [thing for thing in left if any(getattr(thing, field, None) for field in ("function", "environment", "request_id"))] == []


async def test_findings_go_to_the_trial_that_they_speak_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = await recorded(tmp_path)
    told = read(story)

    def findings(_: Timeline) -> list[Finding]:
        return [
            Finding(
                rule="stale-connection-reused",
                severity="failure",
                claim=f"it happened to {life.function}",
                function=life.function,
                environment=life.id,
                at=life.ended,
                requests=tuple(one.request_id for one in life.invocations),
                proof=(),
                cures=(),
            )
            for life in told.environments.values()
            if life.function != "c"
        ]

    results = {name: Result(trial=name) for name in ("a", "b", "c")}
    monkeypatch.setattr(recording, "findings", findings)
    add_findings(story, results)
    assert {name: [finding.claim for finding in result.findings] for name, result in results.items()} == {
        "a": ["it happened to a"],
        "b": ["it happened to b"],
        "c": [],
    }
