"""The block that `frostline up` prints, word for word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from msgspec import structs

from frostline.cli.banner import banner, level_lines
from frostline.core.function import Function
from frostline.core.upstream import parse
from frostline.project import Deployment, Launch, Project, Refused, Source
from frostline.sandbox.port import Level
from frostline.testing.builders import function

BEST = Level(cage="namespaces", freezer="cgroup-v2", network=True, egress=True, memory_limit=True, process_limit=True)
WORST = Level(
    cage="plain", freezer="off", network=False, egress=False, memory_limit=False, process_limit=False, notes=("No freezer: try root.",)
)


def project(
    *functions: Function, notes: tuple[str, ...] = (), refused: tuple[Refused, ...] = (), launch_notes: tuple[str, ...] = ()
) -> Project:
    launch = Launch(argv=("/bin/true",), notes=launch_notes)
    deployments = tuple(Deployment(function=each, code=Path("/srv/app"), launch=launch) for each in functions)
    return Project(
        source=Source(path=Path("/srv/app")),
        functions=deployments,
        watched=(),
        origin=Path("/srv/app/template.yaml"),
        notes=notes,
        refused=refused,
    )


def shown(found: Project, level: Level, *, port: int = 3001, host: str = "127.0.0.1", upstreams: Sequence[str] = ()) -> str:
    functions = [deployment.function for deployment in found.functions]
    return click.unstyle(banner(found, functions, level, f"http://{host}:{port}", port=port, default_port=3001, upstreams=parse(upstreams)))


def test_one_function_on_a_machine_that_allows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.cli.banner.__version__", "1.2.3")
    assert shown(project(function("hello", timeout_s=2.5)), BEST) == (
        "Frostline 1.2.3\n"
        "\n"
        "  Endpoint  http://127.0.0.1:3001\n"
        "  Function  hello  (python3.12, app.handler, 128 MB, 2.5 s)\n"
        "  Project   /srv/app/template.yaml\n"
        "  Freezes   processes, by the cgroup v2 freezer\n"
        "  Sandbox   each environment in namespaces of its own; limits on memory and processes\n"
        "            the network is reachable; this machine is host.frostline.internal there\n"
        "  Try       frostline invoke hello --event '{}'\n"
        "            aws lambda invoke --endpoint-url http://127.0.0.1:3001 --function-name hello /dev/stdout\n"
        "\n"
        "Ctrl-C stops everything and leaves nothing behind.\n"
    )


def test_servers_in_the_lab_are_listed() -> None:
    text = shown(project(function("hello")), BEST, upstreams=["orders.local=http1,idle=3", "db.local=host:5432"])
    assert (
        "  Function   hello  (python3.12, app.handler, 128 MB, 3 s)\n"
        "  Upstreams  orders.local:80=http1,idle=3s\n"
        "             db.local:5432=host:5432\n"
        "  Project    /srv/app/template.yaml\n"
    ) in text
    assert "  Upstream  a:443=grpc,idle=60s\n" in shown(project(function("hello")), BEST, upstreams=["a=grpc"])


def test_two_functions_on_a_machine_that_allows_nothing_with_everything_there_is_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.cli.banner.__version__", "1.2.3")
    found = project(
        function("a"),
        function("b", runtime="nodejs20.x", handler="index.handler", memory_mb=512),
        notes=("Using the sources.", "It differs."),
        refused=(Refused("C", "its runtime is not here"),),
        launch_notes=("It differs.",),
    )
    assert shown(found, WORST, port=8080) == (
        "Frostline 1.2.3\n"
        "\n"
        "  Endpoint   http://127.0.0.1:8080\n"
        "  Functions  a  (python3.12, app.handler, 128 MB, 3 s)\n"
        "             b  (nodejs20.x, index.handler, 512 MB, 3 s)\n"
        "  Project    /srv/app/template.yaml\n"
        "  Freezes    nothing: environments run on between invocations\n"
        "  Sandbox    processes of this machine, not isolated: run functions that you trust; no limits on memory or processes\n"
        "  Notes      No freezer: try root.\n"
        "             Using the sources.\n"
        "             It differs.\n"
        "             C cannot be run: its runtime is not here\n"
        "  Try        frostline invoke a --port 8080 --event '{}'\n"
        "             aws lambda invoke --endpoint-url http://127.0.0.1:8080 --function-name a /dev/stdout\n"
        "\n"
        "Ctrl-C stops everything and leaves nothing behind.\n"
    )


def test_one_note_that_is_said_twice_is_one_note() -> None:
    assert "\n  Note      Same.\n" in shown(project(function("a"), notes=("Same.",), launch_notes=("Same.",)), BEST)


def test_the_example_reaches_the_address_that_is_listened_on() -> None:
    assert "frostline invoke a --endpoint http://192.0.2.1:3001 --event" in shown(project(function("a")), BEST, host="192.0.2.1")


def test_paths_below_the_current_folder_are_shown_from_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = Project(source=Source(path=tmp_path), functions=(), watched=(), origin=tmp_path / "app" / "template.yaml")
    text = shown(found, BEST)
    assert "  Project    app/template.yaml\n" in text
    assert "  Functions  none\n" in text


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        (
            Level(cage="namespaces", freezer="cgroup-v1", network=True, egress=False, memory_limit=True, process_limit=False),
            [
                "processes, by the cgroup v1 freezer",
                "each environment in namespaces of its own; limits on memory",
                "no way out to the network",
            ],
        ),
        (
            Level(cage="plain", freezer="signals", network=False, egress=True, memory_limit=False, process_limit=True),
            [
                "processes, by SIGSTOP to the whole tree",
                "processes of this machine, not isolated: run functions that you trust; limits on processes",
            ],
        ),
        (
            structs.replace(BEST, network_freezes=True),
            [
                "the network and processes, by the cgroup v2 freezer",
                "each environment in namespaces of its own; limits on memory and processes",
                "the network is reachable; this machine is host.frostline.internal there",
            ],
        ),
    ],
    ids=["cgroup v1", "signals", "network"],
)
def test_a_level_is_said_in_words_and_never_more_than_it_is(level: Level, lines: list[str]) -> None:
    assert level_lines(level) == lines
