"""What adapters talk to: a `Guard` for a client, a `Life` for each of its connections."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .._core.configurations import Configuration
from .._core.judging import Verdict, fresh, judge
from .._core.lives import Life
from .._core.moments import Moment, elapsed
from .._core.paths import Path
from .journal import JOURNAL, Journal
from .snapshots import listen
from .watch import WATCH, Watch

if TYPE_CHECKING:
    import asyncio

MOST_PATHS = 512
"""Peers of which something is remembered; with more of them, the oldest is forgotten."""
LEAST_PROBE = 0.05
"""Seconds that a probe gets at least, however fast the connection was opened: a function with little memory has its share of a CPU in slices, with
tens of milliseconds between them."""
TICKS = 2
"""Turns of the event loop before a connection of asyncio is judged: in the first, our own step runs before the selector's news (FIN, RST) are
read; in the second they have been, and the transport is closing."""


class Guard:
    """Judges the connections of one client object, counts, and learns. Threads and event loops may share it."""

    def __init__(self, client: str, configuration: Configuration, *, watch: Watch = WATCH, journal: Journal = JOURNAL) -> None:
        self.client = client
        """The client's name in logs."""
        self.configuration = configuration
        self._limits = configuration.limits
        self._watch = watch
        self._journal = journal
        self._paths: dict[str, Path] = {}
        listen()

    def opened(self, peer: str, took: float = 0.0, loop: asyncio.AbstractEventLoop | None = None) -> Life:
        """A connection to `peer` (`host:port`) was opened, which took so many seconds, everything included that comes before a request.

        `loop`: the event loop that it belongs to, for asyncio.
        """
        self._journal.count("opened")
        return Life(peer, self._path(peer), self._watch.now(), took, loop, self.configuration.connection_age)

    def _path(self, peer: str) -> Path:
        path = self._paths.get(peer)
        if path is None:
            while len(self._paths) >= MOST_PATHS:
                self._paths.pop(next(iter(self._paths)), None)
            path = self._paths.setdefault(peer, Path())
        return path

    def used(self, life: Life) -> None:
        """The connection answered, and goes back to its pool. Adapters do this in line as well."""
        life.used = self._watch.monotonic()
        if life.judged:
            life.proved()

    def hinted(self, life: Life, keep_alive: str) -> None:
        """The peer answered with this `Keep-Alive` header."""
        life.path.hinted(keep_alive)

    def failed(self, life: Life) -> None:
        """The connection broke before its peer said anything to the present request. What it was idle for is more than the path allows."""
        self._journal.count("died")
        if life.idle:
            life.path.was_dead_after(life.idle)

    def fresh(self, life: Life) -> bool:
        """Was the connection used or judged within the last half second, by this process and in this invocation? Then it is usable, unasked.

        The first question of `usable`. Adapters ask it before, in line (see `_core.judging.fresh`), because of most connections it is true.
        """
        watch = self._watch
        if not fresh(life, watch.wall(), watch.monotonic(), watch.era):
            return False
        life.extend()
        return True

    def usable(self, life: Life, closed: Callable[[], bool], probe: Callable[[float], bool] | None = None) -> bool:
        """May the connection carry the next request? Ask before anything is written; when not, close it and open another.

        `closed`: the free check, asked unless the connection was used just now. `probe`: asks the peer, in at most the seconds
        that it is given, and says whether it answered; an error is a no. None where the protocol has no harmless question.
        """
        if self.fresh(life):
            return True
        known, now = (life.seen, life.used), self._watch.now()
        is_closed = closed()
        if (life.seen, life.used) != known:
            return True  # used meanwhile by somebody it is shared with: what there is to read is an answer, and closing it would lose that
        verdict = self._judge(life, now, is_closed, probe is not None)
        took = 0.0
        if probe is not None and verdict.action == "probe":
            began = time.perf_counter()
            try:
                answered = probe(self.probe_timeout(life))
            except Exception:  # noqa: BLE001 - whatever a client raises: the connection did not prove that it lives
                answered = False
            took = time.perf_counter() - began
            verdict = _after_probe(verdict, answered)
        return self._conclude(life, verdict, took)

    async def usable_async(
        self, life: Life, closed: Callable[[], bool | Awaitable[bool]], probe: Callable[[float], Awaitable[bool]] | None = None
    ) -> bool:
        """As `usable`, for asyncio: the loop turns first, because it was frozen too, and what the kernel has for the connection is unread.

        `closed` may be a coroutine function.
        """
        import asyncio  # loaded by whoever calls this; a function without asyncio is spared its 50 ms

        if life.loop is not None and life.loop is not asyncio.get_running_loop():
            return self._conclude(life, Verdict("discard", "forked", elapsed(life.last, self._watch.now()), "none"), 0.0)
        if self.fresh(life):
            return True
        known, now = (life.seen, life.used), self._watch.now()
        for _ in range(TICKS):
            await asyncio.sleep(0)
        is_closed = closed()
        if not isinstance(is_closed, bool):
            is_closed = await is_closed
        if (life.seen, life.used) != known:
            return True  # as in `usable`
        verdict = self._judge(life, now, is_closed, probe is not None)
        took = 0.0
        if probe is not None and verdict.action == "probe":
            began = time.perf_counter()
            try:
                limit = self.probe_timeout(life)
                answered = await asyncio.wait_for(probe(limit), limit)
            except Exception:  # noqa: BLE001 - as in `usable`; a cancellation is no Exception and goes on
                answered = False
            took = time.perf_counter() - began
            verdict = _after_probe(verdict, answered)
        return self._conclude(life, verdict, took)

    def probe_timeout(self, life: Life) -> float:
        """Seconds that a probe of this connection may take: as long as opening it took, for then another is as soon there."""
        return min(self.configuration.probe_timeout, max(life.took, LEAST_PROBE))

    def _judge(self, life: Life, now: Moment, closed: bool, can_probe: bool) -> Verdict:
        return judge(
            opened=life.opened,
            last=life.last,
            now=now,
            limits=self._limits,
            allowed=life.path.allows(self.configuration.idle_age),
            closed=closed,
            can_probe=can_probe,
        )

    def _conclude(self, life: Life, verdict: Verdict, took: float) -> bool:
        self._journal.verdict(self.client, life.peer, verdict, took)
        if verdict.action == "discard":
            if verdict.reason in ("closed", "probe_failed"):
                life.path.was_dead_after(verdict.idle)
            return False
        now = self._watch.now()
        if verdict.action == "probe":
            life.answered(now)
        life.kept(verdict.idle, now)
        return True


def _after_probe(verdict: Verdict, answered: bool) -> Verdict:
    return verdict if answered else verdict._replace(action="discard", reason="probe_failed")
