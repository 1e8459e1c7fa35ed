"""Tells what was seen of connections: in blocks, in order, and never more than somebody reads."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from ...core.events import AnyNetworkEvent, ConnectionsUnrecorded
from .channel import Channel
from .messages import Seen

BLOCK = 64
"""Events in one message: some 25 KB, less than half of what a message may have."""

MAX_BACKLOG = 64
"""Messages that wait for the main process. A function that opens thousands of connections a second must not fill our memory with the news."""

RETRY_S = 0.05


class Reporter:
    """Sends `Seen`."""

    def __init__(self, channel: Channel, now: Callable[[], float] = time.time) -> None:
        """`now`: epoch seconds."""
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._events: list[AnyNetworkEvent] = []
        self._left_out: Counter[str] = Counter()
        self._scheduled = False

    def tell(self, event: AnyNetworkEvent) -> None:
        """Record it; soon."""
        if self._channel.backlog >= MAX_BACKLOG:
            self._left_out[event.environment] += 1
            self._schedule(RETRY_S)
            return
        self._events.append(event)
        if len(self._events) >= BLOCK:
            self.flush()
        else:
            self._schedule(0)

    def _schedule(self, delay: float) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(delay, self._due)

    def _due(self) -> None:
        self._scheduled = False
        self.flush()
        if self._left_out and self._channel.backlog >= MAX_BACKLOG:
            self._schedule(RETRY_S)
            return
        now = self._now()
        for environment, count in self._left_out.items():
            self._events.append(ConnectionsUnrecorded(environment, at=now, count=count))
        self._left_out.clear()
        self.flush()

    def flush(self) -> None:
        """Send what there is now, ahead of what is said next."""
        while self._events:
            block, self._events = self._events[:BLOCK], self._events[BLOCK:]
            self._channel.send(Seen(tuple(block)))
