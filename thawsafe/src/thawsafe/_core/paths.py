"""How long the way to one peer lets a connection idle: what the peer said, and what its connections taught.

The way is the server and every load balancer, NAT gateway and firewall before it; the shortest limit counts, and only the server's is ever
announced. docs/thawsafe.md lists the usual ones.
"""

from __future__ import annotations

import re

HINT_MARGIN = 1.0
"""Seconds that a server's own limit is taken earlier: its clock starts when it sends the answer, ours when we have read it, and the next
request must arrive before it ends. undici takes 2 s off, Node's server adds 1 s on its side (nodejs/node#59243)."""

LEARNED_SHARE = 0.8
"""Which part of an idle time that killed a connection is still trusted: the limit lies somewhere below what was seen."""

LEARNED_FLOOR = 1.0
"""Seconds. However short-lived connections have been, requests that follow one another share one; a server that was restarted twice
must not end the reuse of connections for good."""

_TIMEOUT = re.compile(r"(?:^|[,;])\s*timeout\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


class Path:
    """What is known about the way to one peer. Changes as connections live and die; holds three numbers, however long it is used."""

    __slots__ = ("died", "hint", "lived")

    def __init__(self) -> None:
        self.hint: float | None = None
        """Seconds after which the server says it closes an idle connection."""
        self.died: float | None = None
        """The shortest idle time that a connection did not live through, as far as it is believed."""
        self.lived = 0.0
        """The longest idle time that a connection lived through."""

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
