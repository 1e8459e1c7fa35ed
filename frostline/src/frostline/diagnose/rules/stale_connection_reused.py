"""A connection that ended while the environment was frozen is written to by the next invocation.

**Claim.** The peer, or a middlebox on the path, ended a connection that request A had left open, while nothing ran. The client did not
notice in time, and request B wrote on it, or failed when it was about to. Said with it: how the end reached the function (the connection's
fate), how long the connection had been idle, and the server's own idle limit where its closes agree on one.

**Proof.** The story has the connection's end, or the RST that the first write got at once; a freeze between the last byte and that write;
and that the function *wrote*. An RST alone proves no write: a client that closes an old connection gets the same for its own FIN. So one
of these has to be there, too: B failed of something that can be about the network, and opened no other connection to the destination; B's
error, response or log has words that clients use for a connection that is over; or the router saw a request: more than 64 bytes, or a Redis
command. Where B went well on another connection, it paid with a retry.

A client can also read the end while it begins to write (Go's Transport, Node's Agent: `EOF`, `socket hang up`), and not a byte is sent.
Then B's error has to have such words, B opened no connection at all, and no connection to anywhere else was ended since A.

**Thresholds.** 64 bytes: a farewell is shorter (TLS close_notify 31, HTTP/2 GOAWAY 17 and 39 within TLS, Redis QUIT 6, PostgreSQL
Terminate 5), and requests are longer.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from ...core.middlebox import PEER
from ...story.timeline import Connection, EnvironmentLife, Freeze, Invocation
from ..errors import about_the_network, trouble
from ..evidence import RIGHT_AFTER_S, Evidence, ended_by_other, last_byte, thaw_before
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import both_ends, capital, duration, quote, request, times

NAME = "stale-connection-reused"

FAREWELL_BYTES = 64

_SETTLING_S = 0.5
"""An end that comes while processes stand still and the network is drained (0.3 s at most) belongs to the freeze that is about to be a fact."""


class _Death(Struct, frozen=True):
    """How a connection ended, and was not the environment's doing."""

    at: float
    by: str
    """`The peer`, `The middlebox nat-gateway`, ..."""
    did: str
    frozen: bool
    idle_s: float


class _Write(Struct, frozen=True):
    """The first thing that was written on a connection that had ended."""

    at: float
    request_id: str | None
    answer: str = ""
    """`RST`, `FIN`; empty where none was seen, or nothing was sent."""
    after_s: float | None = None
    sent: int = 0
    """Bytes, where the router saw a request."""

    @property
    def was_sent(self) -> bool:
        """Not for a request that was given the connection and failed before it wrote."""
        return self.answer != "" or self.sent > 0


