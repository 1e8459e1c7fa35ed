"""Which trials are made a second time, with hardly anything beside them.

A dozen environments share a machine that may have other work. On a slow one an invocation can run out of time that would be in time in production, and a
verdict must not hang on that. Where a time limit is all that failed, those trials are made again; what they say then counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from .verdict import Outcome

WIDTH = 2
"""Environments side by side."""

MOST_CELLS = 6
"""A function that runs out of time in more cells than these has shown it."""


def doubtful(outcomes: Sequence[Outcome]) -> dict[int, int]:
    """The places of outcomes that a slow machine could have made, and how many trials to make of each; none where anything else failed.

    A cell of which some trials went well gets twice as many: a fault that shows in half of all trials hides from four of them once in sixteen times.
    """
    failed = {place: one for place, one in enumerate(outcomes) if one.failed}
    if len(failed) > MOST_CELLS or not all(one.ran_out_of_time for one in failed.values()):
        return {}
    return {place: one.trials if one.failed == one.trials else one.trials * 2 for place, one in failed.items()}
