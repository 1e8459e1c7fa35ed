"""Options that several commands share, and what they mean together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from ..core.conditions import Conditions
from ..core.durations import parse_duration
from ..core.fates import FATES, Fates
from ..core.fates import parse as parse_fates
from ..core.middlebox import MIDDLEBOXES
from ..core.middlebox import parse as parse_middleboxes
from ..core.policy import Policy
from ..core.upstream import Upstream
from ..core.upstream import parse as parse_upstreams
from ..project import Source
from ..upstreams import Unservable, servable

Command = TypeVar("Command", bound=Callable[..., Any])
Parsed = TypeVar("Parsed")

DEFAULT_PORT = 3001
"""The port of `sam local start-lambda`, so that scripts written for it work unchanged."""

FREEZERS = ("best", "network", "processes", "cgroup-v2", "cgroup-v1", "signals", "off")

FREEZE_HELP = (
    "What is frozen. best: processes, by the best freezer there is, and their network, where the machine allows. network: the same, or an error. "
    "processes: they alone, and the network goes on. The others name a freezer for processes alone; off freezes nothing."
)

if TYPE_CHECKING:
    _Float = click.ParamType[float]
    _Pair = click.ParamType[tuple[str, str]]
else:  # generic only in click's latest versions
    _Float = _Pair = click.ParamType


class Failure(click.ClickException):
    """Something that the user can mend, said in one line, with exit status 1."""

    def show(self, file: Any = None) -> None:
        """Print it the way all of Frostline's messages are printed."""
        click.echo(f"frostline: {self.message}", err=True, file=file)


LONGEST_S = 10 * 365 * 86_400.0
"""Ten years: more than anything here lasts, and within what clocks can hold."""


class Duration(_Float):
    """`250ms`, `3s`, `40m`, `2h`; a number alone is seconds. Converts to seconds."""

    name = "duration"

    def __init__(self, *, zero: bool = True) -> None:
        """`zero`: it may be no time at all."""
        self.zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse it."""
        if isinstance(value, int | float):
            return float(value)
        seconds = parse_duration(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a duration. Write 250ms, 3s, 40m or 2h.", param, ctx)
        if seconds > LONGEST_S:
            self.fail(f"{value!r} is more than ten years.", param, ctx)
        if seconds == 0 and not self.zero:
            self.fail(f"{value!r} is no time at all; it has to be above zero.", param, ctx)
        return seconds


class Pair(_Pair):
    """`NAME=VALUE`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parse it."""
        if isinstance(value, tuple):
            return value
        name, separator, content = str(value).partition("=")
        if not separator or not name:
            self.fail(f"{value!r} is not of the form NAME=VALUE.", param, ctx)
        return name, content


def project_options(command: Command) -> Command:
    """What a project is: which function, and what is said about it."""
    for option in reversed(
        (
            click.option("--handler", metavar="HANDLER", help="The handler, as on AWS: app.lambda_handler, index.handler."),
            click.option("--runtime", metavar="RUNTIME", help="AWS's identifier: python3.12, nodejs20.x, provided.al2023, go1.x."),
            click.option("--name", metavar="NAME", help="The function's name. Default: the folder's or the file's."),
            click.option(
                "--env", "environment", multiple=True, type=Pair(), metavar="NAME=VALUE", help="A variable for every function; repeatable."
            ),
            click.option("--timeout", type=Duration(), help="Timeout of a function without a template (default 3s)."),
            click.option(
                "--memory", type=click.IntRange(128, 10240), metavar="MB", help="Memory of a function without a template (default 128)."
            ),
            click.option(
                "--parameter", "parameters", multiple=True, type=Pair(), metavar="NAME=VALUE", help="A template's parameter; repeatable."
            ),
            click.option("--region", default="us-east-1", show_default=True, help="What functions are told."),
        )
    ):
        command = option(command)
    return command


def source(
    path: str,
    *,
    handler: str | None,
    runtime: str | None,
    name: str | None,
    environment: tuple[tuple[str, str], ...],
    timeout: float | None,
    memory: int | None,
    parameters: tuple[tuple[str, str], ...],
    region: str,
) -> Source:
    """The project's source as the options say it."""
    return Source(
        path=Path(path),
        handler=handler,
        runtime=runtime,
        name=name,
        environment=dict(environment),
        timeout_s=timeout,
        memory_mb=memory,
        parameters=dict(parameters),
        region=region,
    )


