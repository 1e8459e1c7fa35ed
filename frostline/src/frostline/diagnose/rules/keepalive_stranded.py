"""A keepalive PING is under way when the environment freezes, and its timeout fires at the thaw, before the answer is read.

**Claim.** A client sent a keepalive PING during (or after) request A. The environment froze before the answer came. The timeout of the
PING was due while nothing ran, so it fired right after the thaw, in request B, although the answer lay in the socket or the connection
was fine; the client threw the connection away.

**Proof.** Either the client says so: a gRPC trace of a PING sent before the freeze without an answer in between, and a trace of its
timeout right after the thaw (grpc-go traces no PING that it sends; its timeout right after a thaw is proof enough, for no timeout is as
short as that). Or the router saw it: a PING from the environment (HTTP/2 in the clear), its answer while frozen, and right after the thaw
the environment closed that connection, or used it no more and B failed with a gRPC status. Within TLS a PING cannot be read, but its size
can: one record around 17 bytes, answered by another one, as seen before on the same connection.

A connection that really died in the freeze is left to `stale-connection-reused` and `black-hole`: there the keepalive was right.

**Thresholds.** 5 s for a PING that is under way: no path is longer. 0.25 s for 'right after the thaw': the timer fires within 0.5 ms
(measured with Node, grpc-js 1.9 and 1.14); the rest is for a line that waits to be read. 38, 39 or 46 bytes for a PING within TLS: 17 and
a head of 5, with ChaCha20-Poly1305 under TLS 1.2 (RFC 7905), TLS 1.3 (RFC 8446, 5.2), and AES-GCM under TLS 1.2 (RFC 5288).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from ...core.events import ConnectionTraffic
from ...story.grpc_trace import GrpcTrace
from ...story.timeline import Connection, EnvironmentLife, Freeze, Invocation
from ..errors import about_the_network, trouble
from ..evidence import RIGHT_AFTER_S, Evidence, ended_by_other, freeze_around, thaw_before
from ..finding import Finding, Proof, Severity
from ..remedy import remedy
from ..words import both_ends, duration, quote, request

NAME = "keepalive-stranded"

PING_IN_TLS = frozenset({38, 39, 46})

UNDER_WAY_S = 5.0
"""A PING that was not answered for longer before the freeze was not caught by it: no path is so long, and the peer was silent already."""


class _Case(Struct, kw_only=True):
    """One PING that was stranded; what is not known stays None."""

    freeze: Freeze
    at: float
    """When the client gave the connection up."""
    sent_at: float
    """The freeze's beginning, where it is only known that it was before."""
    sender: Invocation | None
    connection: Connection | None = None
    destination: str
    sent: GrpcTrace | ConnectionTraffic | None = None
    answered_at: float | None = None
    timed_out: GrpcTrace | None = None
    in_tls: bool = False


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        cases = {(case.freeze.begin, case.destination): case for case in _seen(evidence, life)}
        # What the client says goes before what can only be seen of it; it knows why it closed.
        for case in _told(evidence, life):
            seen = cases.get((case.freeze.begin, case.destination))
            case.answered_at = seen.answered_at if seen is not None else None
            cases[case.freeze.begin, case.destination] = case
        for case in sorted(cases.values(), key=lambda one: one.at):
            victim = evidence.at(life, case.at, case.freeze.after)
            if victim is not None and not _died(case.connection, case.freeze):
                yield _finding(evidence, life, case, victim)


def _died(connection: Connection | None, freeze: Freeze) -> bool:
    """The connection was over, so that there was nothing left to be answered."""
    if connection is None:
        return False
    closed, lost = ended_by_other(connection), connection.lost
    return (lost is not None and lost.at <= freeze.end + RIGHT_AFTER_S) or (closed is not None and closed.at <= freeze.end)


# As gRPC traces tell it --------------------------------------------------------------------------------------------------------------------


