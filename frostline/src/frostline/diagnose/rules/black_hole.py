"""A connection that nothing answers on any more is written to after a freeze, and the function waits.

**Claim.** Something on the path of a connection forgot it while the environment was frozen, and drops what is sent now, or the peer is
gone without a word. Request B wrote on it, and waited: for its own time limit, or for Lambda's.

**Proof.** The story says that the connection carries nothing any more (fate `blackhole`, or a middlebox that falls silent), or nothing came
on it ever again and not even what was sent was acknowledged, so that the router sent it again; its first write after the thaw was answered
by nothing; and the function waited for it. A silent answer alone proves no wait: a client that closes an old connection gets none for its
own FIN, either; where the router saw that it was no more than that, there is no finding. So B failed with a client's words for a time limit
or a dead connection, or with an error about the network after a second without another attempt; or B went well, and opened another
connection to the destination only after a second or more, later than any other invocation first used it. A later request that failed of
waiting belongs to it, too, where there was no other connection to the destination yet.

**Thresholds.** One second is what the router waits before it says that nothing came. Clients that close an old connection open the next
one within milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from ...core.events import FirstWriteAnswered
from ...story.timeline import Connection, EnvironmentLife, Freeze, Invocation
from ..errors import about_the_network, trouble
from ..evidence import Evidence, last_byte, thaw_before
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import both_ends, capital, duration, quote, request, times

NAME = "black-hole"

PATIENCE_S = 1.0

LOOK_S = 0.5
"""Where the router cannot see a write into a black hole, it looks every half second whether one was dropped."""


class _Case(Struct, frozen=True):
    life: EnvironmentLife
    connection: Connection
    freeze: Freeze
    last: float
    wrote: float
    victim: Invocation
    until: float
    """When the wait was over."""
    instead: Connection | None
    """The connection that was opened then."""
    heard: str
    failed: bool
    first: str | None = None
    """The request that wrote first, for one that came later."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    first_uses = _FirstUses(evidence)
    for life in evidence.lives():
        for connection in evidence.connections[life.id]:
            for answer in connection.first_writes:
                if answer.answer == "nothing" and (case := _case(evidence, life, connection, answer, first_uses)) is not None:
                    yield _finding(evidence, case)
                    yield from (_finding(evidence, later) for later in _later(evidence, case))
                    break


def _case(
    evidence: Evidence, life: EnvironmentLife, connection: Connection, answer: FirstWriteAnswered, first_uses: _FirstUses
) -> _Case | None:
    freeze = thaw_before(life, answer.at - (answer.after_s or 0.0))
    victim = evidence.at(life, answer.at, answer.request_id)
    if freeze is None or victim is None or answer.sent == 0:
        return None
    looked_s = 0.0 if answer.sent is not None else LOOK_S
    wrote = answer.at - answer.after_s if answer.after_s is not None else max(answer.at - looked_s, freeze.end)
    last = last_byte(connection, wrote)
    if last > freeze.end or not _silent(connection, wrote):
        return None
    end = victim.responded or victim.finished or evidence.timeline.end
    instead = evidence.next_opened(life, connection.name, wrote, end)
    until = end if instead is None else instead.opened.at - instead.opened.dialed_s
    error, waited = evidence.error(victim), until - wrote
    kind = trouble(error or victim.response)
    if victim.failed:
        # A client's own words for it are enough; others have to be about the network, and to come after a while without another attempt.
        heard = error if kind is not None or (about_the_network(error) and instead is None and waited >= PATIENCE_S) else ""
    else:
        heard = victim.response if victim.outcome == "succeeded" and kind in ("waited", "grpc") else ""
    usual = first_uses.latest_but(life.function, connection.name, victim)
    retried = not victim.failed and instead is not None and waited >= PATIENCE_S and until - (victim.started or wrote) > usual
    if not heard and not retried:
        return None
    return _Case(life, connection, freeze, last, wrote, victim, until, instead, heard, failed=bool(heard))


def _later(evidence: Evidence, case: _Case) -> Iterator[_Case]:
    """Requests after it that had no other connection either, and failed of waiting."""
    life, name = case.life, case.connection.name
    for victim in life.invocations[life.invocations.index(case.victim) + 1 :]:
        begin = victim.started or case.wrote
        end = victim.responded or victim.finished or evidence.timeline.end
        others = (one for one in evidence.alive(life, begin) if one is not case.connection and one.name == name)
        if next(others, None) is not None or evidence.next_opened(life, name, case.wrote, end) is not None:
            return
        error, freeze = evidence.error(victim), thaw_before(life, begin)
        if victim.failed and trouble(error) in ("waited", "grpc"):
            freeze = freeze if freeze is not None else case.freeze
            yield replace(
                case, freeze=freeze, wrote=begin, victim=victim, until=end, heard=error, failed=True, first=case.victim.request_id
            )


