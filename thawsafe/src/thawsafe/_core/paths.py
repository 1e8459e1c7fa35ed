"""How long the way to one peer lets a connection idle, and how soon it answers: what the peer said, and what its connections taught.

The way is the server and every load balancer, NAT gateway and firewall before it; the shortest limit counts, and only the server's is ever
announced. docs/thawsafe.md lists the usual ones.
"""

from __future__ import annotations

import math
import re

HINT_MARGIN = 1.0
"""Seconds that a server's own limit is taken earlier: its clock starts when it sends the answer, ours when we have read it, and the next
request must arrive before it ends. undici takes 2 s off, Node's server adds 1 s on its side (nodejs/node#59243)."""

LEARNED_SHARE = 0.8
"""Which part of an idle time that killed a connection is still trusted: the limit lies somewhere below what was seen."""

LEARNED_FLOOR = 1.0
"""Seconds. However short-lived connections have been, requests that follow one another share one; a server that was restarted twice
must not end the reuse of connections for good."""

VARIANCE = 1.5
"""By how much an answer may take longer than the quickest one: a round trip varies by some part of it."""

SOON = 0.005
"""Seconds that an answer may take besides: a peer that has to be woken is later by some milliseconds, however near it is."""

SILENCE = 0.05
"""Seconds without an answer that prove that a connection is dead. Less prove nothing: a function or a peer with little of a CPU has it in slices,
with tens of milliseconds between them."""

_TIMEOUT = re.compile(r"(?:^|[,;])\s*timeout\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


class Path:
    """What is known about the way to one peer. Changes as connections live and die; holds seven values, however long it is used.

    Threads may share it: of what two learn at the same moment, one may be lost, and that is all.
    """

    __slots__ = ("asked", "died", "doubted", "hint", "lived", "quickest", "silent")

    def __init__(self) -> None:
        self.hint = math.inf
        """Seconds after which the server says it closes an idle connection; infinite when it has not said so."""
        self.died = math.inf
        """The shortest idle time that a connection did not live through, as far as it is believed; infinite when none is known."""
        self.lived = 0.0
        """The longest idle time that a connection lived through."""
        self.quickest = math.inf
        """Seconds that the last question's answer took; before a question was asked, the quickest request. Infinite when there was none."""
        self.silent = -math.inf
        """When a question was last given up, on the monotonic clock."""
        self.asked = False
        """Some question was asked, whether it was answered or not."""
        self.doubted = False
        """The last question was not answered in the time that it had, which need not have been long."""

    def __repr__(self) -> str:
        return f"<Path hint={self.hint:g} died={self.died:g} lived={self.lived:g}>"

    def allows(self, configured: float) -> float:
        """Seconds that a connection may have been idle: the least of `configured`, the server's hint and what was learned."""
        # Of a hint of a second nothing would be left: half of it is kept.
        hinted = max(self.hint - HINT_MARGIN, self.hint / 2)
        return min(configured, hinted, max(self.died * LEARNED_SHARE, LEARNED_FLOOR))

    def worth_asking(self, used: float, now: float) -> bool:
        """Is a question to a connection that was last used then worth its time? Not when another was asked in vain since.

        Both on the monotonic clock. A silence that is still to come was heard on another machine's clock, before a restore.
        """
        return not used <= self.silent <= now

    def patience(self, took: float) -> float:
        """Seconds that a question gets on a connection that took so many to open, before another connection is opened instead.

        What an answer takes (`quickest`), half of it more, and SOON: whoever answers as ever has answered by then, and waiting longer costs more
        than another connection. At most twice what opening took, or SILENCE: opening is a round trip or more, while an answer may have been
        work. Where no answer is known, as long as opening took, or SILENCE. After a question that was not answered at least SILENCE: this time
        it is to prove something.
        """
        if self.quickest == math.inf:
            return max(took, SILENCE)
        expected = min(VARIANCE * self.quickest + SOON, max(2 * took, SILENCE))
        return max(expected, SILENCE) if self.doubted else expected

    def answered(self, seconds: float) -> None:
        """A question was answered after so many seconds: that is what an answer takes now, were others quicker or not."""
        self.quickest = seconds
        self.asked = True
        self.doubted = False

    def served(self, seconds: float) -> None:
        """A request was answered after so many seconds, its work included.

        Counts until a question was asked, which is the better measure: a connection is also given back to its pool without a request,
        which looks like the quickest answer of all.
        """
        if not self.asked and seconds < self.quickest:
            self.quickest = seconds

    def was_silent(self, now: float, idle: float, waited: float) -> None:
        """A connection that was idle for so long was asked in vain, and `waited` for so many seconds. `now`: on the monotonic clock.

        Whoever waited for less than SILENCE has learned nothing about idleness: the peer may have been slow.
        """
        self.silent = now
        self.doubted = True
        if not self.asked:
            self.asked = True
            self.quickest = math.inf  # it was told by requests, and may be too short
        if waited >= SILENCE:
            self.was_dead_after(idle)

    def hinted(self, keep_alive: str) -> None:
        """The server answered with this `Keep-Alive` header: `timeout=5, max=100`. Anything that is no such thing is ignored."""
        found = _TIMEOUT.search(keep_alive)
        if found and int(found[1]) > 0:
            self.hint = float(found[1])

    def was_dead_after(self, idle: float) -> None:
        """A connection was found dead after so many seconds of idleness.

        When another one lived through as much, the first death says that the server was restarted or went away, not that the path
        forgets: it is not believed, but a second one is.
        """
        if idle <= self.lived:
            self.lived = 0.0
        elif idle < self.died:
            self.died = idle

    def was_alive_after(self, idle: float) -> None:
        """A connection was used after so many seconds of idleness, and its peer answered."""
        if idle > self.lived:
            self.lived = idle
        if idle >= self.died:
            self.died = math.inf
