"""`frostline story`: what is printed and written, what can be chosen, and what is said of a file that is not as it should be."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from frostline.cli.story import ASCII
from tests.cli.conftest import Cli
from tests.render import stories

SECTION = b"\x0a\x0d\x0d\x0a"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(stories.keepalive().write(tmp_path / "run.story.jsonl"))


def test_the_finding_is_told_before_the_timeline(cli: Cli, file: str) -> None:
    result = cli("story", file, env={"COLUMNS": "110"})
    assert result.exit_code == 0
    said = result.stdout
    assert said.startswith("checkout: 3 invocations in 1 environment, 1 failed\n")
    assert stories.K2 in said and stories.K3 in said
    assert said.index("failure") < said.index("cure") < said.index("a41c7d")
    assert "failed: Error: 4 DEADLINE_EXCEEDED: Deadline exceeded" in said
    assert "\x1b" not in said


def test_a_healthy_story_has_no_finding(cli: Cli, tmp_path: Path) -> None:
    result = cli("story", str(stories.crowd(40, 1, 1).write(tmp_path / "healthy")))
    assert result.stdout.startswith("search: 40 invocations in 1 environment, none failed\n")
    assert "cure" not in result.stdout


def test_the_width_is_the_terminals(cli: Cli, file: str) -> None:
    for width in (70, 150):
        lines = cli("story", file, env={"COLUMNS": str(width)}).stdout.split("\n")
        assert width - 30 < max(map(len, lines)) <= width


def test_pictures_are_written_and_named(cli: Cli, file: str, tmp_path: Path) -> None:
    out = {kind: tmp_path / f"out.{kind}" for kind in ("svg", "html", "pcapng")}
    result = cli("story", file, "--svg", str(out["svg"]), "--html", str(out["html"]), "--pcapng", str(out["pcapng"]), "--json")
    assert result.exit_code == 0
    assert ET.fromstring(out["svg"].read_text()).tag.endswith("svg")
    assert out["html"].read_text().startswith("<!doctype html>")
    assert out["pcapng"].read_bytes().startswith(SECTION)
    assert [one["number"] for one in json.loads(result.stdout)["invocations"]] == [1, 2, 3]
    assert all(f"wrote {path}" in result.stderr for path in out.values())


def test_standard_output_is_a_place_too(cli: Cli, file: str) -> None:
    assert ET.fromstring(cli("story", file, "--svg", "-").stdout).tag.endswith("svg")
    assert cli("story", file, "--html", "-").stdout.startswith("<!doctype html>")
    assert cli("story", file, "--pcapng", "-").stdout_bytes.startswith(SECTION)


def test_two_outputs_do_not_share_it(cli: Cli, file: str) -> None:
    result = cli("story", file, "--svg", "-", "--json")
    assert result.exit_code == 2
    assert "--svg and --json would both write to standard output" in result.stderr
    assert result.stdout == ""


def test_the_recording_is_never_written_over(cli: Cli, file: str, tmp_path: Path) -> None:
    before = Path(file).read_bytes()
    link = tmp_path / "link"
    link.symlink_to(file)
    for out in (file, str(link)):
        result = cli("story", file, "--html", out)
        assert result.exit_code == 2 and "would write over the story itself" in result.stderr
    assert Path(file).read_bytes() == before


@pytest.mark.parametrize("wanted", [stories.K3, "3ad2f6c8", "3AD2", "3", "#3"])
def test_a_request_is_shown_with_what_led_to_it(cli: Cli, file: str, wanted: str) -> None:
    result = cli("story", file, "--request", wanted, "--json")
    shown = json.loads(result.stdout)
    assert [one["request_id"] for one in shown["invocations"]] == [stories.K2, stories.K3]
    assert shown["findings"][0]["requests"] == [stories.K2, stories.K3]


def test_one_environment_of_many(cli: Cli, tmp_path: Path) -> None:
    path = str(stories.crowd(60, 3, 6).write(tmp_path / "crowd"))
    shown = json.loads(cli("story", path, "-e", "0101", "--json").stdout)
    assert [one["id"] for one in shown["environments"]] == ["01" * 16]
    assert {one["environment"] for one in shown["invocations"] + shown["connections"]} == {"01" * 16}
    both = json.loads(cli("story", path, "-e", "0101", "-e", "02", "--json").stdout)
    assert len(both["environments"]) == 2


def test_a_stretch_of_time(cli: Cli, file: str) -> None:
    shown = json.loads(cli("story", file, "--around", "9s", "--within", "500ms", "--json").stdout)
    assert [one["number"] for one in shown["invocations"]] == [2]
    assert shown["header"]["end"] - shown["header"]["begin"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--request", "zz"), "the story has no invocation 'zz'; it has 3 invocations: 1f3c9e20"),
        (("--request", "4"), "the story has no invocation '4'"),
        (("--environment", "b"), "the story has no environment 'b'; it has 1 environment: a41c7d"),
        (("--around", "1m"), "the story is 14.104 s long, so nothing is around 60 s."),
    ],
)
def test_what_is_not_there_is_said_with_what_is(cli: Cli, file: str, options: tuple[str, ...], says: str) -> None:
    result = cli("story", file, *options)
    assert result.exit_code == 1
    assert says in result.stderr


def test_an_unclear_id_is_asked_for_again(cli: Cli, tmp_path: Path) -> None:
    path = str(stories.crowd(60, 3, 6).write(tmp_path / "crowd"))
    result = cli("story", path, "--request", "0000")
    assert result.exit_code == 1
    assert "60 invocations begin with '0000'" in result.stderr and result.stderr.endswith("Give more of the id.\n")


def test_a_story_that_was_cut_off_is_shown_as_far_as_it_goes(cli: Cli, tmp_path: Path) -> None:
    result = cli("story", str(stories.keepalive().write(tmp_path / "cut", cut=900)))
    assert result.exit_code == 0
    assert "The recording was cut off in the middle" in result.stdout
    assert "3ad2f6c8" in result.stdout


def test_a_line_that_is_damaged_ends_the_story_there(cli: Cli, tmp_path: Path) -> None:
    lines = stories.keepalive().recorded().splitlines(keepends=True)
    path = tmp_path / "damaged"
    path.write_bytes(b"".join([*lines[:60], b'{"seq": "x"}\n', *lines[60:]]))
    result = cli("story", str(path))
    assert result.exit_code == 0
    assert "line 61: not a line of a story" in result.stderr and result.stderr.endswith("What comes before it is shown.\n")
    assert "cut off in the middle" in result.stdout


def test_a_story_in_which_nothing_happened(cli: Cli, tmp_path: Path) -> None:
    path = str(stories.Teller().write(tmp_path / "empty"))
    assert cli("story", path).stdout.startswith("Nothing happened in this story\n")
    for option in ("--svg", "--html", "--pcapng"):
        assert cli("story", path, option, "-").exit_code == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not a Frostline story"),
        (b"\x89PNG\r\n", "is not a Frostline story"),
        (b'{"story":"frostline","schema":99,"version":"9","started_at":1,"level":{}}\n', "schema 99 (Frostline 9)"),
    ],
)
def test_what_is_no_story_is_refused_with_the_reason(cli: Cli, tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = cli("story", str(path), "--html", str(tmp_path / "out.html"))
    assert result.exit_code == 1
    assert says in result.stderr and str(path) in result.stderr
    assert not (tmp_path / "out.html").exists()


def test_a_file_that_cannot_be_read_or_written_is_named_with_the_reason(cli: Cli, file: str, tmp_path: Path) -> None:
    missing = cli("story", str(tmp_path / "nothing"))
    assert missing.exit_code == 1 and "cannot be opened: No such file or directory" in missing.stderr
    folder = cli("story", str(tmp_path))
    assert folder.exit_code == 1 and "it is a folder" in folder.stderr
    out = str(tmp_path / "nowhere" / "out.svg")
    written = cli("story", file, "--svg", out)
    assert written.exit_code == 1 and f"{out} cannot be written: No such file or directory" in written.stderr


def test_a_story_can_come_through_a_pipe(cli: Cli) -> None:
    result = cli("story", "-", stdin=stories.pool().recorded())
    assert result.stdout.startswith("orders: 3 invocations")
    assert cli("story", "-", stdin=b"nothing of the kind\n").stderr.startswith("frostline: standard input is not a Frostline story")


def test_a_terminal_without_unicode_gets_other_signs(cli: Cli, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(code < 128 for code in ASCII.values())
    monkeypatch.setattr("frostline.cli.story.output_encoding", lambda: "ascii")
    said = cli("story", file).stdout
    assert said.isascii()
    assert "=" in said and "#" in said and "P" in said


def test_its_help_names_every_option(cli: Cli) -> None:
    said = cli("story", "--help").stdout
    for option in ("--svg", "--html", "--pcapng", "--json", "--environment", "--request", "--around", "--within", "--all", "--to-scale"):
        assert option in said
