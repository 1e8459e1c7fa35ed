"""`python3.x`: the interpreter found on this machine, with AWS's own runtime client, `awslambdaric`, and `boto3`, as AWS's runtime has them.

They are installed once per interpreter into the cache, into a directory that functions see at `/var/runtime`:

    awslambdaric/ boto3/ ...    installed by pip
    bootstrap.py                ours, from `python_bootstrap.py`: where AWS has a file of that name
    lang/bin/python3.12         a link to the interpreter; `lang` is what AWS has at `/var/lang`
    lang/lib/libpython3.12.so   a link to its library, where it has one
    lang/pyvenv.cfg             makes `lang` a virtual environment without packages: nothing installed on the host can be imported
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..model import GATE, Launch, Progress, ProjectError, Seen, Word
from .interpreters import Interpreter, find, versions

CLIENTS = {(3, 8): "2.2.1", (3, 9): "4.0.4"}
CLIENT = "4.2.2"
"""Version of `awslambdaric`: the newest (November 2026), and the newest that still supports older Pythons."""

OLDEST = (3, 8)

_COERCED = (3, 12)
"""From here on AWS's runtimes have no locale en_US.UTF-8, so Python itself sets LC_CTYPE (PEP 538), and functions see that."""

_BOOTSTRAP = Path(__file__).with_name("python_bootstrap.py")


def launch(version: tuple[int, int], cache: Path, progress: Progress) -> Launch:
    """How to start a Python function. Raises `ProjectError` without an interpreter, or when the runtime client cannot be installed."""
    name = _name(version)
    interpreter = _interpreter(version)
    directory = ensure(version, cache, progress)
    variables: dict[str, tuple[Word, ...]] = {"PYTHONPATH": (Seen("runtime"),)}
    if version >= _COERCED:
        variables["LC_CTYPE"] = ("C.UTF-8",)
    return Launch(
        argv=(Seen("lang", f"bin/{name}"), Seen("runtime", "bootstrap.py"), Seen("opt"), GATE),
        environment=variables,
        runtime_dir=directory,
        read_only=tuple(Path(path) for path in interpreter.directories),
        gate=True,
    )


def ensure(version: tuple[int, int], cache: Path, progress: Progress) -> Path:
    """The runtime directory for this version of Python, made now if it is not there. Safe against concurrent makers. Raises `ProjectError`."""
    interpreter = _interpreter(version)
    client = CLIENTS.get(version, CLIENT)
    name = _name(version)
    directory = cache / "runtimes" / f"{name}-{client}-{hashlib.sha256(interpreter.executable.encode()).hexdigest()[:8]}"
    if not directory.is_dir():
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            with _lock(directory, progress):
                if not directory.is_dir():
                    progress(f"Installing AWS's runtime client awslambdaric {client} and boto3 for {name} (once)")
                    _make(directory, version, interpreter, client)
        except OSError as error:
            raise ProjectError(
                f"{directory}: cannot be made ({error.strerror}). The runtime client of {name} is kept there; set XDG_CACHE_HOME to a writable directory."
            ) from None
    _refresh(directory)
    return directory


def _name(version: tuple[int, int]) -> str:
    return f"python{version[0]}.{version[1]}"


def _interpreter(version: tuple[int, int]) -> Interpreter:
    if version < OLDEST:
        raise ProjectError(
            f"Runtime {_name(version)} is too old: AWS's runtime client for it is no longer published. Use python3.8 or newer."
        )
    interpreter = find(version)
    if interpreter is None:
        name, number = _name(version), f"{version[0]}.{version[1]}"
        here = ", ".join(versions()) or "none"
        raise ProjectError(
            f"Runtime {name} needs Python {number} on this machine, and none was found (looked for {name} on PATH, in pyenv's and uv's "
            f"directories, /usr/bin, /usr/local/bin and /opt). Install it, for example with `uv python install {number}` or `pyenv install {number}`, "
            f"or use a version that is here: {here}."
        )
    return interpreter


