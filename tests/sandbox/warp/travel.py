"""The same program twice: once with a gap that is waited for, and once with one that is jumped over."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from frostline.core.events import EnvironmentFrozen, EnvironmentThawed, EnvironmentWarped
from tests.sandbox.driver import INTERPRETER, Driver

SEEN = (*INTERPRETER, Path(sys.prefix))
"""Python, and what is installed for these tests."""

GAP = 3
"""Units of time: longer than the waits for 1 and 2, and much shorter than those for 8."""

QUIET_S = 0.1
"""After what was expected has come, how long is waited for what was not."""


class Fired(NamedTuple):
    """A wait that came to its end."""

    name: str
    units: str
    after: float
    """Units since the program began, by its monotonic clock."""
    by_wall: float


class Traveller(Driver):
    """A driver that freezes for a while, or pretends to have."""

    async def began(self, code: Path, *argv: str, unit: float) -> str:
        """An environment whose program waits; it is given the unit of time in seconds."""
        environment = await self.started(code, extra_read_only=SEEN)
        self.run(environment, *argv, str(unit))
        await self.until(environment, "ready\n")
        return environment

    async def wait(self, environment: str, seconds: float) -> None:
        """A freeze that really lasts."""
        await self.freeze(environment)
        await asyncio.sleep(seconds)
        await self.thaw(environment)

    async def jump(self, environment: str, seconds: float) -> EnvironmentWarped:
        """A freeze that seems to last."""
        await self.freeze(environment)
        self.sandbox.warp(environment, seconds)
        warped = await self.expect(environment, EnvironmentWarped)
        await self.thaw(environment)
        return warped

    async def freeze(self, environment: str) -> None:
        self.sandbox.freeze(environment)
        await self.expect(environment, EnvironmentFrozen)

    async def thaw(self, environment: str) -> None:
        self.sandbox.thaw(environment)
        await self.expect(environment, EnvironmentThawed)

    def fired(self, environment: str) -> list[Fired]:
        """What has come to its end so far, in the order in which it was said."""
        self.sandbox.drain_output(environment)
        lines = [line.split() for line in self.text(environment).splitlines()]
        return [Fired(line[1], line[2], float(line[3]), float(line[4])) for line in lines if line[0] == "fired"]

    async def until_fired(self, environment: str, count: int) -> None:
        """Wait until so many waits came to their end, and a little longer."""
        end = 0
        for _ in range(count):
            end = await self.until(environment, "fired", after=end)
        await asyncio.sleep(QUIET_S)

    async def outcomes(self, code: Path, *argv: str, unit: float, due: int, late: int) -> tuple[list[Fired], list[Fired]]:
        """What had fired soon after a gap that was waited for, and after one of a hundred times its length that was jumped over.

        `due`: how much there is to wait for; `late`: so much of it comes later after a real wait.
        """
        jumped = await self.began(code, *argv, unit=100 * unit)
        waited = await self.began(code, *argv, unit=unit)
        warped = (await asyncio.gather(self.wait(waited, GAP * unit), self.jump(jumped, GAP * 100 * unit)))[1]
        assert warped.complete, warped
        await self.until_fired(jumped, due)
        await self.until_fired(waited, due - late)
        return self.fired(waited), self.fired(jumped)
