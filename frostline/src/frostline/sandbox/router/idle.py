"""How long nothing has gone over a connection, and the middlebox on its path that forgets it for that.

Only bytes count, in either direction, whether the environment is frozen or not: those of the peer that wait in the router have passed a middlebox.
TCP keep-alive probes of the environment's kernel are answered by the router's, so they are seen as what they are to it: segments without data.
They count for a middlebox that passes packets on, and not while the environment is frozen, whose kernel would stand still on AWS. Probes of the peer do not
count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...core.middlebox import Middlebox
from . import tcp
from .relay import Relay

LOOK_S = 5.0
"""How often probes are looked for at least; Go sends one every 15 s."""

LOOKS = 4
"""And how often within a middlebox's limit."""

ACKNOWLEDGED_S = 0.25
"""By then what the last bytes have caused is over: the kernel delays an acknowledgement by 200 ms at most."""

TICKS_S = 0.02
"""The kernel counts in ticks of 1 to 10 ms: what it says may be later than the truth by two of them."""


class Idle:
    """One connection's. `on_expired(middlebox, at)` is called once, when the path has been idle for too long."""

    def __init__(self, relay: Relay, now: Callable[[], float], on_expired: Callable[[Middlebox, float], None]) -> None:
        self._relay = relay
        self._now = now
        self._on_expired = on_expired
        self._opened_at = now()
        self._passed_s = self._passed_at = 0.0
        """Time that was made to pass, and when."""
        self._probed_at = 0.0
        self._segments: int | None = None
        """How many had come at the last look; None where that was too early to mean anything."""
        self._middlebox: Middlebox | None = None
        self._timer: asyncio.TimerHandle | None = None

    def last(self) -> float:
        """When the last byte came, read or not."""
        arrived = self._now() - tcp.info(self._relay.outer).quiet_s - TICKS_S
        return max(self._opened_at, self._relay.inward.last_at or 0.0, self._relay.outward.last_at or 0.0, arrived)

    def seconds(self) -> float:
        """For how long there has been none; what was made to pass included."""
        return self._since(self.last())

    def since(self) -> float:
        """When it began to be idle; what was made to pass included."""
        return self._now() - self.seconds()

    def _since(self, last: float) -> float:
        return self._now() - last + (self._passed_s if last <= self._passed_at else 0.0)

    def guard(self, middlebox: Middlebox | None) -> None:
        """This is on the path from now on, or nothing."""
        if middlebox != self._middlebox:
            self.close()
            self._middlebox = middlebox
            self._look()

    def left_s(self) -> float | None:
        """Until the path expires; None where nothing is on it."""
        return None if self._middlebox is None else self._middlebox.idle_s - self._since(max(self.last(), self._probed_at))

    def pass_time(self, seconds: float) -> None:
        """Have it be idle for longer. What comes of that is the caller's business: see `left_s` and `expire`."""
        self._passed_s = seconds + (self._passed_s if self.last() <= self._passed_at else 0.0)
        self._passed_at = self._now()

    def expire(self, after_s: float = 0.0) -> None:
        """The path is forgotten; with time that was made to pass, when it would have been, in seconds from now."""
        middlebox = self._middlebox
        self.close()
        if middlebox is not None:
            self._on_expired(middlebox, self._now() + after_s)

    def close(self) -> None:
        """The path does not matter any more."""
        self._middlebox = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin_anew(self) -> None:
        """A freeze is over: segments that came meanwhile do not count."""
        self._segments = None

    def _look(self) -> None:
        self._timer = None
        middlebox = self._middlebox
        if middlebox is not None and middlebox.sees_probes:
            self._look_for_probes()
        left = self.left_s()
        if middlebox is None or left is None:
            return
        if left <= 0:
            self.expire()
            return
        often = min(LOOK_S, middlebox.idle_s / LOOKS) if middlebox.sees_probes else left
        self._timer = asyncio.get_running_loop().call_later(min(left, often), self._look)

    def _look_for_probes(self) -> None:
        now = self._now()
        if self._relay.inward.held or now - self.last() < ACKNOWLEDGED_S:
            self._segments = None
            return
        segments = tcp.info(self._relay.inner).segments_in
        if self._segments is not None and segments > self._segments:
            self._probed_at = now
        self._segments = segments
