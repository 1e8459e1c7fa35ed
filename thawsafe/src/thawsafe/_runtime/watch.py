"""The one place that reads clocks."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable

from .._core.moments import Era, Moment


def _boottime_clock() -> Callable[[], float]:
    """The clock that counts suspension. Linux: CLOCK_BOOTTIME. macOS: its CLOCK_MONOTONIC does, and Python's `monotonic` does not."""
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform, "")
    number = getattr(time, name, None)
    if number is None:
        return time.monotonic
    return functools.partial(time.clock_gettime, number)


class Watch:
    """Says what moment it is. Threads may share it; a process has one, `WATCH`."""

    __slots__ = ("_lock", "boottime", "era", "monotonic", "wall")

    def __init__(self) -> None:
        self.wall = time.time
        self.monotonic = time.monotonic
        self.boottime = _boottime_clock()
        self.era = Era()
        self._lock = threading.Lock()

    def now(self) -> Moment:
        """The moment."""
        return _new(Moment, (self.wall(), self.monotonic(), self.boottime(), self.era))

    def invocation_began(self) -> None:
        """An invocation begins: before it, the environment may have been frozen."""
        with self._lock:
            self.era = self.era._replace(invocation=self.era.invocation + 1)

    def invocation_ended(self) -> None:
        """The invocation that began last has ended: from now on, the environment may be frozen."""
        with self._lock:
            self.era = self.era._replace(ended=self.era.invocation)

    def restored(self) -> None:
        """This process was restored from a snapshot: none of its connections is alive."""
        with self._lock:
            self.era = self.era._replace(restores=self.era.restores + 1)

    def forked(self) -> None:
        """This process came out of a fork: its connections are its parent's."""
        self._lock = threading.Lock()  # another thread may have held it, and is not in this process
        self.era = self.era._replace(forks=self.era.forks + 1)


_new: Callable[[type[Moment], tuple[float, float, float, Era]], Moment] = tuple.__new__  # half the time of Moment(...)

WATCH = Watch()

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=WATCH.forked)
