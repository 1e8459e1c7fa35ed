"""Options: durations, pairs, what they come to, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from frostline import __version__
from frostline.cli.options import Duration, Pair, policy, source
from frostline.core.policy import Policy
from tests.cli.conftest import Cli


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("3s", 3.0),
        ("40m", 2400.0),
        ("2h", 7200.0),
        ("1.5s", 1.5),
        ("7", 7.0),
        ("0", 0.0),
        (" 3s ", 3.0),
        (2, 2.0),
        (0.1, 0.1),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "3 s", "-1s", "3d", "1e3", "3s4m", "soon", "1.s", ".5s"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is not a duration. Write 250ms, 3s, 40m or 2h\."):
        Duration().convert(text, None, None)


def test_a_pair() -> None:
    assert Pair().convert("A=b=c", None, None) == ("A", "b=c")
    assert Pair().convert("A=", None, None) == ("A", "")
    assert Pair().convert(("A", "b"), None, None) == ("A", "b")


@pytest.mark.parametrize("text", ["", "A", "=b"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not of the form NAME=VALUE"):
        Pair().convert(text, None, None)


def test_the_policy_that_the_options_come_to() -> None:
    assert policy(freeze="off", freeze_delay=0.5, idle_timeout=60.0, chaos=0.1, spares=0, retry_delay=1.0) == Policy(
        freeze=False, freeze_delay_s=0.5, idle_timeout_s=60.0, chaos=0.1, spares=0, retry_delay_s=1.0
    )
    assert policy(freeze="signals", freeze_delay=0.001, idle_timeout=2400.0, chaos=0.0, spares=4, retry_delay=60.0) == Policy()


def test_the_source_that_the_options_come_to() -> None:
    found = source(
        "app",
        handler="a.b",
        runtime=None,
        name="n",
        environment=(("A", "1"), ("A", "2")),
        timeout=9.0,
        memory=256,
        parameters=(),
        region="r",
    )
    assert (found.path, found.handler, found.name, found.timeout_s, found.memory_mb, found.region) == (
        Path("app"),
        "a.b",
        "n",
        9.0,
        256,
        "r",
    )
    assert found.environment == {"A": "2"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("up", "--port", "70000"), "70000 is not in the range 0<=x<=65535"),
        (("up", "--port", "http"), "'http' is not a valid integer"),
        (("up", "--freeze-delay", "soon"), "'soon' is not a duration"),
        (("up", "--chaos", "2"), "2.0 is not in the range 0<=x<=1"),
        (("up", "--memory", "1"), "1 is not in the range 128<=x<=10240"),
        (("up", "--fate", "redis:6379=dead"), "'dead' is not a fate. There are survive, fin_delivered, lost and blackhole."),
        (("up", "--fate", "redis:http=lost"), "'http' in 'redis:http' is not a port."),
        (("invoke", "./app", "--fate", "=lost"), "'' is not a destination."),
        (
            ("up", "--freeze", "processes", "--fate", "lost"),
            "connections meet a fate where the network freezes, and with --freeze processes it",
        ),
        (("up", "--middlebox", "elb"), "'elb' is not a middlebox. There are nat-gateway, nlb, alb, azure-lb and none"),
        (("invoke", "./app", "--middlebox", "idle=30,then=drop"), "'drop' is not what a middlebox does. There are rst, fin and silence."),
        (("up", "--env", "A"), "'A' is not of the form NAME=VALUE"),
        (("up", "--freeze", "ice"), "'ice' is not one of"),
        (
            (
                "up",
                "--nonsense",
            ),
            "No such option",
        ),
        (("invoke",), "Missing argument"),
        (("invoke", "a", "b", "c"), "Got unexpected extra argument"),
        (("logs", "--lines", "-1"), "-1 is not in the range x>=0"),
        (("down",), "No such command 'down'"),
    ],
)
def test_bad_arguments_are_usage_errors(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_the_version(cli: Cli) -> None:
    assert cli("--version").stdout == f"frostline, version {__version__}\n"


@pytest.mark.parametrize("command", ["up", "invoke", "logs"])
def test_each_command_has_help_and_it_fits(cli: Cli, command: str) -> None:
    result = cli(command, "-h")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 110
    assert result.stdout.startswith(f"Usage: frostline {command} ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("/no/such/folder",), "/no/such/folder: there is no such file or directory. Name a template, a folder, a zip or a file."),
        ((".", "--env", "AWS_REGION=x"), "--env: Lambda was unable to configure your environment variables"),
        ((".", "--env", "1=x"), "--env: the environment variable '1' has a name that AWS refuses"),
    ],
)
def test_a_project_that_cannot_be_read_is_one_message(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    result = cli("up", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"frostline: {said}")
    assert result.stderr.count("\n") == 1
