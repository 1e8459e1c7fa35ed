"""Did anything change? Answered by looking at file metadata only, so that it can be asked before every invocation.

A tree is walked with `scandir`; what counts is each file's relative name, size, modification time, inode and mode. Replacing a file by one of equal
size and time still changes the inode. What is not looked at: caches and tools' folders (`IGNORED`), and the inside of `node_modules`, of which only
the entries directly in it (and in `@scope` folders) count: package managers rewrite those, and `.package-lock.json`, whenever they change
anything, while the tens of thousands of files below would make every look cost a second.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from .model import Deployment, Project, ProjectError

if TYPE_CHECKING:
    from hashlib import blake2b

IGNORED = frozenset(
    {
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".aws-sam",
        ".venv",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".tox",
        ".idea",
        ".vscode",
        ".DS_Store",
    }
)
"""Names that never change what a function does, or (`.aws-sam`) are watched on their own."""


class Look(Struct, frozen=True):
    """What one look at some files and trees found."""

    digest: str
    size: int
    """Bytes in all files."""
    newest: float
    """The latest modification time, epoch seconds; 0.0 when there is no file."""


class _Walk:
    def __init__(self) -> None:
        self.hash: blake2b = hashlib.blake2b(digest_size=16)
        self.size = 0
        self.newest_ns = 0

    def entry(self, name: str, stat: os.stat_result) -> None:
        self.hash.update(f"{name}\0{stat.st_mtime_ns}\0{stat.st_size}\0{stat.st_ino}\0{stat.st_mode}\n".encode("utf-8", "surrogateescape"))
        self.size += stat.st_size
        self.newest_ns = max(self.newest_ns, stat.st_mtime_ns)

    def tree(self, directory: str, prefix: str, *, shallow: bool = False) -> None:
        try:
            with os.scandir(directory) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in found:
            if entry.name in IGNORED:
                continue
            name = f"{prefix}{entry.name}"
            try:
                if not entry.is_dir(follow_symlinks=False):
                    self.entry(name, entry.stat())
                elif shallow:
                    self.entry(name, entry.stat())
                    if entry.name.startswith("@"):
                        self.tree(entry.path, f"{name}/", shallow=True)
                else:
                    # A directory's own times change with the caches inside it, so only its name counts.
                    self.hash.update(f"{name}/\n".encode("utf-8", "surrogateescape"))
                    self.tree(entry.path, f"{name}/", shallow=entry.name == "node_modules")
            except FileNotFoundError:
                # Gone since the directory was listed, or a dangling link: it is not there.
                continue


def look(paths: Iterable[Path]) -> Look:
    """Look at files and trees. What is missing counts as missing. Raises `ProjectError` for what cannot be read."""
    walk = _Walk()
    for path in paths:
        walk.hash.update(f"{path}\1".encode("utf-8", "surrogateescape"))
        try:
            if path.is_dir():
                walk.tree(str(path), "")
            else:
                walk.entry("", path.stat())
        except FileNotFoundError:
            walk.hash.update(b"missing\n")
        except OSError as error:
            raise ProjectError(f"{error.filename or path}: cannot be read ({error.strerror}). Check its permissions.") from None
    return Look(walk.hash.hexdigest(), walk.size, walk.newest_ns / 1e9)


def fingerprint(deployment: Deployment) -> str:
    """The revision of a deployment: a short text that differs whenever its code, layers, configuration or launch do. About 10 µs a file."""
    function = deployment.function
    # Fields that are derived from the code must not count: they would make the revision depend on itself.
    bare = msgspec.structs.replace(function, revision="", code_sha256="", code_size=0, last_modified="")
    digest = hashlib.blake2b(digest_size=8)
    digest.update(msgspec.json.encode(bare, order="deterministic"))
    digest.update(repr((deployment.code, deployment.launch)).encode())
    digest.update(look((deployment.code, *deployment.layers)).digest.encode())
    return digest.hexdigest()


def stamp(project: Project) -> str:
    """Differs from `project.stamp` when something that the project was read from changed: read it again then (`reread`)."""
    return look(project.watched).digest


def code_sha256(code: Path) -> str:
    """`CodeSha256`: of a zip, the SHA-256 of its bytes, as on AWS; of a directory, which AWS never sees, one of its fingerprint. Base64."""
    if code.is_file():
        with code.open("rb") as file:
            return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
    return base64.b64encode(hashlib.sha256(look((code,)).digest.encode()).digest()).decode()


def aws_time(epoch: float) -> str:
    """Epoch seconds as AWS's API prints them: `2026-11-22T10:00:00.000+0000`."""
    moment = datetime.fromtimestamp(epoch, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"
