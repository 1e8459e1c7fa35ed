"""Bundled functions, made ready to run: their sources with their dependencies, in the user's cache.

Dependencies are pinned by lock files (`go.sum`, `package-lock.json`, `requirements.txt` with hashes) and fetched once, by the language's own
tool; after that no network is needed. A folder in the cache is named after the content of its sources, so a change makes a new one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ..project import Deployment, ProjectError, Source, default_cache, load
from ..project.runtimes import nodejs

FUNCTIONS = Path(__file__).with_name("functions")

Language = Literal["go", "nodejs", "python"]

Progress = Callable[[str], None]


class NotHere(Exception):
    """This machine lacks what a bundled function needs. The message says what, and what to do."""


class Bundled(Struct, frozen=True, kw_only=True):
    """A function that comes with Frostline."""

    folder: str
    """Its folder in `functions`."""
    language: Language
    handler: str
    memory_mb: int = 256
    timeout_s: float = 60.0


def ready(function: Bundled, progress: Progress = lambda _: None, *, cache: Path | None = None) -> Deployment:
    """The function with its dependencies, ready to be deployed.

    The first time it may take long; `progress` is told. Raises NotHere where the language is missing or dependencies could not be fetched, and `ProjectError`.
    """
    cache = cache if cache is not None else default_cache()
    runtime = _runtime(function.language)
    folder = _made(function, cache, progress)
    source = Source(
        path=folder,
        handler=function.handler,
        runtime=runtime,
        name=function.folder,
        timeout_s=function.timeout_s,
        memory_mb=function.memory_mb,
        cache=cache,
    )
    (deployment,) = load(source, progress).functions
    return deployment


def _runtime(language: Language) -> str:
    match language:
        case "go":
            return "provided.al2023"
        case "python":
            return _python()
        case "nodejs":
            majors = nodejs.majors()
            if not majors or majors[0] < nodejs.OLDEST:
                raise NotHere(f"Node.js {nodejs.OLDEST} or newer is not on PATH; install it from https://nodejs.org")
            return f"nodejs{majors[0]}.x"


def _python() -> str:
    return f"python{sys.version_info[0]}.{sys.version_info[1]}"


def _made(function: Bundled, cache: Path, progress: Progress) -> Path:
    """The folder in the cache; made now if it is not there. Two makers at once both make one, and the first one's is kept."""
    sources = FUNCTIONS / function.folder
    # Packages with compiled parts are made for one version of Python.
    made_for = [_python()] if function.language == "python" else []
    target = cache / "incidents" / "-".join([function.folder, *made_for, _digest(sources)])
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".making-{function.folder}-", dir=target.parent))
        try:
            shutil.copytree(sources, temporary, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            _INSTALL[function.language](temporary, progress)
            _let_others_read(temporary)
            if not target.is_dir():
                os.rename(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if not target.is_dir():  # another maker's
            raise ProjectError(
                f"{target}: cannot be made ({error.strerror}). Set XDG_CACHE_HOME to a folder that can be written to."
            ) from error
    return target


def _digest(sources: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in sources.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(sources)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _install_go(folder: Path, progress: Progress) -> None:
    if shutil.which("go") is None:
        raise NotHere("go is not on PATH; install it from https://go.dev")
    progress(f"Building the Go function (once, into {folder.parent})")
    _run(
        ["go", "build", "-trimpath", "-tags", "lambda.norpc", "-o", "bootstrap", "."],
        folder,
        "the Go function could not be built; go needs its module proxy once",
        {**os.environ, "CGO_ENABLED": "0"},
    )


def _install_node(folder: Path, progress: Progress) -> None:
    if shutil.which("npm") is None:
        raise NotHere("npm is not on PATH; it comes with Node.js, and is a package of its own on Debian and Ubuntu")
    progress(f"Fetching the Node function's packages with npm (once, into {folder.parent})")
    _run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        folder,
        "npm could not fetch the Node function's packages; it needs its registry once",
    )


def _install_python(folder: Path, progress: Progress) -> None:
    progress(f"Fetching the Python function's packages with pip (once, into {folder.parent})")
    what = ["--target", str(folder), "--require-hashes", "--requirement", "requirements.txt"]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    # A user's PIP_TARGET or PIP_USER must not lead the installation elsewhere; where packages come from is theirs to say.
    env = {name: value for name, value in os.environ.items() if name not in ("PIP_TARGET", "PIP_USER", "PIP_PREFIX")}
    command = [sys.executable, "-m", "pip", "install", *quiet, *what]
    if shutil.which("uv") is not None and subprocess.run([*command[:3], "--version"], capture_output=True, check=False).returncode:
        command = ["uv", "pip", "install", "--quiet", "--python", sys.executable, *what]
    _run(command, folder, "pip could not fetch the Python function's packages; it needs its package index once", env)
    shutil.rmtree(folder / "bin", ignore_errors=True)


_INSTALL: dict[Language, Callable[[Path, Progress], None]] = {"go": _install_go, "nodejs": _install_node, "python": _install_python}


def _run(command: Sequence[str], folder: Path, what: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise NotHere("\n".join([what, *(f"    {line}" for line in said)]))


def _let_others_read(folder: Path) -> None:
    """Functions run as another user."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
