"""The run directory: one folder for each run of Frostline, locked while anybody of that run lives, and swept by the next run if need be.

Frostline and its warden hold the same lock. When both were killed at once, nobody was left to clean up; then the lock is free, and a later
run removes the folder and the cgroups that it names.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import cgroups
from .port import SandboxError

RUN_PREFIX = "run-"
NEWBORN_S = 60.0
"""A folder without a lock that is younger than this belongs to a run that is just starting."""


class RunDirectory:
    """A folder that is ours alone, and its lock."""

    def __init__(self, parent: Path | None = None) -> None:
        """Make it. Raises SandboxError when there is no safe place for it."""
        self.parent = parent or _parent()
        self.id = secrets.token_hex(4)
        self.path = self.parent / f"{RUN_PREFIX}{self.id}"
        try:
            try:
                self.path.mkdir(mode=0o700)
            except FileNotFoundError:  # another run, the last one, has just taken the parent away
                self.parent.mkdir(mode=0o700, exist_ok=True)
                self.path.mkdir(mode=0o700)
            # Locked before it has its name, so that no sweep can find it unlocked.
            unlocked = self.path / "lock.new"
            self.lock = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(self.path / "lock")
            for name in ("base", "stage"):
                (self.path / name).mkdir()
        except OSError as error:
            raise SandboxError(
                f"no working directory can be made in {self.parent}: {error.strerror}; set TMPDIR to a directory you can write to"
            ) from error

    def record(self, directories: Sequence[str]) -> None:
        """Note the cgroups of this run, for whoever may have to sweep them."""
        (self.path / "cgroups").write_text("".join(f"{directory}\n" for directory in directories))

    def remove(self) -> None:
        """Delete the folder and let go of the lock. Safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # another run is there
            self.parent.rmdir()
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


def sweep(parent: Path | None = None) -> list[str]:
    """Remove what runs left behind whose Frostline and warden were both killed; the ids of those runs."""
    swept = []
    for path in sorted((parent or _parent()).glob(f"{RUN_PREFIX}*")):
        try:
            lock = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            if _age(path) > NEWBORN_S:
                shutil.rmtree(path, ignore_errors=True)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            run = path.name.removeprefix(RUN_PREFIX)
            _clear_cgroups(path / "cgroups", run)
            shutil.rmtree(path, ignore_errors=True)
            swept.append(run)
        except OSError:  # somebody of that run lives
            continue
        finally:
            os.close(lock)
    if swept:
        with contextlib.suppress(OSError):
            (parent or _parent()).rmdir()
    return swept


def _clear_cgroups(record: Path, run: str) -> None:
    try:
        directories = record.read_text().splitlines()
    except OSError:
        return
    for directory in directories:
        # Only what such a run can have made.
        if Path(directory).name in (cgroups.PREFIX + run, f"{cgroups.PREFIX}{run}.main"):
            cgroups.clear(directory)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _parent() -> Path:
    """Where this user's run directories are: below the temporary directory, and nobody else's to write to."""
    path = Path(tempfile.gettempdir()) / f"frostline-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise SandboxError(
            f"no working directory can be made at {path}: {error.strerror}; set TMPDIR to a directory you can write to"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SandboxError(f"{path} is not a directory of yours alone; remove it, or set TMPDIR to a directory that others cannot write to")
    return path
