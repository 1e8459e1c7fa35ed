"""`frostline doctor`: what a person and programs are told, with a fake sandbox under the trials."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from frostline.cli import doctor
from frostline.cli.doctor_view import DoctorView, connects
from frostline.testing.fake_environment import LEVEL
from frostline.testing.fake_runtime import Event, Process
from frostline.trials.doctor.baseline import Refused
from frostline.trials.doctor.checkup import Checkup
from frostline.trials.doctor.plan import Cell, Untried
from frostline.trials.doctor.verdict import verdict
from tests.trials.doctor.examples import destination, finding, healthy, outcome_of
from tests.trials.trying import Sandboxes

from .conftest import Cli


def handler(process: Process, event: Event) -> bytes:
    """Fails as its event says: always, or after a gap."""
    asked = event.json()
    process.env["SEEN"] = seen = process.env.get("SEEN", "") + "."
    name = process.env["AWS_LAMBDA_FUNCTION_NAME"]
    if asked == "fail" or (asked == "fail late" and name.startswith("cell-1") and len(seen) == 3):
        raise ConnectionResetError("connection reset by peer")
    return event.payload


@pytest.fixture
def sandboxes(monkeypatch: pytest.MonkeyPatch) -> Sandboxes:
    """Under the checkups of this module."""
    made = Sandboxes(handler, level=replace(LEVEL, network_freezes=True))
    monkeypatch.setattr(doctor, "Checkup", partial(Checkup, opener=made))
    return made


def arguments(folder: Path, *more: str) -> list[str]:
    return ["doctor", str(folder), "--trials", "1", "--gap", "6", "--gap", "61s", *more]


def test_one_that_survives(cli: Cli, folder: Path, sandboxes: Sandboxes) -> None:
    result = cli(*arguments(folder))
    assert result.exit_code == 0, result.stderr
    assert "colours survives: it opened no connection, and answered after every gap" in result.stdout
    assert "Nothing outside of the lab is reached." in " ".join(result.stderr.split())
    assert "It will be invoked 8 times more, in 2 environments." in result.stderr


def test_one_that_does_not(cli: Cli, folder: Path, sandboxes: Sandboxes) -> None:
    result = cli(*arguments(folder, "--event", '"fail late"'))
    assert result.exit_code == 1
    assert "colours does not survive a freeze: it failed in 1 of 2 cells" in result.stdout
    assert "ConnectionResetError: connection reset by peer" in result.stdout
    assert "After: nothing is lost, for 61s" in result.stdout


def test_one_that_cannot_be_judged(cli: Cli, folder: Path, sandboxes: Sandboxes, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('"fail"')
    result = cli(*arguments(folder, "--event", f"@{tmp_path}/event.json"))
    assert result.exit_code == 2
    assert "could not be judged: it fails without being frozen, always: ConnectionResetError" in result.stdout


def test_reports_for_programs(cli: Cli, folder: Path, sandboxes: Sandboxes, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    files = ["--junit", f"{reports}/junit.xml", "--sarif", f"{reports}/doctor.sarif", "--html", f"{reports}/html"]
    result = cli(*arguments(folder, "--event", '"fail late"', "--json", *files))
    assert result.exit_code == 1
    (told,) = json.loads(result.stdout)["functions"]
    assert told["status"] == "does_not_survive"
    assert ET.parse(reports / "junit.xml").getroot()[0].get("failures") == "1"
    (run,) = json.loads((reports / "doctor.sarif").read_text())["runs"]
    (found,) = run["results"]
    assert found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("colours/bootstrap")
    index = (reports / "html" / "index.html").read_text()
    assert '<a href="colours-all-survive-61s.html">fails</a>' in index
    assert (reports / "html" / "colours-all-survive-61s.html").is_file()


def test_annotations_are_all_that_github_reads(cli: Cli, folder: Path, sandboxes: Sandboxes) -> None:
    result = cli(*arguments(folder, "--event", '"fail late"', "--github"))
    (line,) = result.stdout.splitlines()
    assert line.startswith("::error file=")


TEMPLATE = """
Resources:
  One: {Type: AWS::Serverless::Function, Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: colours}}
  Two: {Type: AWS::Serverless::Function, Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: colours}}
  Old: {Type: AWS::Serverless::Function, Properties: {Runtime: java8, Handler: x, CodeUri: colours}}
