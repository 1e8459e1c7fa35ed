"""The incidents, with the real client libraries: what fails on a network that froze, what its story says, and what cures it.

Few trials: that it is 30 of 30 is measured by hand, `frostline demo pool --trials 30 --json`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from frostline.project import default_cache
from frostline.story.reader import Story
from frostline.story.timeline import timeline
from frostline.trials.demonstration import Demonstration
from frostline.trials.incident import Outcome
from frostline.trials.incidents import INCIDENTS
from frostline.trials.incidents.keepalive import AFFECTED
from frostline.trials.ready import NotHere, ready

from .running import FROSTLINE, LIMIT_S, cgroups, files, surroundings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

TRIALS = 2


@pytest.fixture(scope="module")
def missing() -> set[str]:
    """The clients whose language this machine has not got. The others' packages are in the user's cache from here on."""
    found = set()
    for cell in (cell for incident in INCIDENTS.values() for stage in incident.stages for cell in stage.cells):
        try:
            ready(cell.function)
        except NotHere as error:
            if "is not on PATH" not in str(error):
                raise
            found.add(cell.client)
    return found


@pytest.fixture
def environment(missing: set[str], tmp_path: Path) -> dict[str, str]:
    """What Frostline is started with; bundled functions are those of the user's cache."""
    made = surroundings(tmp_path / "home")
    (tmp_path / "home" / "cache" / "frostline" / "incidents").symlink_to(default_cache() / "incidents")
    return made


def test_pool_fails_where_the_network_froze_and_nowhere_else_but_by_a_race(
    environment: dict[str, str], missing: set[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [*FROSTLINE, "demo", "pool", "--trials", str(TRIALS), "--json"],
        capture_output=True,
        env=environment,
        cwd=tmp_path,
        timeout=4 * LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer = json.loads(done.stdout)
    assert {one["client"] for one in answer["skipped"]} == missing & {"net/http"}
    cells = {(one["client"], one["variant"], one["level"]): one for one in answer["cells"]}
    assert len(cells) == (18 if not answer["skipped"] else 13)
    assert {one["trials"] for one in cells.values()} == {TRIALS}
    for (client, variant, level), cell in cells.items():
        if variant == "incident" and level == "network":
            assert cell["failed"] == TRIALS, cell
            assert both_ends(cell) == TRIALS
        elif (client, level) != ("net/http", "processes"):  # there Go races with the FIN
            assert (cell["failed"], cell["errors"]) == (0, []), cell
    check_written(answer, tmp_path)


def both_ends(cell: dict[str, Any]) -> int:
    """How many findings of a stale connection name two requests, each pair once."""
    pairs = {tuple(one["requests"]) for one in cell["findings"] if one["rule"] == "stale-connection-reused"}
    assert all(len(set(pair)) == 2 for pair in pairs), pairs
    return len(pairs)


def check_written(answer: dict[str, Any], folder: Path) -> None:
    """The story tells of one failing trial, and its page names the two requests."""
    assert (answer["story"], answer["picture"]) == ("frostline-demo-pool.story.jsonl", "frostline-demo-pool.html")
    with Story.open(folder / answer["story"]) as story:
        told = timeline(story.header, story)
    assert [one.outcome for one in told.invocations.values()] == ["succeeded", "failed"]
    first, second = told.invocations
    page = (folder / answer["picture"]).read_text(encoding="utf-8")
    assert first in page
    assert second in page


async def test_a_stranded_ping_fails_the_next_request_and_each_cure_holds(missing: set[str], tmp_path: Path) -> None:
    """The first two stages of `keepalive`, and the levels, in as few runs as can be: a trial takes eight seconds."""
    if f"grpc-js {AFFECTED}" in missing:
        pytest.skip("there is no Node.js with npm here")
    incident = INCIDENTS["keepalive"]
    failing, cures, levels, _ = incident.stages
    together = msgspec.structs.replace(failing, cells=(*failing.cells, *cures.cells, levels.cells[0]))
    shown = Demonstration(incident, trials=TRIALS, folder=tmp_path)
    shown.prepare(lambda _: None)
    outcomes = await shown.carry_out(together)
    assert [(one.cell.client, one.cell.variant, one.cell.level) for one in outcomes[:1]] == [(f"grpc-js {AFFECTED}", "incident", "network")]
    assert [len(one.carried_out) for one in outcomes] == [TRIALS] * 5
    stranded, *cured, processes = outcomes
    for outcome in (stranded, processes):
        assert outcome.failed == TRIALS
        assert all("DEADLINE_EXCEEDED" in error for error in outcome.errors)
        check_stranded(outcome)
    assert [(one.cell.variant, one.errors) for one in cured] == [
        ("keepalive off", []),
        ("upgrade", []),
        ("upgrade, keepalive off", []),
    ]


def check_stranded(outcome: Outcome) -> None:
    """The PING was sent in the second invocation and timed out in the third."""
    for result in outcome.results:
        (finding,) = [finding for finding in result.findings if finding.rule == "keepalive-stranded"]
        assert list(finding.requests) == [invoked.request_id for invoked in result.invocations[1:]]


def test_interrupted_it_says_what_is_known_and_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*FROSTLINE, "demo", "pool", "--trials", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.decode())
        if "aiohttp has its default of 15 s." in said[-1]:
            break
    end = time.monotonic() + LIMIT_S
    while not (runs := list((tmp_path / "home" / "tmp").glob("frostline-*/run-*"))):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, errors.decode()
    assert "Traceback" not in errors.decode()
    assert "Failed trials, by what stood still in the gaps" in rest.decode()
    assert [left for run in runs for left in cgroups(run.name.removeprefix("run-"))] == []
    assert files(tmp_path / "home") == []
    assert list(tmp_path.rglob("frostline-demo*")) == []
