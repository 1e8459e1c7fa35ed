"""Has the project changed? Asked before every invocation, so it must cost next to nothing.

On Linux the kernel keeps the answer ready (inotify): asking is one read that finds nothing. A change that was made before the invocation arrived is
therefore always seen by it, without polling. Elsewhere, and where the kernel's limit of watches is reached, files are compared (`project.stamp`), so
seldom that it takes at most a twentieth of the time.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ..project.fingerprint import IGNORED
from ..sandbox.output import readable_bytes

if sys.platform == "linux":
    from inotify_simple import Event, INotify, flags

    _ROOT_GONE = flags.DELETE_SELF | flags.MOVE_SELF | flags.IGNORED | flags.UNMOUNT

COST_SHARE = 20
"""Without inotify: comparing files may take one part in this many of the time."""


class Watcher:
    """Watches files and folders; `changed` says whether something may have changed since it was asked last.

    The first answer is yes: what the caller knows of the files is older than the watcher.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self._inotify: INotify | None = None
        self._folders: dict[int, Path] = {}
        self._roots: dict[int, tuple[int, int] | None] = {}
        self._awaited: set[tuple[Path, str]] = set()
        self._new = True
        self._not_before = 0.0
        if sys.platform == "linux":
            self._watch()

    def _watch(self) -> None:
        self.close()
        try:
            self._inotify = INotify(nonblocking=True)
            for path in self._paths:
                # A file is watched through its folder, because editors replace files.
                folder, recursive = (path, True) if path.is_dir() else (path.parent, False)
                while (root := self._add(folder, recursive=recursive)) is None:
                    # Not there yet, like a build's folder: whatever comes under its name is looked at anew.
                    missing, folder, recursive = folder.name, folder.parent, False
                    self._awaited.add((folder, missing))
                self._roots[root] = _identity(folder)
        except OSError:  # the limit of watches
            self.close()

    def _add(self, folder: Path, *, recursive: bool) -> int | None:
        """Watch a folder, and those in it; None when it is not there (any more)."""
        assert self._inotify is not None
        mask = (
            flags.CREATE
            | flags.DELETE
            | flags.MODIFY
            | flags.ATTRIB
            | flags.MOVED_FROM
            | flags.MOVED_TO
            | flags.DELETE_SELF
            | flags.MOVE_SELF
        )
        try:
            watch: int = self._inotify.add_watch(folder, mask | flags.ONLYDIR)
        except (FileNotFoundError, NotADirectoryError):
            return None
        self._folders[watch] = folder
        if recursive:
            self._add_below(folder)
        return watch

    def _add_below(self, folder: Path) -> None:
        try:
            with os.scandir(folder) as entries:
                below = [Path(entry.path) for entry in entries if entry.name not in IGNORED and entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return
        for child in below:
            # Of installed packages only the list counts, as in a project's stamp: their files are too many.
            self._add(child, recursive=child.name != "node_modules")

    def changed(self) -> bool:
        """Something may have changed: read the project's stamp to know. False is certain where the kernel watches."""
        if self._new:
            self._new = False
            return True
        if self._inotify is None:
            return time.monotonic() >= self._not_before
        if not readable_bytes(self._inotify.fileno()):
            return False
        events = self._inotify.read(timeout=0)
        if (
            any(
                event.mask & flags.Q_OVERFLOW or (event.wd in self._roots and event.mask & _ROOT_GONE) or self._is_awaited(event)
                for event in events
            )
            or self._replaced()
        ):
            self._watch()  # something escaped, or what is there now under the same name is another folder
            return True
        try:
            for event in events:
                if event.mask & (flags.CREATE | flags.MOVED_TO) and event.mask & flags.ISDIR and event.name not in IGNORED:
                    self._appeared(event.wd, event.name)
        except OSError:
            self.close()  # the limit of watches: go on by comparing files
            return True
        return any(event.name not in IGNORED for event in events)

    def _is_awaited(self, event: Event) -> bool:
        return (self._folders.get(event.wd), event.name) in self._awaited

    def _replaced(self) -> bool:
        """A folder that environments have mounted lives on when it is removed, and the kernel does not say that it is gone."""
        return any(_identity(self._folders[watch]) != known for watch, known in self._roots.items())

    def _appeared(self, watch: int, name: str) -> None:
        folder = self._folders.get(watch)
        if folder is not None:
            self._add(folder / name, recursive=name != "node_modules" and folder.name != "node_modules")

    def compared(self, seconds: float) -> None:
        """Comparing the files took so long."""
        self._not_before = time.monotonic() + seconds * COST_SHARE

    def close(self) -> None:
        """Watch no more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._folders.clear()
        self._roots.clear()
        self._awaited.clear()


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
