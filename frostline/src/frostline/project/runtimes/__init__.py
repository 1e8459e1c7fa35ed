"""Which process serves a function: one module per family of runtimes.

`launch` answers for a runtime identifier of AWS's (`python3.12`, `nodejs20.x`, `provided.al2023`, `go1.x`) and makes what it needs on first need.
Refusals are `ProjectError`, and they name what would work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..model import GATE, Launch, Progress, ProjectError, Seen, Word
from . import nodejs, os_only, python

KNOWN = "python3.8 to python3.14, nodejs18.x to nodejs24.x, provided.al2023, provided.al2, provided, go1.x"

_NEVER = re.compile(r"(java|dotnet|ruby)")

_EARLY = {"LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD", "NODE_OPTIONS", "PYTHONHOME", "PYTHONPATH"}
"""Variables by which a function has its own code run as soon as an interpreter starts (`NODE_OPTIONS=--require ./tracer.js`)."""

_WRAPPED = """\
if [ ! -f "$1" ]; then echo "$1: does not exist"; exit 127; fi
if [ ! -x "$1" ]; then echo "$1: is not an executable"; exit 126; fi
exec "$@"
"""
"""What AWS's own start script does with `AWS_LAMBDA_EXEC_WRAPPER`, with its messages and statuses."""


def launch(
    runtime: str,
    handler: str,
    *,
    code: Path,
    layers: Sequence[Path] = (),
    variables: Mapping[str, str] | None = None,
    cache: Path,
    progress: Progress = lambda message: None,
) -> Launch:
    """How to start the runtime process of a function. May install a runtime client into `cache` (says so through `progress`).

    `variables` are the function's own environment variables. Raises `ProjectError` when this runtime, or this function with it, cannot be run here.
    """
    if version := re.fullmatch(r"python3\.(\d+)", runtime):
        made = python.launch((3, int(version[1])), cache, progress)
    elif version := re.fullmatch(r"nodejs(\d+)\.x", runtime):
        made = nodejs.launch(int(version[1]), handler, code, layers)
    elif runtime in ("provided", "provided.al2", "provided.al2023") or runtime == "go1.x":
        # AWS: wrapper scripts are not supported on OS-only runtimes.
        return os_only.launch(runtime, handler, code, layers)
    elif _NEVER.match(runtime):
        raise ProjectError(
            f"Runtime {runtime} is not among those that Frostline can start ({KNOWN}). A function in any language runs with an executable "
            "`bootstrap` that speaks the Runtime API, as provided.al2023."
        )
    else:
        raise ProjectError(f"There is no runtime {runtime!r}. Known: {KNOWN}.")
    variables = variables or {}
    wrapper = variables.get("AWS_LAMBDA_EXEC_WRAPPER")
    if not wrapper and not _EARLY & variables.keys():
        return made
    # The function's own code would run before a gate that only our launcher waits at: no gate then.
    argv = tuple(word for word in made.argv if word != GATE)
    if wrapper:
        argv = ("/bin/sh", "-c", _WRAPPED, "bootstrap", _place(wrapper), *argv)
    return msgspec.structs.replace(made, argv=argv, gate=False)


def _place(path: str) -> Word:
    """A path as the user wrote it for AWS, as a place in the environment."""
    for prefix, root in (("/var/task/", "task"), ("/opt/", "opt"), ("/var/runtime/", "runtime")):
        if path.startswith(prefix):
            return Seen(root, path.removeprefix(prefix))  # type: ignore[arg-type]
    return path
