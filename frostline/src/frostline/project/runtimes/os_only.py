"""`provided.*` and `go1.x`: the function's own executable speaks to the Runtime API.

Binaries built with an old aws-lambda-go, for `go1.x`, know only the older protocol: they listen on `_LAMBDA_SERVER_PORT` and are called by Go's
`net/rpc`. Such a binary is started through a bridge (`gorpc`). Newer ones know both, and need none.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..model import Launch, ProjectError, Root, Seen
from .interpreters import find

RPC_ENV = b"_LAMBDA_SERVER_PORT"
API_ENV = b"AWS_LAMBDA_RUNTIME_API"

_BRIDGE = Path(__file__).with_name("gorpc")


def launch(runtime: str, handler: str, code: Path, layers: Sequence[Path]) -> Launch:
    """How to start an executable that speaks the Runtime API. Raises `ProjectError` when there is none, or it cannot be executed."""
    name = handler if runtime == "go1.x" else "bootstrap"
    found = _find(name, code, layers)
    if found is None and runtime == "go1.x":
        name = "bootstrap"  # what `provided.al2023` builds are called; the same binary works
        found = _find(name, code, layers)
    if found is None:
        looked = f"{code / handler} and {code / 'bootstrap'}" if runtime == "go1.x" else f"{code / 'bootstrap'} and in its layers"
        raise ProjectError(
            f"Runtime {runtime} needs an executable, and there is none (looked for {looked}). "
            "Build it there, for example with `go build -o bootstrap .`, or run `sam build`."
        )
    path, root = found
    if not os.access(path, os.X_OK):
        raise ProjectError(f"{path}: is not executable. Make it so: chmod +x {path}")
    executable = Seen(root, name)
    if speaks_only_rpc(path):
        return _bridged(executable)
    return Launch(argv=(executable,))


def _find(name: str, code: Path, layers: Sequence[Path]) -> tuple[Path, Root] | None:
    if name and (code / name).is_file():
        return code / name, "task"
    for layer in reversed(layers):
        if name and (layer / name).is_file():
            return layer / name, "opt"
    return None


def speaks_only_rpc(path: Path) -> bool:
    """A Go binary that knows `_LAMBDA_SERVER_PORT` and not the Runtime API."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(RPC_ENV) >= 0 and content.find(API_ENV) < 0
    except (OSError, ValueError):
        return False


def _bridged(executable: Seen) -> Launch:
    interpreter = find(sys.version_info[:2])
    python = interpreter.executable if interpreter else sys.executable
    return Launch(
        argv=(python, "-I", "-S", Seen("runtime", "bridge.py"), executable),
        runtime_dir=_BRIDGE,
        read_only=tuple(Path(path) for path in interpreter.directories) if interpreter else (),
        notes=(
            "This binary speaks only Go's older protocol (net/rpc), so it is called through a bridge. A newer aws-lambda-go needs none.",
        ),
    )
