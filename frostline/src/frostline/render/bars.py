"""A lane as stretches of one colour, down to columns where there are more stretches than a picture has room for."""

from __future__ import annotations

from itertools import groupby

from msgspec import Struct

from .axis import Axis
from .palette import STATES
from .view import Lane

STRENGTH = ("", "idle", "ends", "frozen", "init", "busy", "failed")
"""What is seen of several in one column: the last of these."""


class Bar(Struct, frozen=True):
    """A stretch of one kind (a colour of `palette`), from place to place on the axis."""

    kind: str
    begin: float
    end: float


def failed(lane: Lane) -> set[str]:
    """The request ids that the function failed."""
    return {invocation.request_id for invocation in lane.invocations if invocation.failed}


def columns(lane: Lane, axis: Axis, count: int) -> list[str]:
    """The lane in so many columns of equal width: each one's strongest kind, `""` where there is no environment."""
    strengths = [0] * count
    bad = failed(lane)
    for phase in lane.phases:
        kind = "failed" if phase.request_id in bad and phase.state == "busy" else STATES.get(phase.state, "idle")
        strength = STRENGTH.index(kind)
        first = min(int(axis.place(phase.begin) * count), count - 1)
        last = min(int(axis.place(phase.end) * count - 1e-9), count - 1)
        for column in range(first, max(first, last) + 1):
            if strengths[column] < strength:
                strengths[column] = strength
    return [STRENGTH[strength] for strength in strengths]


def bars(lane: Lane, axis: Axis, count: int) -> list[Bar]:
    """The lane in at most so many bars: columns that are alike, put together."""
    found, reached = [], 0
    for kind, same in groupby(columns(lane, axis, count)):
        width = len(list(same))
        if kind:
            found.append(Bar(kind, reached / count, (reached + width) / count))
        reached += width
    return found


def shares(lane: Lane, axis: Axis, count: int) -> list[float]:
    """How much of each column an invocation takes, from 0 to 1: what is seen of a lane with more invocations than columns."""
    found = [0.0] * count
    for phase in lane.phases:
        if phase.state != "busy":
            continue
        begin, end = axis.place(phase.begin) * count, axis.place(phase.end) * count
        for column in range(int(begin), min(int(end), count - 1) + 1):
            found[column] += min(end, column + 1) - max(begin, column)
    return [min(share, 1.0) for share in found]