class _Case(Struct, frozen=True):
    """All that one finding is made of."""

    life: EnvironmentLife
    connection: Connection
    freeze: Freeze
    last: float
    """When its last byte went over it."""
    death: _Death
    write: _Write
    victim: Invocation
    heard: str
    """What the function said of it."""
    failed: bool
    instead: Connection | None
    """What the client opened then, and went well on."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        for connection in evidence.connections[life.id]:
            if (case := _case(evidence, life, connection)) is not None:
                yield _finding(evidence, case)


def _case(evidence: Evidence, life: EnvironmentLife, connection: Connection) -> _Case | None:
    write = _write(connection) or _given(evidence, life, connection)
    if write is None or (connection.lost is not None and connection.lost.fate == "blackhole"):
        return None
    freeze = thaw_before(life, write.at)
    victim = evidence.at(life, write.at, write.request_id)
    last = last_byte(connection, write.at)
    if freeze is None or victim is None or last > freeze.end:
        return None
    death = _death(life, connection, write, last)
    if death is not None and death.frozen and (before := life.freeze_before(death.at)) is not None:
        # What a server says before it ends an idle connection (GOAWAY, an error message) belongs to its end.
        last = min(last, max(last_byte(connection, before.begin), connection.opened.at))
        death = replace(death, idle_s=max(death.at - last, 0.0))
    error = evidence.error(victim)
    reopened = evidence.next_opened(life, connection.name, write.at, victim.finished or evidence.timeline.end)
    failed = bool(error) and about_the_network(error) and (reopened is None or trouble(error) is not None)
    heard = error if failed else _said(evidence, victim, write)
    if death is None or not (failed or heard or write.sent):
        return None
    failed = failed or (heard != "" and heard == victim.response)
    retried = reopened if not failed and victim.outcome == "succeeded" else None
    return _Case(life, connection, freeze, last, death, write, victim, heard, failed, retried)


def _write(connection: Connection) -> _Write | None:
    """What the environment wrote when it could have known better, and what it got for it."""
    answer = next((one for one in connection.first_writes if one.answer in ("rst", "fin")), None)
    ended = ended_by_other(connection)
    since = answer.at - (answer.after_s or 0.0) if answer is not None else ended.at if ended is not None else None
    if since is None or (ended is None and connection.closed and connection.closed[0].at < since):
        return None  # the environment itself had closed it
    if answer is not None and answer.sent == 0:
        return None  # it did so then, or its kernel asked whether the peer is there
    sent = next((burst for burst in connection.traffic if burst.at >= since and burst.sent > FAREWELL_BYTES), None)
    if answer is not None:
        told = answer.request_id or (sent.request_id if sent is not None else None)
        refused = answer.sent if answer.sent is not None and not answer.farewell else 0
        return _Write(since, told, answer.answer.upper(), answer.after_s, sent.sent if sent is not None else refused)
    return _Write(sent.at, sent.request_id, sent=sent.sent) if sent is not None else None


def _given(evidence: Evidence, life: EnvironmentLife, connection: Connection) -> _Write | None:
    """The request that was given a connection whose end was in the socket already, and failed of it before it wrote; known by what else it did not do."""
    ended = ended_by_other(connection)
    freeze = life.freeze_before(ended.at + _SETTLING_S) if ended is not None and ended.reached != "never" else None
    if ended is None or freeze is None or ended.at > freeze.end:
        return None
    victim = evidence.timeline.invocations.get(freeze.after or "")
    if victim is None or trouble(evidence.error(victim)) != "ended":
        return None
    over = victim.finished or evidence.timeline.end
    there = [one for one in evidence.ended_within(life, freeze.begin - _SETTLING_S, over) if ended_by_other(one) is not None]
    if evidence.opened_within(life, freeze.end, over) or any(one.name != connection.name for one in there):
        return None
    if max(there, key=lambda one: last_byte(one, freeze.end)) is not connection:
        return None  # of several, the one that was used last: most pools hand that one out
    return _Write(victim.started or freeze.end, victim.request_id)


_NEVER = ", which never reached the function (fate: lost)"
_REACHED = {
    "never": _NEVER,
    "after_thaw": ", which reached it after the thaw (fate: survive)",
    "at_once": ", which its kernel received",
}


def _death(life: EnvironmentLife, connection: Connection, write: _Write, last: float) -> _Death | None:
    lost, closed, expired = connection.lost, ended_by_other(connection), connection.expired
    if expired is not None and expired.middlebox == PEER:
        at, by, did = expired.at, "The peer", f"closed it{_NEVER if lost is not None else ''}"
    elif expired is not None and expired.then != "silence":
        at, by, did = expired.at, f"The middlebox {expired.middlebox}", "forgot it"
    elif closed is not None and closed.at <= write.at:
        at, by, did = closed.at, f"The {closed.by}", f"sent {closed.how.upper()}{_REACHED[closed.reached]}"
        if closed.reached == "at_once" and closed.frozen:  # with a network that goes on, there is no fate to name
            did += " (fate: fin_delivered)"
    elif lost is not None:
        at, by, did = lost.ended_at or lost.at, f"The {lost.by}", f"ended it{_NEVER}"
    elif closed is not None and closed.how == "rst" and write.answer == "RST":
        return _Death(write.at, "The peer, or something on the path,", "had forgotten it", frozen=False, idle_s=write.at - last)
    else:
        return None
    freeze = life.freeze_before(at + _SETTLING_S)
    frozen = freeze is not None and at <= freeze.end + RIGHT_AFTER_S
    return _Death(at, by, did, frozen, max(at - last, 0.0)) if at <= write.at else None


def _said(evidence: Evidence, victim: Invocation, write: _Write) -> str:
    """The words of a client for a connection that is over, in the victim's response or log."""
    if victim.outcome == "succeeded" and trouble(victim.response) in ("ended", "grpc"):
        return victim.response
    return next((line.text for line in evidence.said(victim) if line.at >= write.at and trouble(line.text) in ("ended", "grpc")), "")


