"""Lets time pass for environments that stand still: their clocks and their network's idle times move on, and nobody waits."""

from __future__ import annotations

import asyncio

from ..core.events import EnvironmentWarped
from ..core.states import State
from ..sandbox.port import Sandbox

PATIENCE_S = 5.0
"""How long an environment may take to stand still once its freeze delay is over: extensions may be at work, and its network drains for 0.3 s at most."""

_NEVER = {State.RESETTING.value, State.STOPPING.value, State.GONE.value}
"""From here it is not frozen before it serves another invocation."""


class Passing:
    """Watches which environments are frozen."""

    def __init__(self, sandbox: Sandbox, *, after_s: float | None = None) -> None:
        """`after_s`: move every environment on by so much as soon as it is frozen."""
        self._sandbox = sandbox
        self._after_s = after_s if after_s and sandbox.level.warps else None
        self._states: dict[str, str] = {}
        self._reset: set[str] = set()
        """Environments in which nothing runs since a reset."""
        self._waiting: dict[str, list[asyncio.Future[bool]]] = {}
        self._warping: dict[str, asyncio.Future[EnvironmentWarped]] = {}

    def moved(self, environment: str, state: str) -> None:
        """An environment changed its state."""
        self._states[environment] = state
        if state == State.FROZEN.value:
            self._settle(environment, stands_still=True)
            if self._after_s is not None:
                self._sandbox.warp(environment, self._after_s)
        elif state in _NEVER:
            self._settle(environment, stands_still=False)
        if state == State.RESETTING.value:
            self._reset.add(environment)
        elif state in (State.BUSY.value, State.GONE.value):
            self._reset.discard(environment)
        if state == State.GONE.value:
            del self._states[environment]
            self.warped(EnvironmentWarped(environment, seconds=0.0, error="the environment is gone"))

    def warped(self, event: EnvironmentWarped) -> None:
        """A warp came to its end."""
        waiting = self._warping.pop(event.environment, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(event)

    async def stands_still(self, environment: str, up_to_s: float = PATIENCE_S) -> bool:
        """Wait until it is frozen, for so long at most; False where that does not come to be."""
        if self._states.get(environment) == State.FROZEN.value:
            return True
        if self.runs_nothing(environment):
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(environment, []).append(future)
        try:
            return await asyncio.wait_for(future, up_to_s)
        except TimeoutError:
            return False

    def runs_nothing(self, environment: str) -> bool:
        """Its processes have ended, or end now: nothing of the function runs before the next invocation, and nothing is frozen."""
        return environment in self._reset or self._states.get(environment, State.GONE.value) in _NEVER

    async def warp(self, environment: str, seconds: float) -> EnvironmentWarped:
        """Move a frozen environment on; it is not thawed before that is done."""
        if environment in self._warping:
            return EnvironmentWarped(environment, seconds=seconds, error="its clocks are being moved already")
        future: asyncio.Future[EnvironmentWarped] = asyncio.get_running_loop().create_future()
        self._warping[environment] = future
        self._sandbox.warp(environment, seconds)
        return await future

    def _settle(self, environment: str, *, stands_still: bool) -> None:
        for future in self._waiting.pop(environment, []):
            if not future.done():
                future.set_result(stands_still)
