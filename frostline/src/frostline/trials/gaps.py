"""How time passes in a gap between two invocations."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..control.plane import ControlPlane
from ..core.events import EnvironmentWarped
from .trial import TrialError


class Gaps(Protocol):
    """Lets an environment be idle for a time, in whatever way."""

    async def idle(self, plane: ControlPlane, function: str, seconds: float) -> EnvironmentWarped | None:
        """Return when this function's environment has been idle for so many seconds of its own time; with what became of its clocks, if they were moved."""


class RealTime:
    """Waits."""

    async def idle(self, plane: ControlPlane, function: str, seconds: float) -> None:
        """Sleep."""
        del plane, function
        await asyncio.sleep(seconds)


class Warped:
    """Moves an environment's clocks, and its network's, once it is frozen: hours take milliseconds."""

    async def idle(self, plane: ControlPlane, function: str, seconds: float) -> EnvironmentWarped | None:
        """Wait until it stands still, and let the time pass."""
        warped = await plane.pass_time(function, seconds)
        if warped is None and not all(plane.passing.runs_nothing(one) for one in plane.environments_of(function)):
            raise TrialError(f"{function} did not stand still, so no time could pass for it")
        return warped
