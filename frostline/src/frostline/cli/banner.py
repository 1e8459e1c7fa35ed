"""The block that `frostline up` prints: where it is, what it serves, what this machine allows, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from .. import __version__
from ..core.function import Function
from ..core.upstream import Upstream
from ..project import Project
from ..sandbox.port import Level

_FREEZERS = {
    "cgroup-v2": "processes, by the cgroup v2 freezer",
    "cgroup-v1": "processes, by the cgroup v1 freezer",
    "signals": "processes, by SIGSTOP to the whole tree",
    "off": "nothing: environments run on between invocations",
}


def level_lines(level: Level) -> list[str]:
    """What this machine allows, in sentences."""
    cage = (
        "each environment in namespaces of its own"
        if level.cage == "namespaces"
        else "processes of this machine, not isolated: run functions that you trust"
    )
    limits = [name for name, held in (("memory", level.memory_limit), ("processes", level.process_limit)) if held]
    freezes = _FREEZERS[level.freezer]
    if level.network_freezes:
        freezes = f"the network and {freezes}" if level.freezer != "off" else "the network"
    lines = [freezes, f"{cage}; limits on {' and '.join(limits)}" if limits else f"{cage}; no limits on memory or processes"]
    if level.cage == "namespaces":
        lines.append(
            "the network is reachable; this machine is host.frostline.internal there" if level.egress else "no way out to the network"
        )
    return lines


def sample_event(functions: Sequence[Function]) -> str:
    """The name in the examples: the first function's."""
    return functions[0].name if functions else "NAME"


def notes(project: Project, level: Level) -> list[str]:
    """What a person should know about the machine and the project, each sentence once."""
    launches = [note for deployment in project.functions for note in deployment.launch.notes]
    return list(dict.fromkeys([*level.notes, *project.notes, *launches]))


def banner(
    project: Project,
    functions: Sequence[Function],
    level: Level,
    endpoint: str,
    *,
    port: int,
    default_port: int,
    upstreams: Sequence[Upstream] = (),
) -> str:
    """The whole block."""
    rows: list[tuple[str, list[str]]] = [("Endpoint", [endpoint])]
    described = [f"{f.name}  ({f.runtime}, {f.handler}, {f.memory_mb} MB, {f.timeout_s:g} s)" for f in functions]
    rows.append(("Functions" if len(functions) != 1 else "Function", described or ["none"]))
    if upstreams:
        rows.append(("Upstreams" if len(upstreams) != 1 else "Upstream", [upstream.text() for upstream in upstreams]))
    rows.append(("Project", [_shown(project.origin)]))
    rows.append(("Freezes", level_lines(level)[:1]))
    rows.append(("Sandbox", level_lines(level)[1:]))
    remarks = notes(project, level)
    remarks += [f"{refused.name} cannot be run: {refused.message}" for refused in project.refused]
    if remarks:
        rows.append(("Note" if len(remarks) == 1 else "Notes", remarks))
    at = "" if port == default_port else f" --port {port}"
    if endpoint != f"http://127.0.0.1:{port}":
        at = f" --endpoint {endpoint}"
    name = shlex.quote(sample_event(functions))
    rows.append(
        (
            "Try",
            [
                f"frostline invoke {name}{at} --event '{{}}'",
                f"aws lambda invoke --endpoint-url {endpoint} --function-name {name} /dev/stdout",
            ],
        )
    )
    width = max(len(label) for label, _ in rows)
    lines = [click.style(f"Frostline {__version__}", bold=True), ""]
    for label, texts in rows:
        for number, text in enumerate(texts):
            head = click.style((label if number == 0 else "").ljust(width), fg="bright_blue")
            lines.append(f"  {head}  {text}")
    return "\n".join([*lines, "", "Ctrl-C stops everything and leaves nothing behind.", ""])


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
