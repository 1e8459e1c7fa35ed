"""Moments: what the clocks said, and in which era of the process.

One clock is not enough to say how long a connection was idle. On Lambda every clock runs on during a freeze of an on-demand function
(measured by AWS's maintainers of the Lambda Web Adapter, aws-lambda-web-adapter#830); after a SnapStart restore, a suspended laptop or a
paused VM the monotonic clock has stood still (hyperium/hyper#3810, golang/go#29308). The wall clock knows, but it can be set. So a
moment holds three readings, and the idle time is the longest that any of them tells: believing the longest costs one new connection
when it is wrong, believing the shortest costs a failed request.
"""

from __future__ import annotations

from typing import NamedTuple


class Era(NamedTuple):
    """Counts that only ever grow: what time alone does not tell."""

    invocation: int = 0
    """How many invocations have begun. 0: in the init phase, or nobody marks them."""
    restores: int = 0
    """How often somebody said that this process was restored from a snapshot."""
    forks: int = 0
    """How often this process came out of a fork: a connection belongs to the process that opened it."""
    ended: int = 0
    """How many of the invocations have ended: with the last one, until the next begins, the environment may be frozen at any time."""

    @property
    def inside(self) -> bool:
        """A marked invocation is under way."""
        return self.invocation > self.ended


class Moment(NamedTuple):
    """The clocks in seconds, and the era in which they were read."""

    wall: float
    """CLOCK_REALTIME. Runs on through everything, and can be set, forwards and backwards."""
    monotonic: float
    """CLOCK_MONOTONIC. Never set; stands still while a machine is suspended."""
    boottime: float
    """CLOCK_BOOTTIME where there is one: monotonic, and it counts suspension. Else the monotonic clock again."""
    era: Era = Era()


class Datum(NamedTuple):
    """What makes a moment of one reading of the monotonic clock, the only one that is read after every request."""

    wall: float
    """By how many seconds the wall clock was ahead of the monotonic one, when somebody last read them all."""
    boottime: float
    """The same of the boot clock."""
    era: Era

    def at(self, monotonic: float) -> Moment:
        """The moment. A suspension that was missed makes the idle time after it longer, never shorter."""
        return Moment(monotonic + self.wall, monotonic, monotonic + self.boottime, self.era)


def datum(now: Moment) -> Datum:
    """What holds from now on, until all clocks are read again."""
    return Datum(now.wall - now.monotonic, now.boottime - now.monotonic, now.era)


def elapsed(last: Moment, now: Moment) -> float:
    """Seconds from `last` to `now`: the longest that any clock tells, and never less than 0, however the clocks were set."""
    return max(now.wall - last.wall, now.monotonic - last.monotonic, now.boottime - last.boottime, 0.0)


def leap(last: Moment, now: Moment) -> float:
    """How many seconds the wall clock or the boot clock went further than the monotonic one: time in which the machine stood still.

    At most 0 when nothing leapt; a wall clock that was set back is no leap. A wall clock that was set forward cannot be told from a
    suspension, and counts as one.
    """
    return max(now.wall - last.wall, now.boottime - last.boottime) - (now.monotonic - last.monotonic)
