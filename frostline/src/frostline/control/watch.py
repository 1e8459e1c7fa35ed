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

if sys.platform == "linux":
    from inotify_simple import INotify, flags

COST_SHARE = 20
"""Without inotify: comparing files may take one part in this many of the time."""


class Watcher:
    """Watches files and folders; `changed` says whether something may have changed since it was asked last."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._inotify: INotify | None = None
        self._folders: dict[int, Path] = {}
        self._not_before = 0.0
        self._files: frozenset[Path] = frozenset()
        if sys.platform == "linux":
            self._watch(paths)

    def _watch(self, paths: tuple[Path, ...]) -> None:
        try:
            inotify = INotify(nonblocking=True)
        except OSError:
            return
        self._inotify = inotify
        try:
            for path in paths:
                # A file is watched through its folder: editors replace files.
                self._add(path if path.is_dir() else path.parent, recursive=path.is_dir())
        except OSError:  # the limit of watches
            inotify.close()
            self._inotify = None

    def _add(self, folder: Path, *, recursive: bool) -> None:
        assert self._inotify is not None
        mask = flags.CREATE | flags.DELETE | flags.MODIFY | flags.ATTRIB | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE_SELF | flags.MOVE_SELF
        try:
            self._folders[self._inotify.add_watch(folder, mask | flags.ONLYDIR)] = folder
        except (FileNotFoundError, NotADirectoryError):
            return
        if not recursive:
            return
        with os.scandir(folder) as entries:
            below = [Path(entry.path) for entry in entries if entry.name not in IGNORED and entry.is_dir(follow_symlinks=False)]
        for child in below:
            # Of installed packages only the list counts, as in a project's stamp: their files are too many.
            self._add(child, recursive=child.name != "node_modules")

    def changed(self) -> bool:
        """Something may have changed: read the project's stamp to know. False is certain where the kernel watches."""
        if self._inotify is None:
            return time.monotonic() >= self._not_before
        events = self._inotify.read(timeout=0)
        if not events:
            return False
        for event in events:
            if event.mask & flags.CREATE and event.mask & flags.ISDIR and event.name not in IGNORED and event.wd in self._folders:
                try:
                    self._add(self._folders[event.wd] / event.name, recursive=True)
                except OSError:
                    self.close()  # the limit of watches: go on by comparing files
                    return True
        return any(event.name not in IGNORED for event in events)

    def compared(self, seconds: float) -> None:
        """Comparing the files took so long."""
        self._not_before = time.monotonic() + seconds * COST_SHARE

    def close(self) -> None:
        """Watch no more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
