"""What happens in the trials: when an environment is invoked, and when it is frozen."""

from __future__ import annotations

from typing import Any

from ..trial import Life, Script
from .baseline import Baseline
from .plan import LINGERS_S, Cell, conditions

BASELINE_INVOCATIONS = 4
"""A function that fails only when it is asked again must show it before anything is blamed on a freeze."""

SOON_S = 0.05
"""Between invocations that follow one another."""

JUDGED = 2
"""How many of a script's last invocations come after the freeze in question: the first one after it, and the next, which can be the one that pays."""


def several(event: Any) -> Script:
    """Invocations that follow one another."""

    async def script(life: Life) -> None:
        for number in range(BASELINE_INVOCATIONS):
            if number:
                await life.wait(SOON_S)
            await life.invoke(event)

    return script


def one_second(event: Any) -> Script:
    """One gap, to see whether clocks move in it."""

    async def script(life: Life) -> None:
        await life.invoke(event)
        await life.idle(1.0)
        await life.invoke(event)

    return script


def script_of(cell: Cell, found: Baseline, event: Any) -> Script:
    """A cell's: warm invocations, the gap with what happens in it, and two invocations after it."""
    met = conditions(cell, found.destinations)

    async def script(life: Life) -> None:
        if cell.moment == "after_init":
            await life.prepare()
        else:
            await life.invoke(event)
            await life.wait(SOON_S)
        if cell.moment == "in_flight":
            life.meet(met)
        if cell.moment != "after_init":
            await life.invoke(event)
        life.meet(met)
        if cell.moment == "lingering":
            await life.linger(LINGERS_S)
        await life.idle(cell.gap_s)
        if cell.moment in ("in_flight", "lingering"):
            life.meet(None)  # what was on its way has arrived
        await life.invoke(event)
        # It happens in this one gap: what a client opens afterwards is as good as ever.
        life.meet(None)
        await life.wait(SOON_S)
        await life.invoke(event)

    return script
