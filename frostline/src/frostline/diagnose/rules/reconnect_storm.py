"""After a thaw many connections to one destination are opened at once, in place of as many that the freeze cost.

**Claim.** A pool was full of connections before the freeze; they were over at the thaw, and request B opened them all again within a
second. The server sees such a crowd from every environment that is thawed.

**Proof.** Eight connections or more to one destination that one environment opened within a second after a thaw, and at least half as
many to the same destination that ended in the freeze or right after it. Connections that were not there before are no *re*connection, and
a function that opens as many in its first invocation is none either.

**Thresholds.** Eight: an environment serves one invocation at a time, and browsers, which fetch a page's parts in parallel, take six to a
host. One second: a pool that grows by and by is no crowd.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator

from ...story.timeline import Connection, EnvironmentLife, Freeze, Invocation
from ..evidence import RIGHT_AFTER_S, Evidence
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import both_ends, capital, duration, request, times

NAME = "reconnect-storm"

CROWD = 8
AT_ONCE_S = 1.0


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        ends: dict[str, list[float]] = {}
        for connection in evidence.connections[life.id]:
            if connection.ended is not None:
                ends.setdefault(connection.name, []).append(connection.ended)
        for times_of_ends in ends.values():
            times_of_ends.sort()
        for freeze in life.freezes:
            opened = evidence.opened_within(life, freeze.end, freeze.end + AT_ONCE_S) if freeze.thawed else []
            if len(opened) < CROWD:
                continue
            for name, count in Counter(one.name for one in opened).items():
                over = _between(ends.get(name, []), freeze.begin, freeze.end + RIGHT_AFTER_S)
                victim = evidence.at(life, freeze.end + AT_ONCE_S, freeze.after)
                if count >= CROWD and over * 2 >= count and victim is not None:
                    yield _finding(evidence, life, freeze, [one for one in opened if one.name == name], over, victim)


def _between(times_of_ends: list[float], begin: float, end: float) -> int:
    return bisect_right(times_of_ends, end) - bisect_right(times_of_ends, begin)


def _finding(evidence: Evidence, life: EnvironmentLife, freeze: Freeze, opened: list[Connection], over: int, victim: Invocation) -> Finding:
    name, first, last = opened[0].name, opened[0], opened[-1]
    before = evidence.known(freeze.before)
    took = last.opened.at - freeze.end
    return Finding(
        rule=NAME,
        severity="cost",
        claim=(
            f"{capital(request(victim.request_id))} opened {times(len(opened), 'connection')} to {name} within {duration(took)} after the thaw, "
            f"in place of {over:,} that were over."
        ),
        function=life.function,
        environment=life.id,
        at=first.opened.at,
        requests=both_ends(before, victim.request_id),
        connection=first.number,
        destination=name,
        proof=(
            Proof(at=freeze.begin, text=f"Frozen, after {request(before)}.", request_id=before),
            Proof(
                at=freeze.end,
                text=f"Thawed; {times(over, 'connection')} to {name} ended meanwhile, or right after.",
                request_id=victim.request_id,
            ),
            Proof(
                at=first.opened.at,
                text=f"Connection {first.number} to {name} is opened.",
                request_id=victim.request_id,
                connection=first.number,
            ),
            Proof(
                at=last.opened.at,
                text=f"Connection {last.number} to {name} is opened.",
                request_id=victim.request_id,
                connection=last.number,
            ),
        ),
        cures=remedy(evidence, life, "crowd", first),
    )
