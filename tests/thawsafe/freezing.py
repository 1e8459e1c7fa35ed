"""Freezes without sleeping: the clocks are moved, the invocation is marked, and the proxy has done the rest."""

from __future__ import annotations

import time

from thawsafe._runtime.watch import WATCH


class Clocks:
    """Stands in for the clocks of `WATCH`: the real ones, plus what was added."""

    def __init__(self) -> None:
        self.wall = self.monotonic = self.boottime = 0.0

    def read_wall(self) -> float:
        return time.time() + self.wall

    def read_monotonic(self) -> float:
        return time.monotonic() + self.monotonic

    def read_boottime(self) -> float:
        return time.monotonic() + self.boottime

    def pass_(self, seconds: float) -> None:
        """Time passes on all clocks, as in a freeze of an on-demand function."""
        self.wall += seconds
        self.monotonic += seconds
        self.boottime += seconds

    def suspend(self, seconds: float) -> None:
        """The machine is suspended: the monotonic clock stands still."""
        self.wall += seconds
        self.boottime += seconds

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock by so much."""
        self.wall += seconds


def mark_invocation() -> None:
    """Another invocation begins, as the handler's decorator says it."""
    WATCH.invocation_began()