def _told(evidence: Evidence, life: EnvironmentLife) -> Iterator[_Case]:
    under_way: dict[str, GrpcTrace] = {}
    last_thaw: dict[str, float] = {}
    for trace in evidence.traces[life.id]:
        if trace.what == "ping_sent":
            under_way[trace.subject] = trace
        elif trace.what == "ping_answered":
            under_way.pop(trace.subject, None)
        elif trace.what == "ping_timed_out":
            sent = under_way.pop(trace.subject, None)
            freeze = thaw_before(life, trace.at)
            if freeze is None or trace.at > freeze.end + RIGHT_AFTER_S or last_thaw.get(trace.subject) == freeze.end:
                continue
            last_thaw[trace.subject] = freeze.end
            # A line that was printed before the freeze can be read in it.
            if freeze.begin - UNDER_WAY_S <= sent.at < freeze.end if sent is not None else trace.library == "grpc-go":
                yield _told_case(evidence, life, freeze, sent, trace)


def _told_case(evidence: Evidence, life: EnvironmentLife, freeze: Freeze, sent: GrpcTrace | None, timed_out: GrpcTrace) -> _Case:
    address, port = _address(timed_out.subject)
    connection = _connection(evidence, life, freeze, address, port)
    sent_at = min(sent.at, freeze.begin) if sent is not None else freeze.begin
    return _Case(
        freeze=freeze,
        at=timed_out.at,
        sent_at=sent_at,
        sender=evidence.at(life, sent_at, sent.request_id if sent is not None else freeze.before),
        connection=connection,
        destination=connection.name if connection is not None else f"{address}:{port}" if port else timed_out.subject,
        sent=sent,
        timed_out=timed_out,
    )


def _address(subject: str) -> tuple[str, int]:
    """Of `(4) 10.0.0.1:443` or `ipv4:10.0.0.1:443`; nothing and 0 where there is none."""
    address, _, port = subject.rpartition(" ")[2].removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")
    return (address, int(port)) if port.isdecimal() and port.isascii() else ("", 0)


def _connection(evidence: Evidence, life: EnvironmentLife, freeze: Freeze, address: str, port: int) -> Connection | None:
    """The connection to an address that lived through a freeze: the one with a PING on it, else the only one there is."""
    there = [
        one
        for one in evidence.alive(life, freeze.begin)
        if ((one.opened.address, one.opened.port) == (address, port) if port else _pings(one))
    ]
    with_ping = [one for one in there if any(_is_ping(burst) for burst in one.traffic)]
    return next(iter(with_ping or there), None) if len(with_ping or there) == 1 or port else None


# As the router saw it ----------------------------------------------------------------------------------------------------------------------


def _seen(evidence: Evidence, life: EnvironmentLife) -> Iterator[_Case]:
    for connection in evidence.connections[life.id]:
        for index, burst in enumerate(connection.traffic):
            if not (_is_ping(burst) or _may_be_ping_in_tls(connection, index)):
                continue
            answer = connection.traffic[index + 1] if index + 1 < len(connection.traffic) else None
            freeze = freeze_around(life, answer.at) if answer is not None and answer.received and not answer.sent else None
            if answer is None or freeze is None or not freeze.thawed or not freeze.begin - UNDER_WAY_S <= burst.at <= freeze.begin:
                continue
            at = _given_up(evidence, connection, freeze, index + 1)
            if at is not None:
                yield _Case(
                    freeze=freeze,
                    at=at,
                    sent_at=burst.at,
                    sender=evidence.at(life, burst.at, burst.request_id),
                    connection=connection,
                    destination=connection.name,
                    sent=burst,
                    answered_at=answer.at,
                    in_tls=burst.kind != "ping",
                )


def _given_up(evidence: Evidence, connection: Connection, freeze: Freeze, answer: int) -> float | None:
    """When the client threw a connection away after a thaw; None where it did not, or where that has not to be for the PING."""
    closed = connection.closed[0] if connection.closed else None
    if closed is not None and closed.by == "environment" and freeze.end <= closed.at <= freeze.end + RIGHT_AFTER_S:
        return closed.at
    victim = evidence.timeline.invocations.get(freeze.after or "")
    if victim is None or trouble(evidence.error(victim) or victim.response) != "grpc":
        return None
    used_again = any(burst.sent and not _is_ping(burst) for burst in connection.traffic[answer + 1 :])
    return None if used_again else freeze.end


def _is_ping(burst: ConnectionTraffic) -> bool:
    return burst.kind == "ping" and burst.sent > 0


def _pings(connection: Connection) -> bool:
    return any(_is_ping(burst) for burst in connection.traffic)