def _silent(connection: Connection, since: float) -> bool:
    """Nothing can come on it; or nothing came, and not even what was sent was acknowledged: a server that is slow does that at once."""
    if connection.lost is not None and connection.lost.fate == "blackhole":
        return True
    if connection.expired is not None and connection.expired.then == "silence":
        return True
    return _sent_again(connection) > 0 and not any(burst.received and burst.until >= since for burst in connection.traffic)


def _sent_again(connection: Connection) -> int:
    return max((closed.retransmitted for closed in connection.closed), default=0)


class _FirstUses:
    """How long after its start each invocation first used a destination: what is usual for a function."""

    def __init__(self, evidence: Evidence) -> None:
        self._first: dict[tuple[str, str], dict[str, float]] = {}
        for life in evidence.lives():
            for connection in evidence.connections[life.id]:
                first = self._first.setdefault((life.function, connection.name), {})
                opened = connection.opened
                for at, request_id in (
                    (opened.at - opened.dialed_s, opened.request_id),
                    *((b.at, b.request_id) for b in connection.traffic if b.sent),
                ):
                    invocation = evidence.timeline.invocations.get(request_id or "")
                    if invocation is not None and invocation.started is not None:
                        first[invocation.request_id] = min(first.get(invocation.request_id, math.inf), at - invocation.started)

    def latest_but(self, function: str, destination: str, victim: Invocation) -> float:
        """The longest of them, one invocation left out; 0 where there are no others."""
        first = self._first.get((function, destination), {})
        return max((time for request_id, time in first.items() if request_id != victim.request_id), default=0.0)


def _finding(evidence: Evidence, case: _Case) -> Finding:
    life, connection, victim = case.life, case.connection, case.victim
    number, name, waited = connection.number, connection.name, max(case.until - case.wrote, 0.0)
    user = evidence.last_user(life, connection, case.freeze.end)
    before = evidence.known(case.freeze.before)
    why = _why(connection)
    left = f"{capital(request(user))} left" if user is not None else "The init left"
    did = f"wrote on it after {duration(case.wrote - case.last)}" if case.first is None else "had no other to it"
    claim = (
        f"{left} connection {number} to {name} open. {why} {capital(request(victim.request_id))} {did} and waited {duration(waited)} "
        "for an answer that cannot come."
    )
    if victim.failed:
        claim += f" The invocation failed: {quote(case.heard)}."
    elif case.failed:
        claim += f" The invocation answered {quote(case.heard)}."
    else:
        claim += " Then the client tried again on a new connection, and the invocation went well."
    proof = [
        Proof(at=case.last, text=f"Last byte on connection {number} to {name}, of {request(user)}.", request_id=user, connection=number),
        Proof(at=case.freeze.begin, text=f"Frozen, after {request(before)}.", request_id=before),
        Proof(at=case.freeze.end, text=f"{why} Thawed for {request(victim.request_id)}.", request_id=victim.request_id),
        Proof(
            at=case.wrote,
            text=f"First write on connection {number}: nothing came."
            if case.first is None
            else f"Nothing has come on connection {number} since {request(case.first)} wrote on it, and no other to {name} was opened.",
            request_id=victim.request_id,
            connection=number,
        ),
    ]
    if case.instead is not None:
        text = f"Connection {case.instead.number} to {name} is opened instead, after {duration(waited)}."
        proof.append(Proof(at=case.instead.opened.at, text=text, request_id=victim.request_id, connection=case.instead.number))
    if case.heard:
        proof.append(Proof(at=victim.responded or case.until, text=f"The function said {quote(case.heard)}.", request_id=victim.request_id))
    return Finding(
        rule=NAME,
        severity="failure" if case.failed else "risk",
        claim=claim,
        function=life.function,
        environment=life.id,
        at=case.wrote,
        requests=both_ends(user, victim.request_id),
        connection=number,
        destination=name,
        proof=tuple(sorted(proof, key=lambda one: one.at)),
        cures=remedy(evidence, life, "black_hole", connection, text=evidence.words(victim), limit_s=_limit(evidence, connection)),
    )


def _why(connection: Connection) -> str:
    if connection.expired is not None and connection.expired.then == "silence":
        return f"The middlebox {connection.expired.middlebox} forgot it after {duration(connection.expired.idle_s)} without a byte, and says nothing."
    if connection.lost is not None and connection.lost.fate == "blackhole":
        return "Since the freeze it carries nothing in either direction (fate: blackhole)."
    return f"Nothing came on it since the freeze, and what was sent was sent again, {times(_sent_again(connection), 'time')}."


def _limit(evidence: Evidence, connection: Connection) -> float | None:
    """The middlebox's idle limit, and the server's where that is shorter: an age below both is a cure for both."""
    seen = evidence.idle_limit(connection.name)
    limits = [seen[0]] if seen is not None else []
    if connection.expired is not None:
        limits.append(connection.expired.idle_s)
    return min(limits, default=None)
