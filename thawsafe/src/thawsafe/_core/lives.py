"""What is known about one connection, and how that changes: it is opened, judged, used.

    opened      its peer accepted it: as good as an answer
    kept        it was judged, and found usable
    used        a request on it was answered; the first time after a verdict, that proves something (`proved`)
    answered    its peer answered a question of ours

Idleness is counted from the last answer (`last`), never from a verdict: a connection that is judged again and again, and not used, ages.
"""

from __future__ import annotations

from typing import Any

from .moments import Moment, datum, elapsed
from .paths import Path

FRESH = 0.5
"""Seconds for which a use or a verdict speaks for a connection, unless a limit is shorter. Half of the shortest limit that a server can announce
(`Keep-Alive: timeout=1`); HikariCP skips its own check for as long."""


class Life:
    """One connection's. An adapter keeps it on the connection object; requests that share a connection share it.

    An adapter writes `used` itself when an answer is there, by the monotonic clock: every request does, and a call is more than that costs.

    longest: seconds after which it is too old (`connection_age`). fresh_for: seconds for which a use or a verdict speaks for it (`Limits.fresh_for`).
    """

    __slots__ = (
        "datum", "era", "fresh_for", "idle", "judged", "longest", "loop", "opened", "path", "peer", "retires", "seen", "shared", "took", "until", "until_wall",
        "used", "used_datum",
    )  # fmt: skip

    def __init__(
        self,
        peer: str,
        path: Path,
        opened: Moment,
        took: float = 0.0,
        loop: Any = None,
        longest: float = float("inf"),
        fresh_for: float = FRESH,
    ) -> None:
        self.peer = peer
        self.path = path
        self.opened = opened
        self.longest = longest
        self.fresh_for = fresh_for
        self.took = took
        """Seconds that opening it took."""
        self.loop = loop
        """The event loop that it belongs to, or None without one."""
        self.shared = False
        """Requests share it at the same time, so that an answer need not be that to the latest of them."""
        self.judged = True
        """It was opened or judged for its present use: how that ends tells something about its path."""
        self.idle = 0.0
        """Seconds of idleness before its present use, where it was judged for that; 0 when an answer has shown that it lived through them."""
        self.answered(opened)

    @property
    def last(self) -> Moment:
        """When it was last used: its peer answered. Held over invocations, it counts as used in the one that it was taken in."""
        return self.used_datum.at(self.used)

    def kept(self, idle: float, now: Moment) -> None:
        """It is usable. `idle`: the seconds of idleness that its next answer will show it to have lived through.

        Who waited for that verdict need not ask again, and must not, because it may be in use by now.
        """
        self.idle = idle
        self.judged = True
        self._seen(now)

    def answered(self, now: Moment) -> None:
        """It was opened, or its peer answered a question of ours."""
        self._seen(now)
        self.used = now.monotonic
        """When its peer last answered, on the monotonic clock."""
        self.used_datum = self.datum
        """What makes a moment of `used`."""

    def _seen(self, now: Moment) -> None:
        self.datum = datum(now)
        """How far the other clocks are ahead of the monotonic one since the last verdict."""
        self.era = now.era
        """The era of the last verdict: in another one it has to be judged again."""
        self.seen = now.monotonic
        """When it was last found usable, on the monotonic clock."""
        self.retires = now.monotonic + self.longest - elapsed(self.opened, now)
        """When it is too old, on the monotonic clock, by whichever clock has told the longest since it was opened."""
        self._fresh_after(now.monotonic)

    def extend(self) -> None:
        """It is fresh, by a use that `until` does not know of yet. Of requests that follow one another, one in half a second comes here."""
        self._fresh_after(max(self.seen, self.used))

    def _fresh_after(self, last: float) -> None:
        self.until = min(last + self.fresh_for, self.retires)
        """Until when it is fresh in this era, if not for longer, on the monotonic clock: what requests compare."""
        self.until_wall = last + self.datum.wall + self.fresh_for
        """The same on the wall clock, which runs on while the machine is suspended."""

    def proved(self) -> None:
        """The use that it was judged for has ended, with an answer."""
        self.judged = False
        if not self.shared and self.used > self.seen:
            self.path.served(self.used - self.seen)
        self.used_datum = self.datum
        if self.idle:
            self.path.was_alive_after(self.idle)
            self.idle = 0.0

    def __repr__(self) -> str:
        return f"<Life of a connection to {self.peer}>"
