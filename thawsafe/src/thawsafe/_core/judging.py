"""May this connection carry the next request? The verdict, and why.

A connection that lay idle is judged before a request is written to it, because afterwards it is too late: whether a request that got no
answer was carried out, nobody knows, and one that changes something must not be sent twice. The rules, the first that fits decides:

    1  its socket is readable or closed: the peer has ended it                      discard  `closed`
    2  it was opened by another process, before a fork, or by another event loop    discard  `forked`
    3  the process was restored from a snapshot since it was used                   discard  `restored`
    4  it is older than `connection_age`                                            discard  `old`
    5  it was idle for longer than `idle_age`, than the server's own
       `Keep-Alive: timeout=` less a second, or than four fifths of the
       idle time after which another connection to this peer was found dead         discard  `idle`
    6  it was idle for longer than `trusted_idle`, and there was or may have been
       a freeze: a FIN or RST sent meanwhile may be lost, and no local check sees that
            - its protocol can ask the peer, and no other connection to it
              was asked in vain since this one was used                             probe    `frozen`
            - else                                                                  discard  `frozen`
    7  otherwise                                                                    keep     `fresh`

So without a freeze nothing is probed and nothing is thrown away that its limits allow, and after one no connection is trusted that was idle
for longer than `trusted_idle`. A probe that is not answered in its time is a discard (`probe_failed`, said by whoever probes); how long it gets,
and when a limit that was learned is believed, is in paths.py. A connection that was used or judged just now, in the same invocation, is not
judged again (`fresh`, below).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from .freezes import Freeze, freeze_between
from .lives import FRESH, Life
from .moments import Era, Moment, elapsed

Action = Literal["keep", "probe", "discard"]
Reason = Literal["fresh", "closed", "forked", "restored", "old", "idle", "frozen", "probe_failed"]


class Limits(NamedTuple):
    """What the judge needs of a configuration, in seconds; the fields' meaning is in `configurations`."""

    idle_age: float
    connection_age: float
    trusted_idle: float
    unannounced: bool

    @property
    def fresh_for(self) -> float:
        """Seconds after a use or a verdict in which nothing is asked: FRESH, or less where a limit is shorter. What a path allows never is."""
        return min(FRESH, self.idle_age, self.trusted_idle)


class Verdict(NamedTuple):
    """What to do with one connection, and what it rests on."""

    action: Action
    reason: Reason
    idle: float
    """Seconds since it was last used."""
    freeze: Freeze
    """What is known about a freeze in that time."""


def judge(*, opened: Moment, last: Moment, now: Moment, limits: Limits, allowed: float, closed: bool, can_probe: bool) -> Verdict:
    """The verdict on a connection that was `opened`, was `last` used, and is wanted `now`.

    `allowed`: seconds that its path lets it idle (`Path.allows`). `closed`: what the free check says. `can_probe`: its protocol has a
    harmless question (HTTP/2 PING, Redis PING, an empty SQL query; HTTP/1.1 has none), and it is worth asking (`Path.worth_asking`).
    """
    idle = elapsed(last, now)
    freeze = freeze_between(last, now, unannounced=limits.unannounced)
    action: Action = "discard"
    reason: Reason
    if closed:
        reason = "closed"
    elif now.era.forks != last.era.forks:
        reason = "forked"
    elif freeze == "restore":
        reason = "restored"
    elif elapsed(opened, now) > limits.connection_age:
        reason = "old"
    elif idle > allowed or idle > limits.idle_age:
        reason = "idle"
    elif freeze != "none" and idle > limits.trusted_idle:
        reason = "frozen"
        action = "probe" if can_probe else "discard"
    else:
        reason, action = "fresh", "keep"
    return Verdict(action, reason, idle, freeze)


def fresh(life: Life, wall: float, monotonic: float, era: Era) -> bool:
    """Was the connection used or judged so recently, by this process and in this invocation, that even the free check can be left out?

    By two clocks, because the monotonic one stands still with a machine that is suspended. It is the narrowest case of rule 7; whatever is
    unusual, a monotonic clock that ran backwards too, is not fresh. Every hot request asks this, so adapters ask it in line, by what is known
    beforehand (`Life.until`), and in full only when that says no:

        life.era is watch.era and life.seen <= watch.monotonic() <= life.until and watch.wall() <= life.until_wall
    """
    last = max(life.seen, life.used)
    wall_last = last + life.datum.wall
    return (
        life.era == era and 0.0 <= monotonic - last <= life.fresh_for and wall - wall_last <= life.fresh_for and monotonic <= life.retires
    )
