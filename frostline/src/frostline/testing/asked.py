"""The function that a test asks for: found in its project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ..core.upstream import Upstream, parse
from ..project import Deployment, Project, ProjectError, Source, load
from ..trials.trial import Setting
from ..upstreams import PackagesMissing, check
from .errors import FrostlineError, hidden

Level = Literal["network", "processes"]
"""How much of an environment stands still between two invocations: its processes, or its network too."""

LEVELS: tuple[Level, ...] = ("network", "processes")

Upstreams = Sequence[str | Upstream]
"""Servers of the lab, as `frostline up --upstream` takes them: `api.example.com:443=http1,tls,idle=60`."""


class Asked(Struct, frozen=True, kw_only=True):
    """What `function(...)` was given."""

    path: Path
    name: str | None = None
    handler: str | None = None
    runtime: str | None = None
    env: Mapping[str, str] = {}
    timeout: float | None = None
    memory: int | None = None
    parameters: Mapping[str, str] = {}


def setting(level: str, upstreams: Upstreams, *, allow_network: bool) -> Setting:
    """What a function's surroundings are. Raises FrostlineError."""
    __tracebackhide__ = hidden
    if level not in LEVELS:
        raise FrostlineError(f"level={level!r} is none. There are {' and '.join(LEVELS)}.")
    if isinstance(upstreams, str | Upstream):
        raise FrostlineError(f"upstreams={upstreams!r} is one upstream: give a list of them.")
    try:
        written = parse(one for one in upstreams if isinstance(one, str))
        check(written)
    except (ValueError, PackagesMissing) as error:
        raise FrostlineError(f"upstreams: {error}") from None
    given = (*written, *(one for one in upstreams if isinstance(one, Upstream)))
    made = {one.name: one for one in given}
    return Setting(
        level=level,
        # In an order of their own: whoever asks for the same servers gets the same lab.
        upstreams=tuple(made[name] for name in sorted(made)),
        reach_network=allow_network,
        warp=True,
    )


def found(asked: Asked) -> Deployment:
    """The function. May take long once, when a runtime client is installed. Raises FrostlineError."""
    source = Source(
        path=asked.path,
        handler=asked.handler,
        runtime=asked.runtime,
        name=asked.name,
        parameters=dict(asked.parameters),
        environment=dict(asked.env),
        timeout_s=asked.timeout,
        memory_mb=asked.memory,
    )
    try:
        project = load(source)
    except ProjectError as error:
        raise FrostlineError(error.message) from None
    deployment = _chosen(project, asked.name)
    function = deployment.function
    limited = msgspec.structs.replace(
        function,
        timeout_s=function.timeout_s if asked.timeout is None else asked.timeout,
        memory_mb=function.memory_mb if asked.memory is None else asked.memory,
    )
    return msgspec.structs.replace(deployment, function=limited)


def _chosen(project: Project, name: str | None) -> Deployment:
    by_name = {one.logical_id: one for one in project.functions if one.logical_id}
    by_name |= {one.function.name: one for one in project.functions}
    if name is None and len(project.functions) == 1 and not project.refused:
        return project.functions[0]
    if name is not None and name in by_name:
        return by_name[name]
    for refused in project.refused:
        if refused.name == name:
            raise FrostlineError(refused.message)
    names = ", ".join([one.logical_id or one.function.name for one in project.functions] + [one.name for one in project.refused])
    raise FrostlineError(
        f"{project.origin} has several functions: {names}. Say which: function(path, name)."
        if name is None
        else f"{project.origin} has no function {name!r}. It has {names or 'none'}."
    )
