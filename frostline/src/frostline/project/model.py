"""The vocabulary of this room: what was found, and how it is started.

Nothing here reads a file. A `Launch` speaks of places inside an execution environment (`/var/task`, `/opt`, `/var/runtime`) without knowing
where they are: with namespaces they are where AWS has them, without namespaces they are host directories. Whoever starts the process says which.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from ..core.function import Function

Progress = Callable[[str], None]
"""Told in a sentence, as it begins, what takes long (installing a runtime client)."""


class ProjectError(Exception):
    """The user's project cannot be used as it is. The message is for a person: file, place, what was found, what to try."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


Root = Literal["task", "opt", "runtime", "lang"]


class Paths(Struct, frozen=True, kw_only=True):
    """Where a process sees its environment's directories. The defaults are AWS's."""

    task: str = "/var/task"
    opt: str = "/opt"
    runtime: str = "/var/runtime"
    language: str = ""
    """Where the language's own installation is: `/var/lang` on AWS. By default `lang` in the runtime's directory, which it is part of here."""

    @property
    def lang(self) -> str:
        """`language`, or its default."""
        return self.language or f"{self.runtime}/lang"


DEFAULT_PATHS = Paths()


class Seen(Struct, frozen=True):
    """A path inside an execution environment, under one of its roots."""

    root: Root
    path: str = ""

    def at(self, paths: Paths) -> str:
        """The path as a process sees it."""
        base: str = getattr(paths, self.root)
        return f"{base}/{self.path}" if self.path else base


Word = str | Seen


def spelled(words: tuple[Word, ...], paths: Paths) -> tuple[str, ...]:
    """Words with every `Seen` replaced by its path."""
    return tuple(word if isinstance(word, str) else word.at(paths) for word in words)


class Launch(Struct, frozen=True, kw_only=True):
    """How a function's runtime process is started."""

    argv: tuple[Word, ...]
    """The command; its first word is an absolute path."""
    environment: dict[str, tuple[Word, ...]] = {}
    """Variables this runtime adds or replaces; several words are joined with colons (`NODE_PATH`)."""
    runtime_dir: Path | None = None
    """A host directory to be seen, read-only, at `/var/runtime`."""
    read_only: tuple[Path, ...] = ()
    """Host directories the runtime needs at their own paths, beyond the system's (`/usr`, `/lib*`, `/bin`): the interpreter's installation."""
    gate: bool = False
    """The process prepares itself, then waits at file descriptor 3 for one byte before it touches the function."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: what differs from AWS."""

    def command(self, paths: Paths = DEFAULT_PATHS) -> tuple[str, ...]:
        """`argv` for a process that sees its directories at `paths`."""
        return spelled(self.argv, paths)

    def variables(self, paths: Paths = DEFAULT_PATHS) -> dict[str, str]:
        """`environment` for a process that sees its directories at `paths`."""
        return {name: ":".join(spelled(words, paths)) for name, words in self.environment.items()}


GATE = "gate"
"""The last argument of launchers that wait at file descriptor 3 before they touch the function. A process without it does not wait."""


class Deployment(Struct, frozen=True, kw_only=True):
    """A function, where its code lies, and how it is started."""

    function: Function
    code: Path
    """A directory, to be seen read-only at `/var/task`."""
    layers: tuple[Path, ...] = ()
    """Directories, to be merged at `/opt`; a later one hides an earlier one's files."""
    launch: Launch
    logical_id: str = ""
    """The resource's name in its template, where that differs from the function's name."""


class Refused(Struct, frozen=True):
    """A function of a template that cannot be run here; the others can."""

    name: str
    message: str


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/frostline`: extracted zips and installed runtime clients. Safe to delete while Frostline is not running."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "frostline"


class Source(Struct, frozen=True, kw_only=True):
    """What the user pointed at, and what they said about it."""

    path: Path
    """A template, a directory (with or without a template), a zip, or a single file."""
    handler: str | None = None
    runtime: str | None = None
    """With a handler or a runtime given, a directory is one function, even if it holds a template."""
    name: str | None = None
    """The function's name, for sources that do not name it. Default: the directory's or file's own name."""
    parameters: Mapping[str, str] = {}
    """`--parameter` for a template."""
    environment: Mapping[str, str] = {}
    """Variables added to every function's own, and stronger than them."""
    timeout_s: float | None = None
    memory_mb: int | None = None
    """Timeout and memory of a function that is not described by a template."""
    region: str = "us-east-1"
    cache: Path = field(default_factory=default_cache)


class Project(Struct, frozen=True, kw_only=True):
    """Everything that was found at a source."""

    source: Source
    functions: tuple[Deployment, ...]
    watched: tuple[Path, ...]
    """Files and directories whose change may change the project; see `stamp` and `reread`."""
    origin: Path
    """The file or directory that was used: `.aws-sam/build/template.yaml`, say, where `source.path` is `template.yaml`."""
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences for the user: what was left out or replaced, and why."""
    stamp: str = ""
    """What `stamp(project)` said when the project was read."""
