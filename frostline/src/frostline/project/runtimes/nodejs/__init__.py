"""`nodejs*`: Node.js as found on PATH, with a runtime client of our own (`runtime/`), seen at `/var/runtime`.

AWS's client, `aws-lambda-ric`, needs a C++ tool chain to install; ours is plain JavaScript and held to the same behaviour. AWS's runtime also brings
the AWS SDK; here a function brings its own, or a layer does.
"""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...model import GATE, Launch, ProjectError, Seen, Word
from ..interpreters import outermost, shared_library_directories

RUNTIME = Path(__file__).with_name("runtime")
OLDEST = 18


def launch(major: int, handler: str, code: Path, layers: Sequence[Path]) -> Launch:
    """How to start a Node.js function. A Node of another major version than the runtime's is used, and noted. Raises `ProjectError` without one."""
    found = find(major)
    if found is None:
        raise ProjectError(
            f"Runtime nodejs{major}.x needs Node.js {OLDEST} or newer, and none was found (looked for node on PATH and in nvm's, fnm's and "
            f"volta's directories). Install it from https://nodejs.org, or with `nvm install {major}`."
        )
    executable, actual = found
    notes = [] if actual == major else [f"nodejs{major}.x runs under Node.js {actual}, the one on this machine ({executable})."]
    notes += _missing_sdk(handler, code, layers)
    needed = [os.path.dirname(executable), *shared_library_directories([executable])]
    installation = os.path.dirname(os.path.dirname(executable))
    if os.path.isdir(f"{installation}/lib/node_modules"):
        needed.append(installation)
    return Launch(
        argv=(executable, Seen("runtime", "index.cjs"), GATE),
        environment={
            "NODE_PATH": (
                Seen("opt", f"nodejs/node{major}/node_modules"),
                Seen("opt", "nodejs/node_modules"),
                Seen("runtime", "node_modules"),
                Seen("runtime"),
                Seen("task"),
            ),
            **_path(executable),
        },
        runtime_dir=RUNTIME,
        read_only=tuple(Path(path) for path in outermost(needed)),
        gate=True,
        notes=tuple(notes),
    )


def _missing_sdk(handler: str, code: Path, layers: Sequence[Path]) -> list[str]:
    """AWS's runtime brings the SDK, so functions are often deployed without it."""
    module = code / handler.partition(".")[0]
    files = [file for extension in (".js", ".mjs", ".cjs") if (file := Path(f"{module}{extension}")).is_file()]
    if not files or not re.search(rb"""["']@aws-sdk/""", files[0].read_bytes()):
        return []
    folders = [parent / "node_modules" for parent in (module.parent, code)] + [layer / "nodejs" / "node_modules" for layer in layers]
    if any((folder / "@aws-sdk").is_dir() for folder in folders):
        return []
    return [f"{files[0].name} uses @aws-sdk, which AWS's runtime brings and this one does not. Install it beside the function: npm install"]


def _path(executable: str) -> dict[str, tuple[Word, ...]]:
    """AWS's PATH, with Node's own directory where that is none of its."""
    directory = os.path.dirname(executable)
    if directory in ("/usr/local/bin", "/usr/bin", "/bin"):
        return {}
    return {"PATH": (Seen("lang", "bin"), directory, "/usr/local/bin", "/usr/bin/", "/bin", Seen("opt", "bin"))}


@functools.cache
def find(major: int) -> tuple[str, int] | None:
    """The real path and the major version of a Node.js: of this major version if there is one, else the one on PATH."""
    home = str(Path.home())
    nvm = os.environ.get("NVM_DIR", f"{home}/.nvm")
    paths = [path for path in [shutil.which("node")] if path]
    for pattern in (
        f"{nvm}/versions/node/v{major}.*/bin/node",
        f"{home}/.local/share/fnm/node-versions/v{major}.*/installation/bin/node",
        f"{home}/.volta/tools/image/node/{major}.*/bin/node",
        "/usr/local/bin/node",
        "/usr/bin/node",
    ):
        paths += sorted(glob.glob(pattern), reverse=True)
    asked = [(real, actual) for path in dict.fromkeys(paths) for real, actual in _ask(path) if actual >= OLDEST]
    return next((found for found in asked if found[1] == major), asked[0] if asked else None)


def majors() -> list[int]:
    """Major versions of the Node.js on PATH: one or none."""
    return sorted({actual for path in [shutil.which("node")] if path for _, actual in _ask(path)})


@functools.cache
def _ask(path: str) -> list[tuple[str, int]]:
    try:
        done = subprocess.run(
            [path, "-p", "process.execPath + ' ' + process.versions.node"],
            capture_output=True,
            text=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    answer = re.fullmatch(r"(/.+) (\d+)\.\d+\.\d+\S*", done.stdout.strip())
    return [(os.path.realpath(answer[1]), int(answer[2]))] if answer else []