def _finding(evidence: Evidence, case: _Case) -> Finding:
    life, connection, victim, write = case.life, case.connection, case.victim, case.write
    user = evidence.last_user(life, connection, case.freeze.end)
    limit = evidence.idle_limit(connection.name)
    number, name, idle = connection.number, connection.name, max(write.at - case.last, 0.0)
    return Finding(
        rule=NAME,
        severity="failure" if case.failed else "risk" if case.instead is None else "cost",
        claim=_claim(case, user, idle, limit),
        function=life.function,
        environment=life.id,
        at=write.at,
        requests=both_ends(user, victim.request_id),
        connection=number,
        destination=name,
        proof=tuple(sorted(_proof(evidence, case, user), key=lambda one: one.at)),
        cures=remedy(evidence, life, "stale", connection, text=evidence.words(victim), limit_s=limit[0] if limit is not None else None),
    )


def _claim(case: _Case, user: str | None, idle: float, limit: tuple[float, int] | None) -> str:
    connection, death, write, victim = case.connection, case.death, case.write, case.victim
    left = f"{capital(request(user))} left" if user is not None else "The init left"
    when = f"after {duration(death.idle_s)} without a byte{', while the environment was frozen' if death.frozen else ''}"
    got = f" and got {write.answer}" if write.answer else ""
    did = (
        f"wrote on it after {duration(idle)}{got}" if write.was_sent else f"was given it after {duration(idle)} and failed before it wrote"
    )
    parts = [
        f"{left} connection {connection.number} to {connection.name} open.",
        f"{death.by} {death.did}, {when}; {request(victim.request_id)} {did}.",
    ]
    if limit is not None and limit[1] > 1:
        parts.append(f"The server closes connections that are idle for {duration(limit[0])}: {times(limit[1], 'close')} say so.")
    if victim.failed and case.failed:
        parts.append(f"The invocation failed: {quote(case.heard)}.")
    elif case.failed:
        parts.append(f"The invocation answered {quote(case.heard)}.")
    elif case.instead is not None:
        later = duration(case.instead.opened.at - write.at)
        parts.append(f"The client tried again on connection {case.instead.number}, {later} later, and the invocation went well.")
    elif victim.outcome == "succeeded":
        parts.append("The invocation went well all the same.")
    return " ".join(parts)


def _proof(evidence: Evidence, case: _Case, user: str | None) -> Iterator[Proof]:
    number, write, victim = case.connection.number, case.write, case.victim.request_id
    before = evidence.known(case.freeze.before)
    yield Proof(
        at=case.last,
        text=f"Last byte on connection {number} to {case.connection.name}, of {request(user)}.",
        request_id=user,
        connection=number,
    )
    yield Proof(at=case.freeze.begin, text=f"Frozen, after {request(before)}.", request_id=before)
    yield Proof(at=case.death.at, text=f"{case.death.by} {case.death.did}: connection {number}.", connection=number)
    yield Proof(at=case.freeze.end, text=f"Thawed for {request(victim)}.", request_id=victim)
    what = f"{write.sent:,} bytes" if write.sent else "The first write after the thaw"
    after = f" after {duration(write.after_s)}" if write.after_s is not None else ""
    answered = f"answered by {write.answer}{after}" if write.answer else "which nobody read"
    text = (
        f"{what} on connection {number}, {answered}."
        if write.was_sent
        else f"Connection {number} was the one that {request(victim)} could use. It opened no other, and sent nothing."
    )
    yield Proof(at=write.at, text=text, request_id=victim, connection=number)
    if (instead := case.instead) is not None:
        text = f"Connection {instead.number} to {instead.name} is opened instead."
        yield Proof(at=instead.opened.at, text=text, request_id=victim, connection=instead.number)
    if case.heard:
        said_at = case.victim.responded or case.victim.finished or write.at
        yield Proof(at=said_at, text=f"The function said {quote(case.heard)}.", request_id=victim)
