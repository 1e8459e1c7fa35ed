"""The function that a test asks for: found in its project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from ..core.upstream import Upstream, parse
from ..project import Deployment, Project, ProjectError, Source, load
from ..trials.trial import Setting
from ..upstreams import Unservable, servable
from .errors import FrostlineError, hidden

Level = Literal["network", "processes"]
"""How much of an environment stands still between two invocations: its processes, or its network too."""

LEVELS: tuple[Level, ...] = ("network", "processes")

Upstreams = Sequence[str | Upstream]
"""Servers of the lab, as `frostline up --upstream` takes them: `api.example.com:443=http1,tls,idle=60`."""


def setting(level: str, upstreams: Upstreams, *, allow_network: bool) -> Setting:
    """What a function's surroundings are. Raises FrostlineError."""
    __tracebackhide__ = hidden
    if level not in LEVELS:
        raise FrostlineError(f"level={level!r} is none. There are {' and '.join(LEVELS)}.")
    if isinstance(upstreams, str | Upstream):
        raise FrostlineError(f"upstreams={upstreams!r} is one upstream: give a list of them.")
    try:
        written = parse(one for one in upstreams if isinstance(one, str))
        given = servable((*written, *(one for one in upstreams if isinstance(one, Upstream))))
    except (ValueError, Unservable) as error:
        raise FrostlineError(f"upstreams: {error}") from None
    made = {one.name: one for one in given}
    return Setting(
        level=level,
        # In an order of their own: whoever asks for the same servers gets the same lab.
        upstreams=tuple(made[name] for name in sorted(made)),
        reach_network=allow_network,
        warp=True,
    )


def found(source: Source) -> Deployment:
    """The function. May take long once, when a runtime client is installed. Raises FrostlineError."""
    try:
        project = load(source)
    except ProjectError as error:
        raise FrostlineError(_in_python(error.message)) from None
    deployment = _chosen(project, source.name)
    function = deployment.function
    limited = msgspec.structs.replace(
        function,
        timeout_s=function.timeout_s if source.timeout_s is None else source.timeout_s,
        memory_mb=function.memory_mb if source.memory_mb is None else source.memory_mb,
    )
    return msgspec.structs.replace(deployment, function=limited)


def _in_python(message: str) -> str:
    """A project's words for the command line, as arguments."""
    message = message.replace("--parameter Name=Value", 'parameters={"Name": "Value"}')
    message = re.sub(r"--(handler|runtime) ([\w/]+\.[\w.]+)", r'\1="\2"', message)
    return re.sub(r"--(handler|runtime|env)\b", r"\1=", message)


def _chosen(project: Project, name: str | None) -> Deployment:
    by_name = {one.logical_id: one for one in project.functions if one.logical_id}
    by_name |= {one.function.name: one for one in project.functions}
    if name is None and len(project.functions) == 1 and not project.refused:
        return project.functions[0]
    if name is not None and name in by_name:
        return by_name[name]
    for refused in project.refused:
        if refused.name == name:
            raise FrostlineError(_in_python(refused.message))
    names = ", ".join([one.logical_id or one.function.name for one in project.functions] + [one.name for one in project.refused])
    raise FrostlineError(
        f"{project.origin} has several functions: {names}. Say which: function(path, name)."
        if name is None
        else f"{project.origin} has no function {name!r}. It has {names or 'none'}."
    )
