"""Finding the Python of a given version on this machine, and what must be seen of the disk for it to run.

A name on PATH may be a shim, a wrapper or a virtual environment, so every candidate is asked what it really is.
"""

from __future__ import annotations

import functools
import glob
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

_PROBE = """
import json, os, sys
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps([list(sys.version_info[:2]), os.path.realpath(base), sys.base_prefix, sys.base_exec_prefix]))
"""

_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/etc")
"""What every environment sees of the host anyway."""


class Interpreter(Struct, frozen=True):
    """A Python installation."""

    executable: str
    """The real binary: no link, no shim, no virtual environment."""
    prefix: str
    directories: tuple[str, ...]
    """What must be seen, at its own path, for it to run; nothing that every environment sees anyway."""


def candidates(version: tuple[int, int]) -> list[str]:
    """Paths at which a Python of this version may be, most wanted first."""
    name = f"python{version[0]}.{version[1]}"
    home = str(Path.home())
    pyenv = os.environ.get("PYENV_ROOT", f"{home}/.pyenv")
    uv = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share", "uv/python")
    found = [sys.executable] if sys.version_info[:2] == version else []
    on_path = shutil.which(name)
    found += [on_path] if on_path else []
    for pattern in (
        f"{pyenv}/versions/{version[0]}.{version[1]}*/bin/{name}",
        f"{uv}/cpython-{version[0]}.{version[1]}.*/bin/{name}",
        f"/usr/local/bin/{name}",
        f"/usr/bin/{name}",
        f"/opt/homebrew/bin/{name}",
        f"/opt/python/cp{version[0]}{version[1]}-*/bin/{name}",
        f"/opt/*/bin/{name}",
    ):
        found += sorted(glob.glob(pattern), key=_newest_last, reverse=True)
    return list(dict.fromkeys(found))


def _newest_last(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]


@functools.cache
def find(version: tuple[int, int]) -> Interpreter | None:
    """The first candidate that runs and is of this version."""
    for candidate in candidates(version):
        answer = _ask(candidate)
        if answer and tuple(answer[0]) == version:
            _, executable, prefix, exec_prefix = answer
            return Interpreter(executable, prefix, tuple(_needed(executable, prefix, exec_prefix)))
    return None


def versions() -> list[str]:
    """The versions found on this machine, as `3.11`, newest first."""
    return [f"3.{minor}" for minor in range(20, 7, -1) if find((3, minor))]


def _ask(candidate: str) -> tuple[list[int], str, str, str] | None:
    try:
        done = subprocess.run(
            [candidate, "-I", "-S", "-c", _PROBE], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False
        )
        version, executable, prefix, exec_prefix = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return version, executable, prefix, exec_prefix


def _needed(executable: str, prefix: str, exec_prefix: str) -> list[str]:
    wanted = [prefix, exec_prefix, os.path.dirname(executable)]
    wanted += shared_library_directories([executable, *glob.glob(f"{exec_prefix}/lib/python*/lib-dynload/_s[sq]*.so")])
    # Both what a path says and what it is: a link must be found at its own path, and its target at the target's.
    return outermost([*wanted, *(os.path.realpath(path) for path in wanted)])


def shared_library_directories(binaries: list[str]) -> list[str]:
    """Directories of the shared libraries these binaries are linked with, by `ldd`; none where there is no `ldd`."""
    try:
        done = subprocess.run(["ldd", *binaries], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [os.path.dirname(path) for path in re.findall(r"=> (/\S+)", done.stdout)]


def outermost(directories: list[str]) -> list[str]:
    """Without what every environment sees anyway, without what lies inside another one, and never `/`."""
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in directories}):
        inside = any(path == outer or path.startswith(f"{outer}/") for outer in (*_SYSTEM, *kept))
        if not inside and path != "/":
            kept.append(path)
    return kept
