"""Freezes without sleeping: the clocks are moved, the invocation is marked, and the proxy has done the rest."""

from __future__ import annotations

import time

from thawsafe._runtime.watch import WATCH


class Clocks:
    """Stands in for the clocks of `WATCH`: time passes when a test says so, and else only as far as that no two moments are the same.

    On real clocks, a busy machine that stands still for a second between two requests would be a gap to be judged.
    """

    TICK = 1e-6

    def __init__(self) -> None:
        self.wall, self.monotonic, self.boottime = time.time(), time.monotonic(), time.monotonic()

    def read_wall(self) -> float:
        self.wall += self.TICK
        return self.wall

    def read_monotonic(self) -> float:
        self.monotonic += self.TICK
        self.boottime += self.TICK
        return self.monotonic

    def read_boottime(self) -> float:
        return self.boottime

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
