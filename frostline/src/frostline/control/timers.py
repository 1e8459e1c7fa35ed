"""The core's timers on the event loop.

An environment's timer moves with every invocation: freeze delay, deadline, freeze delay ... Moving it later costs nothing here: the handle
that is armed stays, fires early, sees the later time and is armed again. At 2,000 invocations a second that saves 4,000 calls into the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_ROUND_S = 0.001
"""Loops round to milliseconds, uvloop down as well as up, so a handle may fire early. What is not due then waits for another round: the core ignores a
timer that comes before its time."""


class Timers:
    """Named timers; `fire(name)` is called when one is due."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float], fire: Callable[[str], None]) -> None:
        self._loop = loop
        self._now = now
        self._fire = fire
        self._due: dict[str, float] = {}
        self._armed: dict[str, tuple[float, asyncio.TimerHandle]] = {}

    def set(self, name: str, at: float) -> None:
        """Fire at `at`; a timer that is set already is moved."""
        self._due[name] = at
        armed = self._armed.get(name)
        if armed is not None:
            if armed[0] <= at:
                return
            armed[1].cancel()
        self._arm(name, at, max(at - self._now(), 0.0))

    def cancel(self, name: str) -> None:
        """Do not fire."""
        self._due.pop(name, None)

    def close(self) -> None:
        """Fire nothing any more."""
        self._due.clear()
        for _, handle in self._armed.values():
            handle.cancel()
        self._armed.clear()

    def _arm(self, name: str, at: float, delay: float) -> None:
        self._armed[name] = (at, self._loop.call_later(delay, self._ring, name))

    def _ring(self, name: str) -> None:
        del self._armed[name]
        due = self._due.get(name)
        if due is None:
            return
        early = due - self._now()
        if early > 0:
            self._arm(name, due, max(early, _ROUND_S))
            return
        del self._due[name]
        self._fire(name)
