"""The path's latency: what goes in comes out in the same order, each so much later."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Delay:
    """One direction of a path. Without a delay, things happen at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        # One timer for the first in line: timers of their own, due at the same time, would not keep their order.
        self._line: deque[tuple[float, Callable[[], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, action: Callable[[], None], not_before: float = 0.0) -> None:
        """Do this at the other end; it sets out now, or at `not_before` (loop time)."""
        if not self._seconds:
            action()
            return
        self._line.append((max(self._loop.time(), not_before) + self._seconds, action))
        if self._timer is None:
            self._timer = self._loop.call_at(self._line[0][0], self._arrive)

    def _arrive(self) -> None:
        while self._line and self._line[0][0] <= self._loop.time():
            self._line.popleft()[1]()
        self._timer = self._loop.call_at(self._line[0][0], self._arrive) if self._line else None
