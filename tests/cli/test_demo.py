"""`frostline demo`: what a person and a program are told, with a fake sandbox under the trials."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from frostline.cli import demo_run
from frostline.cli.demo import INCIDENTS
from frostline.core.upstream import parse
from frostline.project import Deployment, ProjectError
from frostline.trials import incidents
from frostline.trials.demonstration import Demonstration
from frostline.trials.incident import Cell, Incident, Stage
from frostline.trials.ready import Bundled, NotHere, Progress
from frostline.trials.trial import Level, in_turn
from tests.trials.trying import Sandboxes, deployment

from .conftest import Cli

HERE = Bundled(folder="here", language="python", handler="app.handler")
MISSING = Bundled(folder="missing", language="go", handler="bootstrap")


def cell(client: str, variant: str, level: Level = "processes", fails: int = 0, function: Bundled = HERE) -> Cell:
    return Cell(
        client=client,
        variant=variant,
        level=level,
        function=function,
        variables={"FAILS": str(fails)},
        script=in_turn([{"number": 1}, {"number": 2}], [0.0]),
    )


POOL = Incident(
    name="pool",
    title="A connection dies",
    text="Nobody tells the function.",
    trial="two POSTs",
    upstreams=(),
    stages=(
        Stage(title="The incident", text="It fails.", cells=(cell("httpx", "incident", fails=2),), explained=True),
        Stage(title="The cure", text="It does not.", cells=(cell("httpx", "keepalive_expiry"), cell("net/http", "cure", function=MISSING))),
        Stage(title="Why", text="Compare.", cells=(cell("httpx", "incident", "off"),), compared=True),
    ),
)


@pytest.fixture
def sandboxes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandboxes:
    """Under the demonstrations of this module: their incident is a small one, and one of its functions is missing."""
    made = Sandboxes()

    def make_ready(function: Bundled, progress: Progress) -> Deployment:
        if function == MISSING:
            raise NotHere("go is not on PATH")
        progress("Fetching packages (once)")
        return deployment(tmp_path)

    monkeypatch.setattr(demo_run, "INCIDENTS", {"pool": POOL})
    monkeypatch.setattr(demo_run, "Demonstration", partial(Demonstration, opener=made, make_ready=make_ready))
    return made


def test_the_commands_incidents_are_those_that_there_are() -> None:
    assert list(INCIDENTS) == list(incidents.INCIDENTS)


def test_a_person_sees_the_failure_its_story_the_cure_and_the_comparison(cli: Cli, sandboxes: Sandboxes, tmp_path: Path) -> None:
    done = cli("demo", "pool", "-n", "3", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "A connection dies"
    assert "httpx incident 3 of 3 ConnectionResetError: connection reset by peer" in lines
    assert "httpx keepalive_expiry 0 of 3" in lines
    assert lines.index("The incident") < lines.index("The cure") < lines.index("Why") < lines.index("client variant off processes network")
    assert "httpx incident 0 of 3 3 of 3" in lines
    assert any("httpx-incident-1: 2 invocations in 1 environment, 1 failed" in line for line in lines)
    assert "Left out: net/http, because go is not on PATH" in lines
    assert str(tmp_path / "out" / "frostline-demo-pool.html") in done.stdout
    assert "Fetching packages (once)" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frostline-demo-pool.html", "frostline-demo-pool.story.jsonl"]


def test_without_a_terminal_nothing_is_coloured(cli: Cli, sandboxes: Sandboxes, tmp_path: Path) -> None:
    done = cli("demo", "pool", "-n", "1", "-o", str(tmp_path))
    assert "\x1b" not in done.stdout + done.stderr


def test_a_program_gets_one_object(cli: Cli, sandboxes: Sandboxes, tmp_path: Path) -> None:
    done = cli("demo", "pool", "--trials", "2", "--json", "--output", str(tmp_path))
    assert done.exit_code == 0
    answer: dict[str, Any] = json.loads(done.stdout)
    assert [(one["client"], one["variant"], one["level"], one["trials"], one["failed"]) for one in answer["cells"]] == [
        ("httpx", "incident", "processes", 2, 2),
        ("httpx", "keepalive_expiry", "processes", 2, 0),
        ("httpx", "incident", "off", 2, 0),
    ]
    assert answer["incident"] == "pool"
    assert answer["skipped"] == [{"client": "net/http", "why": "go is not on PATH"}]
    assert answer["interrupted"] is False
    assert Path(answer["picture"]).is_file()
    assert Path(answer["story"]).is_file()


def test_interrupted_while_functions_are_made_ready_a_program_still_gets_its_object(
    cli: Cli, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c(function: Bundled, progress: Progress) -> Deployment:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_run, "Demonstration", partial(Demonstration, opener=sandboxes, make_ready=ctrl_c))
    done = cli("demo", "pool", "--json", "-o", str(tmp_path))
    assert done.exit_code == 130
    answer = json.loads(done.stdout)
    assert (answer["cells"], answer["interrupted"]) == ([], True)
    assert cli("demo", "pool", "-o", str(tmp_path)).stdout == ""


def test_a_level_that_is_refused_is_named_and_the_others_are_tried(cli: Cli, sandboxes: Sandboxes, tmp_path: Path) -> None:
    sandboxes.refused["processes"] = "there is no freezer"
    done = cli("demo", "pool", "-n", "1", "-o", str(tmp_path))
    assert done.exit_code == 0
    assert "Left out: everything with --freeze processes, because there is no freezer" in done.stdout
    assert "httpx incident 0 of 1" in " ".join(done.stdout.split())


def test_where_nothing_can_be_tried_it_says_why(cli: Cli, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only = Stage(title="The incident", text="", cells=(cell("net/http", "incident", function=MISSING),))
    monkeypatch.setattr(demo_run, "INCIDENTS", {"pool": Incident(name="pool", title="", text="", trial="", upstreams=(), stages=(only,))})
    done = cli("demo", "pool", "-o", str(tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "frostline: nothing of this can be tried here.\n  net/http: go is not on PATH\n"


def test_where_no_level_is_allowed_it_says_why(cli: Cli, sandboxes: Sandboxes, tmp_path: Path) -> None:
    sandboxes.refused = {"processes": "there is no freezer", "off": "there are no namespaces"}
    done = cli("demo", "pool", "-o", str(tmp_path), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["cells"] == []
    assert (
        "nothing of this could be tried here.\n  --freeze processes: there is no freezer\n  --freeze off: there are no namespaces\n"
        in done.stderr
    )


def test_packages_that_its_servers_need_are_named(cli: Cli, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    incident = Incident(name="pool", title="", text="", trial="", upstreams=parse(["cache.local:50051=grpc"]), stages=POOL.stages)
    monkeypatch.setattr(demo_run, "INCIDENTS", {"pool": incident})
    done = cli("demo", "pool", "-o", str(tmp_path))
    assert done.exit_code == 1
    assert "pip install 'frostline[upstreams]'" in done.stderr


def test_a_cache_that_cannot_be_written_is_one_line(
    cli: Cli, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_ready(function: Bundled, progress: Progress) -> Deployment:
        raise ProjectError("/cache: cannot be made (Read-only file system).")

    monkeypatch.setattr(demo_run, "Demonstration", partial(Demonstration, opener=sandboxes, make_ready=make_ready))
    done = cli("demo", "pool", "-o", str(tmp_path))
    assert (done.exit_code, done.stderr) == (1, "frostline: /cache: cannot be made (Read-only file system).\n")


def test_a_folder_that_cannot_be_written_is_named(cli: Cli, sandboxes: Sandboxes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("demo", "pool", "-o", str(tmp_path / "file" / "out"))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"frostline: the folder {tmp_path / 'file' / 'out'} cannot be made:")
    (tmp_path / "out" / "frostline-demo-pool.html").mkdir(parents=True)
    done = cli("demo", "pool", "-n", "1", "-o", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert f"{tmp_path / 'out' / 'frostline-demo-pool.html'} cannot be written: Is a directory. Say where to with --output." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"), [(["nothing"], "'nothing' is not one of 'pool', 'keepalive'"), (["pool", "-n", "0"], "0 is not in the range")]
)
def test_what_there_is_not_is_refused(cli: Cli, arguments: list[str], said: str) -> None:
    done = cli("demo", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