def policy_options(command: Command) -> Command:
    """When to freeze, when to reclaim."""
    default = Policy()
    for option in reversed(
        (
            click.option("--freeze", type=click.Choice(FREEZERS), default="best", show_default=True, help=FREEZE_HELP),
            click.option(
                "--fate",
                "fates",
                multiple=True,
                metavar="[HOST[:PORT]=]FATE",
                help=f"Where the network freezes, what becomes of connections: {', '.join(FATES)}. For one destination, or for all others; repeatable.",
            ),
            click.option(
                "--middlebox",
                "middleboxes",
                multiple=True,
                metavar="[HOST[:PORT]=]NAME",
                help=f"What forgets idle connections on their way: {', '.join(MIDDLEBOXES)}, none, or by numbers: idle=30,then=rst|fin|silence. "
                "For one destination, or for all others; repeatable.",
            ),
            click.option(
                "--upstream",
                "upstreams",
                multiple=True,
                metavar="NAME[:PORT]=SERVER",
                help="A server for functions to talk to, under this name: http1, http2, grpc (a cache) or echo, with tls, idle=60s, close=fin|rst|goaway, "
                "rtt=50ms (api.example.com:443=http1,tls,idle=5s); or host:PORT for a port of this machine. Repeatable.",
            ),
            click.option(
                "--after",
                type=Duration(zero=False),
                metavar="DURATION",
                help="How long each freeze is for a function: its clocks are moved by so much, and idle limits pass. Nobody waits.",
            ),
            click.option(
                "--freeze-delay",
                type=Duration(),
                default=default.freeze_delay_s,
                show_default="1ms",
                help="How long an environment is idle before.",
            ),
            click.option(
                "--idle-timeout",
                type=Duration(),
                default=default.idle_timeout_s,
                show_default="40m",
                help="Reclaim an environment idle for longer.",
            ),
            click.option(
                "--chaos",
                type=click.FloatRange(0, 1),
                default=0.0,
                metavar="P",
                help="Reclaim an environment after an invocation with this probability: nobody may depend on reuse.",
            ),
            click.option(
                "--spares",
                type=click.IntRange(0),
                default=default.spares,
                show_default=True,
                help="Functions that have an environment ready, with none of their code run.",
            ),
            click.option(
                "--retry-delay",
                type=Duration(),
                default=default.retry_delay_s,
                show_default="60s",
                help="Before a failed asynchronous invocation runs again.",
            ),
            click.option(
                "--story",
                type=click.Path(dir_okay=False),
                metavar="FILE",
                help="Record everything that happens into this file (JSON lines).",
            ),
        )
    ):
        command = option(command)
    return command


def policy(*, freeze: str, freeze_delay: float, idle_timeout: float, chaos: float, spares: int, retry_delay: float) -> Policy:
    """The policy as the options say it."""
    return Policy(
        freeze=freeze != "off",
        freeze_delay_s=freeze_delay,
        idle_timeout_s=idle_timeout,
        chaos=chaos,
        spares=spares,
        retry_delay_s=retry_delay,
    )


def take_policy(options: dict[str, Any], freeze: str, **instead: Any) -> Policy:
    """The policy, with its options taken out of a command's `options`, and some of them replaced."""
    names = ("freeze_delay", "idle_timeout", "chaos", "spares", "retry_delay")
    return policy(freeze=freeze, **{name: options.pop(name) for name in names} | instead)


class Surroundings(Struct, frozen=True, kw_only=True):
    """What environments run in: how they are frozen, what their connections meet, whom they can talk to, and how long a freeze is for them."""

    freeze: str
    conditions: Conditions
    upstreams: tuple[Upstream, ...]
    after_s: float | None
    """How much longer a freeze is for an environment than for the machine; None where no clock is moved."""


def take_surroundings(options: dict[str, Any]) -> Surroundings:
    """The surroundings, with their options taken out of a command's `options`. Raises click.BadParameter and Failure."""
    freeze: str = options.pop("freeze")
    conditions = Conditions(
        fates=_chosen_fates(options.pop("fates"), freeze),
        middleboxes=_parsed(parse_middleboxes, options.pop("middleboxes"), "'--middlebox'"),
    )
    after: float | None = options.pop("after")
    if after is not None and freeze == "off":
        raise click.BadParameter(
            "time passes for environments while they are frozen, and with --freeze off they are not.", param_hint="'--after'"
        )
    return Surroundings(freeze=freeze, conditions=conditions, upstreams=chosen_upstreams(options.pop("upstreams")), after_s=after or None)


def _chosen_fates(texts: Sequence[str], freeze: str) -> Fates:
    parsed = _parsed(parse_fates, texts, "'--fate'")
    if texts and freeze not in ("best", "network"):
        raise click.BadParameter(
            f"connections meet a fate where the network freezes, and with --freeze {freeze} it does not.", param_hint="'--fate'"
        )
    return parsed


def chosen_upstreams(texts: Sequence[str]) -> tuple[Upstream, ...]:
    """The upstreams as the options say them."""
    parsed = _parsed(parse_upstreams, texts, "'--upstream'")
    try:
        return servable(parsed)
    except Unservable as error:
        raise Failure(str(error)) from error


def _parsed(parse: Callable[[Sequence[str]], Parsed], texts: Sequence[str], option: str) -> Parsed:
    try:
        return parse(texts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
