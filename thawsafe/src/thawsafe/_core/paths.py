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

SOON = 0.005
"""Seconds that a question gets beyond the time in which its peer has answered, and half of that once more: a round trip varies by some part of
it, and a peer that has to be woken is later by some milliseconds, however near it is."""

SILENCE = 0.05
"""Seconds of silence that prove that a connection is dead: a peer with little of a CPU has it in slices, with tens of milliseconds between them."""

_TIMEOUT = re.compile(r"(?:^|[,;])\s*timeout\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


class Path:
    """What is known about the way to one peer. Changes as connections live and die; holds six values, however long it is used."""

    __slots__ = ("died", "doubted", "hint", "lived", "quickest", "silent")

    def __init__(self) -> None:
        self.hint: float | None = None
        """Seconds after which the server says it closes an idle connection."""
        self.died: float | None = None
        """The shortest idle time that a connection did not live through, as far as it is believed."""
        self.lived = 0.0
        """The longest idle time that a connection lived through."""
        self.quickest = math.inf
        """Seconds that its quickest answer took."""
        self.silent = -math.inf
        """When a question was last not answered, on the monotonic clock."""
        self.doubted = False
        """The last question was not answered in the time that it had, which need not have been long."""

    def __repr__(self) -> str:
        return f"<Path hint={self.hint} died={self.died} lived={self.lived:g}>"

    def allows(self, configured: float) -> float:
        """Seconds that a connection may have been idle: the least of `configured`, the server's hint and what was learned."""
        allowed = configured
        if self.hint is not None:
            # A hint of a second or less would leave nothing: half of it is kept.
            allowed = min(allowed, max(self.hint - HINT_MARGIN, self.hint / 2))
        if self.died is not None:
            allowed = min(allowed, max(self.died * LEARNED_SHARE, LEARNED_FLOOR))
        return allowed

    def patience(self, took: float) -> float:
        """Seconds that a question on a connection gets that took so many to open: until another is opened in its place.

        Short, because waiting longer costs more than the other connection; after a silence longer, because then it is to prove something. A peer
        of which only slow answers are known, which may have been work, is given what opening took, twice: it was a round trip or more.
        """
        longest = max(2 * took, SILENCE)
        expected = min(1.5 * self.quickest + SOON, longest)
        return max(expected, SILENCE) if self.doubted else expected

    def answered(self, seconds: float) -> None:
        """A question was answered within so many seconds."""
        self.quickest = seconds
        self.doubted = False

    def served(self, seconds: float) -> None:
        """A request was answered within so many seconds, its work included."""
        if seconds < self.quickest:
            self.quickest = seconds

    def was_silent(self, now: float, idle: float, waited: float) -> None:
        """A connection that was idle for so long did not answer a question within the seconds that it had. `now`: on the monotonic clock."""
        self.silent = now
        self.doubted = True
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
        elif self.died is None or idle < self.died:
            self.died = idle

    def was_alive_after(self, idle: float) -> None:
        """A connection was used after so many seconds of idleness, and its peer answered."""
        if idle > self.lived:
            self.lived = idle
        if self.died is not None and idle >= self.died:
            self.died = None