@contextmanager
def _lock(directory: Path, progress: Progress) -> Iterator[None]:
    with open(directory.parent / f".{directory.name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"Waiting for another Frostline that prepares {directory.name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(directory: Path, version: tuple[int, int], interpreter: Interpreter, client: str) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".making-{directory.name}-", dir=directory.parent))
    try:
        _install(temporary, version, interpreter, [f"awslambdaric=={client}", "boto3"])
        _virtual_environment(temporary / "lang", version, interpreter)
        shutil.copyfile(_BOOTSTRAP, temporary / "bootstrap.py")
        for path, directories, files in os.walk(temporary):
            os.chmod(path, 0o755)  # noqa: S103 - other users' processes read it
            for file in files:
                full = os.path.join(path, file)
                if not os.path.islink(full):
                    os.chmod(full, os.stat(full).st_mode | 0o444)
            directories[:] = [name for name in directories if not os.path.islink(os.path.join(path, name))]
        os.rename(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _install(target: Path, version: tuple[int, int], interpreter: Interpreter, packages: list[str]) -> None:
    options = ["--target", str(target), *packages]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
    attempts = (
        [interpreter.executable, "-m", "pip", "install", *quiet, *options],
        # Some systems' Python comes without pip; ours, or uv, can install for it.
        [sys.executable, "-m", "pip", "--python", interpreter.executable, "install", *quiet, *options],
        ["uv", "pip", "install", "--quiet", "--python", interpreter.executable, *options],
    )
    # A user's PIP_TARGET, PIP_USER or PYTHONPATH must not lead the installation elsewhere; where packages come from is theirs to say.
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PIP_TARGET", "PIP_USER", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME")
    }
    said = ""
    for attempt in attempts:
        try:
            done = subprocess.run(attempt, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, check=False, cwd=target)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            shutil.rmtree(target / "bin", ignore_errors=True)
            return
        if "No module named pip" not in done.stderr:
            said = (done.stderr or done.stdout).strip()
            break
    tail = "\n".join(f"    {line}" for line in said.splitlines()[-8:]) or "    neither pip nor uv was found"
    raise ProjectError(
        f"AWS's runtime client for {_name(version)} could not be installed with pip:\n{tail}\n"
        f"It needs a package index once. When it can be reached, try again with: python -m frostline.project.runtimes prepare {_name(version)}"
    )


def _virtual_environment(directory: Path, version: tuple[int, int], interpreter: Interpreter) -> None:
    binaries = directory / "bin"
    binaries.mkdir(parents=True)
    for name in (_name(version), "python3", "python"):
        (binaries / name).symlink_to(interpreter.executable)
    libraries = directory / "lib"
    libraries.mkdir()
    for library in Path(interpreter.prefix, "lib").glob(f"lib{_name(version)}*.so*"):
        # LD_LIBRARY_PATH is stronger than the path built into the binary, so the interpreter's own library must be found before one of the system's.
        (libraries / library.name).symlink_to(library)
    (directory / "pyvenv.cfg").write_text(f"home = {os.path.dirname(interpreter.executable)}\ninclude-system-site-packages = false\n")


def _refresh(directory: Path) -> None:
    """The directory may have been made by another version of Frostline, with another bootstrap."""
    wanted = _BOOTSTRAP.read_bytes()
    installed = directory / "bootstrap.py"
    try:
        if installed.read_bytes() == wanted:
            return
    except FileNotFoundError:
        pass
    temporary = directory / f".bootstrap-{os.getpid()}"
    try:
        temporary.write_bytes(wanted)
        temporary.chmod(0o644)
        os.replace(temporary, installed)
    except OSError as error:
        raise ProjectError(
            f"{installed}: cannot be written ({error.strerror}). It must be brought up to date; or delete {directory}."
        ) from None