def _may_be_ping_in_tls(connection: Connection, index: int) -> bool:
    """A record of a PING's size, answered by one of its size, and not for the first time (a GOAWAY has the size, too, and is sent once)."""
    traffic = connection.traffic
    if index + 1 >= len(traffic) or traffic[index].kind != "data" or traffic[index].sent not in PING_IN_TLS or traffic[index].received:
        return False
    size = traffic[index].sent
    if traffic[index + 1].received != size or traffic[index + 1].sent:
        return False
    return any((burst.sent, burst.received) == (size, size) for burst in traffic[:index])


# The finding -------------------------------------------------------------------------------------------------------------------------------


def _finding(evidence: Evidence, life: EnvironmentLife, case: _Case, victim: Invocation) -> Finding:
    error = evidence.error(victim)
    failed = bool(error) and about_the_network(error)
    swallowed = victim.outcome == "succeeded" and trouble(victim.response) in ("grpc", "waited")
    severity: Severity = "failure" if failed or swallowed else "risk"
    sender = case.sender.request_id if case.sender is not None else None
    on = f" on connection {case.connection.number}" if case.connection is not None else ""
    late = case.timed_out.at - case.freeze.end if case.timed_out is not None else case.at - case.freeze.end
    gave_up = "its timeout fired" if case.timed_out is not None else "the client gave the connection up"
    claim = (
        f"A keepalive PING{on} to {case.destination} was sent in {request(sender)} and not answered before the freeze; "
        f"{gave_up} {duration(late)} after the thaw, in {request(victim.request_id)}."
    )
    if case.answered_at is not None:
        claim += " The answer had come while the environment was frozen."
    if failed:
        claim += f" The invocation failed: {quote(error)}."
    elif swallowed:
        claim += f" The invocation answered {quote(victim.response)}."
    elif victim.outcome == "succeeded":
        claim += " The invocation went well all the same."
    library = case.timed_out.library if case.timed_out is not None else ""
    return Finding(
        rule=NAME,
        severity=severity,
        claim=claim,
        function=life.function,
        environment=life.id,
        at=case.at,
        requests=both_ends(sender, victim.request_id),
        connection=case.connection.number if case.connection is not None else None,
        destination=case.destination,
        proof=tuple(sorted(_proof(evidence, case, victim, error), key=lambda one: one.at)),
        cures=remedy(evidence, life, "keepalive", case.connection, text=evidence.words(victim), protocol="grpc", library=library),
    )


def _proof(evidence: Evidence, case: _Case, victim: Invocation, error: str) -> Iterator[Proof]:
    sender = case.sender.request_id if case.sender is not None else None
    number = case.connection.number if case.connection is not None else None
    on = f" on connection {number}" if number is not None else ""
    before = evidence.known(case.freeze.before)
    if isinstance(case.sent, GrpcTrace):
        yield Proof(
            at=case.sent_at, text=f"In {request(sender)} the client traced {quote(case.sent.text)}.", request_id=sender, connection=number
        )
    elif case.sent is not None:
        what = "One TLS record of a PING's size" if case.in_tls else "PING"
        yield Proof(
            at=case.sent_at, text=f"{what} sent{on} to {case.destination}, in {request(sender)}.", request_id=sender, connection=number
        )
    yield Proof(at=case.freeze.begin, text=f"Frozen, after {request(before)}.", request_id=before)
    if case.answered_at is not None:
        yield Proof(at=case.answered_at, text=f"The answer comes{on}, and nothing runs to read it.", connection=number)
    yield Proof(
        at=case.freeze.end,
        text=f"Thawed for {request(victim.request_id)}, after {duration(case.freeze.gap_s)}.",
        request_id=victim.request_id,
    )
    if case.timed_out is not None:
        text = f"In {request(victim.request_id)} the client traced {quote(case.timed_out.text)}."
        yield Proof(at=case.timed_out.at, text=text, request_id=victim.request_id, connection=number)
    else:
        closed = case.connection is not None and any(end.by == "environment" and end.at == case.at for end in case.connection.closed)
        text = f"The environment closes connection {number}." if closed else f"Connection {number} is not used any more."
        yield Proof(at=case.at, text=text, connection=number)
    if error:
        yield Proof(
            at=victim.responded or victim.finished or case.at, text=f"The function said {quote(error)}.", request_id=victim.request_id
        )
