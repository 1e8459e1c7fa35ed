"""What adapters talk to: a `Guard` for a client, a `Life` for each of its connections."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from .._core.configurations import Configuration
from .._core.judging import Verdict, fresh, judge
from .._core.lives import Life
from .._core.moments import Moment, elapsed
from .._core.paths import SILENCE, Path
from .journal import JOURNAL, Journal
from .snapshots import listen
from .watch import WATCH, Watch

if TYPE_CHECKING:
    import asyncio

MOST_PATHS = 512
"""Peers of which something is remembered; with more of them, the oldest is forgotten."""
TICKS = 2
"""Turns of the event loop before a connection of asyncio is judged: in the first, our own step runs before the selector's news (FIN, RST) are
read; in the second they have been, and the transport is closing."""
LATE_TURNS = 5
"""Turns of the event loop that a probe has when its time is over: one to read what came while the loop stood still, and one for each future and task
of a client's that hands it on."""


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
        limits = self._limits
        return Life(peer, self._path(peer), self._watch.now(), took, loop, limits.connection_age, limits.fresh_for)

    def _path(self, peer: str) -> Path:
        path = self._paths.get(peer)
        if path is None:
            # A copy, made at once: other threads add and remove meanwhile.
            for oldest in tuple(self._paths)[: 1 - MOST_PATHS]:
                self._paths.pop(oldest, None)
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
        """Was the connection used or judged just now (`Limits.fresh_for`), by this process and in this invocation? Then it is usable, unasked.

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
        known, last, now = (life.seen, life.used), life.last, self._watch.now()
        is_closed = closed()
        if (life.seen, life.used) != known:
            return True  # used meanwhile by somebody it is shared with: what there is to read is an answer, and closing it would lose that
        verdict = self._judge(life, last, now, is_closed, probe is not None)
        took = limit = 0.0
        if probe is not None and verdict.action == "probe":
            limit = self.probe_timeout(life)
            began = time.perf_counter()
            try:
                answered = probe(limit)
            except Exception:  # noqa: BLE001 - whatever a client raises: the connection did not prove that it lives
                answered = False
            took = time.perf_counter() - began
            verdict = _after_probe(verdict, answered)
        return self._conclude(life, verdict, took, limit)

    async def usable_async(
        self, life: Life, closed: Callable[[], bool | Awaitable[bool]], probe: Callable[[float], Coroutine[Any, Any, bool]] | None = None
    ) -> bool:
        """As `usable`, for asyncio: the loop turns first, because it was frozen too, and what the kernel has for the connection is unread.

        `closed` may be a coroutine function.
        """
        import asyncio  # loaded by whoever calls this; a function without asyncio is spared its 50 ms

        if life.loop is not None and life.loop is not asyncio.get_running_loop():
            return self._conclude(life, Verdict("discard", "forked", elapsed(life.last, self._watch.now()), "none"), 0.0)
        if self.fresh(life):
            return True
        known, last, now = (life.seen, life.used), life.last, self._watch.now()
        for _ in range(TICKS):
            await asyncio.sleep(0)
        is_closed = closed()
        if not isinstance(is_closed, bool):
            is_closed = await is_closed
        if (life.seen, life.used) != known:
            return True  # as in `usable`
        verdict = self._judge(life, last, now, is_closed, probe is not None)
        took = limit = 0.0
        if probe is not None and verdict.action == "probe":
            limit = self.probe_timeout(life)
            began = time.perf_counter()
            answered = await _answered(probe(limit), limit)
            took = time.perf_counter() - began
            verdict = _after_probe(verdict, answered)
        return self._conclude(life, verdict, took, limit)

    def probe_timeout(self, life: Life) -> float:
        """Seconds that a probe of this connection may take: what its path says, and no longer than the configuration does."""
        return min(self.configuration.probe_timeout, life.path.patience(life.took))

    def _judge(self, life: Life, last: Moment, now: Moment, closed: bool, can_probe: bool) -> Verdict:
        return judge(
            opened=life.opened,
            last=last,
            now=now,
            limits=self._limits,
            allowed=life.path.allows(self.configuration.idle_age),
            closed=closed,
            can_probe=can_probe and life.path.worth_asking(last.monotonic, self._watch.monotonic()),
        )

    def _conclude(self, life: Life, verdict: Verdict, took: float, limit: float = 0.0) -> bool:
        self._journal.verdict(self.client, life.peer, verdict, took)
        if verdict.action == "discard":
            if verdict.reason == "closed":
                life.path.was_dead_after(verdict.idle)
            elif verdict.reason == "probe_failed":
                # One that failed at once was no silence: the peer, or the way, has said that there is no connection.
                life.path.was_silent(self._watch.monotonic(), verdict.idle, limit if took >= 0.9 * limit else SILENCE)
            return False
        now, unproved = self._watch.now(), verdict.idle
        if verdict.action == "probe":
            life.path.answered(took)
            life.path.was_alive_after(verdict.idle)
            life.answered(now)
            unproved = 0.0
        life.kept(unproved, now)
        return True


def _after_probe(verdict: Verdict, answered: bool) -> Verdict:
    return verdict if answered else verdict._replace(action="discard", reason="probe_failed")


async def _answered(probe: Coroutine[Any, Any, bool], limit: float) -> bool:
    """Did the peer answer in time? An error is a no."""
    import asyncio

    asking = asyncio.get_running_loop().create_task(probe, name="thawsafe-probe")
    asking.add_done_callback(_look_at)
    try:
        await asyncio.wait((asking,), timeout=limit)
        for _ in range(LATE_TURNS):
            if not asking.done():
                await asyncio.sleep(0)
    except asyncio.CancelledError:
        await _give_up(asking)
        raise
    await _give_up(asking)
    return asking.done() and not asking.cancelled() and asking.exception() is None and asking.result()


async def _give_up(asking: asyncio.Task[bool]) -> None:
    """End a probe. One that does not let itself be ended is left alone, on a connection that will be closed."""
    import asyncio

    if not asking.done():
        asking.cancel()
        await asyncio.wait((asking,), timeout=SILENCE)


def _look_at(ended: asyncio.Task[bool]) -> None:
    """Have its error seen, which asyncio would tell of otherwise when the request was cancelled meanwhile."""
    if not ended.cancelled():
        ended.exception()