"""


def test_functions_of_a_template(cli: Cli, folder: Path, sandboxes: Sandboxes) -> None:
    template = folder.parent / "template.yaml"
    template.write_text(TEMPLATE)
    result = cli(*arguments(template))
    assert result.exit_code == 2, "one of them could not be judged"
    assert "Old is left out: " in result.stderr
    assert result.stdout.splitlines()[-2:] == ["One survives", "Two survives"]
    chosen = cli(*arguments(template, "Two", "--json"))
    assert chosen.exit_code == 0
    assert [function["function"] for function in json.loads(chosen.stdout)["functions"]] == ["Two"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--event", "{"], "the event is not JSON: "),
        (["--event", "@nowhere.json"], "the event nowhere.json cannot be read: No such file or directory"),
        (["--gap", "1000h"], "1000h is longer than any environment lives; gaps of up to 720h are tried."),
        (["--gap", "soon"], "'soon' is not a duration."),
        (["--upstream", "a.local=smtp"], "'smtp' is not a protocol of an upstream."),
        (["Nobody"], "has no function 'Nobody'; it has colours."),
        (["--junit", "/dev/null/x.xml"], "/dev/null/x.xml cannot be written: "),
    ],
)
def test_bad_arguments_are_said_before_anything_is_done(cli: Cli, folder: Path, sandboxes: Sandboxes, more: list[str], said: str) -> None:
    result = cli(*arguments(folder, *more))
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")
    assert sandboxes.opened == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("api.example.com:443: http1,tls,idle=20\nredis.local: host:6379\n", ""),
        ("upstreams:\n  api.example.com:443: {protocol: http1, tls: true, h2: false, idle: 20}\n  redis.local: host:6379\n", ""),
        ("services: {a: {image: x}}\n", "does not hold upstreams"),
        ("upstreams:\n", "does not hold upstreams"),
        ("", "does not hold upstreams"),
        ("- api.example.com\n", "does not hold upstreams. Write one a line"),
        ("api.example.com: 5\n", "does not hold upstreams"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_stand_ins_of_a_file(cli: Cli, folder: Path, sandboxes: Sandboxes, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text(content)
    result = cli(*arguments(folder, "--upstreams", str(file)))
    if said:
        assert result.exit_code == 2
        assert said in result.stderr
    else:
        api, redis = sandboxes.settings[0].upstreams
        assert (api.name, api.tls, api.idle_s, redis.name) == ("api.example.com:443", True, 20.0, "redis.local:6379")
        assert "The stand-in redis.local:6379 was not used" in result.stdout


def test_a_machine_that_cannot_freeze_judges_nothing(cli: Cli, folder: Path, sandboxes: Sandboxes) -> None:
    sandboxes.refused["network"] = "unprivileged user namespaces are turned off"
    result = cli(*arguments(folder))
    assert result.exit_code == 2
    assert "frostline: unprivileged user namespaces are turned off" in result.stderr


# The view --------------------------------------------------------------------------------------------------------------------------------


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    """A verdict with everything in it."""
    redis = "redis.local:6379"
    lost = Cell(destination=redis, happening="lost", gap_s=351.0)
    outcomes = [
        outcome_of(Cell(destination=None, happening="survive", gap_s=1.0)),
        outcome_of(lost, failed=2, findings=(finding(),)),
        outcome_of(Cell(destination=None, happening="survive", gap_s=6.0, moment="lingering"), failed=1, error="KeyError: \x1b[31m'id'"),
    ]
    said = verdict(
        "orders",
        healthy(
            destination(redis, clients=("redis-py",)), refused=(Refused(name="a.example.com:443", reason="it is outside", outside=True),)
        ),
        outcomes,
        [Untried(what="gaps of 40m", why="its clocks cannot be moved")],
        invocations=20,
        took_s=12.0,
    )
    view = DoctorView()
    monkeypatch.setattr(view._out, "_width", columns)
    view.verdict(said)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_verdict_fits_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = shown(capsys, monkeypatch, columns)
    assert max(map(len, lines)) <= columns
    assert "…" not in "".join(lines)
    text = "\n".join(lines)
    for part in (
        "orders does not survive a freeze: it failed in 2 of 3 cells",
        "It connects to redis.local:6379 (Redis, redis-py, kept open).",
        "the server closes, FIN is lost",
        "kept awake, then with a ping on its way, for 6s",
        "1. stale-connection-reused (failure)",
        "+1 min 00 s  it was written to",
        "Cure, redis-py: health_check_interval=1",
        "KeyError: ␛[31m'id'",
        "gaps of 40m: its clocks cannot be moved",
        "--upstream a.example.com:443=http1,tls",
        "20 invocations in 12.0 s",
    ):
        assert part in (text if part in text else " ".join(text.split())), part


def test_whom_it_connects_to() -> None:
    assert connects([]) == "It opened no connection."
