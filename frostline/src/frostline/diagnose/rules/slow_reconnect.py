"""After a thaw the way to a server is open, and the client does not take it for a second or more.

**Claim.** The client lost its connection over a freeze, and the next one was held back: by the limit of one name look-up in 30 s (grpc-js
1.9.0 to 1.9.7 waits for it with the new connection), or by a back-off. Requests that came meanwhile waited, or failed.

**Proof.** From gRPC traces: a channel that had been ready before the freeze begins to connect after the thaw, and is ready again only
after a second or more (frozen time left out), or not before its invocation failed. A trace of `resolution update delayed` in between
names the reason. From the router: the connection that the last request used was over at the thaw, request B failed with a time limit, and
until its end nobody tried to connect to that destination, for a second or more.

**Thresholds.** One second: to connect takes a few round trips, and a second is where the first back-off ends (gRPC's connection back-off,
1 s) and where people set their deadlines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice, takewhile

from msgspec import Struct

from ...story.grpc_trace import GrpcTrace
from ...story.timeline import Connection, EnvironmentLife, Freeze, Invocation
from ..errors import trouble
from ..evidence import RIGHT_AFTER_S, Evidence, thaw_before
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import both_ends, duration, quote, request, times

NAME = "slow-reconnect"

SLOW_S = 1.0


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        # What a channel's own traces tell need not be guessed from its connections.
        yield from _told(evidence, life) if any(map(_is_change, evidence.traces[life.id])) else _seen(evidence, life)


# As gRPC traces tell it --------------------------------------------------------------------------------------------------------------------


class _Channel(Struct):
    """What is known of one channel so far."""

    was_ready: bool = False
    connecting: GrpcTrace | None = None
    """Since when it connects, after a thaw."""


def _is_change(trace: GrpcTrace) -> bool:
    """A channel connects, or is ready: one line for each change, and not one for each layer that speaks of it."""
    if trace.what not in ("connecting", "ready"):
        return False
    if trace.library == "grpc-js":
        return trace.tracer in ("resolving_load_balancer", "connectivity_state")
    return "SubChannel" not in trace.subject and not trace.subject.startswith("client_transport")


def _told(evidence: Evidence, life: EnvironmentLife) -> Iterator[Finding]:
    channels: dict[str, _Channel] = {}
    delayed: GrpcTrace | None = None
    for trace in evidence.traces[life.id]:
        if trace.what == "resolution_delayed":
            delayed = trace
        elif _is_change(trace):
            channel = channels.setdefault(trace.subject, _Channel())
            if trace.what == "ready":
                yield from _waited(evidence, life, channel.connecting, trace.at, delayed)
                channel.was_ready, channel.connecting = True, None
            elif channel.connecting is None and channel.was_ready:
                channel.connecting = trace
    for channel in channels.values():
        yield from _waited(evidence, life, channel.connecting, evidence.timeline.end, delayed)


def _waited(
    evidence: Evidence, life: EnvironmentLife, connecting: GrpcTrace | None, ready_at: float, delayed: GrpcTrace | None
) -> Iterator[Finding]:
    """A channel that connects is ready at last, or the story ends."""
    thaw = thaw_before(life, connecting.at) if connecting is not None else None
    victim = evidence.at(life, connecting.at, connecting.request_id) if connecting is not None else None
    if connecting is None or thaw is None or victim is None or (victim.started or 0.0) < thaw.begin:
        return
    done = victim.responded or victim.finished or evidence.timeline.end
    waited = min(ready_at, done) - connecting.at
    failed = ready_at > done and _out_of_time(evidence, victim)
    if waited < (SLOW_S / 2 if failed else SLOW_S):
        return
    error = quote(evidence.error(victim))
    claim = f"After the thaw for {request(victim.request_id)} the channel to {connecting.subject} began to connect, and "
    claim += (
        f"was ready after {duration(waited)}."
        if ready_at <= done
        else f"was not ready when the invocation was over, {duration(waited)} later."
    )
    proof = [
        Proof(at=thaw.end, text=f"Thawed for {request(victim.request_id)}.", request_id=victim.request_id),
        Proof(at=connecting.at, text=f"The client traced {quote(connecting.text)}.", request_id=victim.request_id),
    ]
    if delayed is not None and thaw.end <= delayed.at <= ready_at:
        claim += " Its name look-up was held back."
        proof.append(Proof(at=delayed.at, text=f"The client traced {quote(delayed.text)}.", request_id=evidence.known(delayed.request_id)))
    if failed:
        claim += f" The invocation failed: {error}."
        proof.append(Proof(at=done, text=f"The function said {error}.", request_id=victim.request_id))
        if more := _failed_between(evidence, life, done, ready_at):
            claim += f" So did {times(more, 'invocation')} after it."
    yield _finding(evidence, life, victim, thaw, claim, connecting.subject, proof, failed=failed, library=connecting.library)


def _out_of_time(evidence: Evidence, invocation: Invocation) -> bool:
    return invocation.failed and trouble(evidence.error(invocation)) in ("grpc", "waited")


def _failed_between(evidence: Evidence, life: EnvironmentLife, begin: float, end: float) -> int:
    first = bisect_right(life.invocations, begin, key=lambda one: one.started or 0.0)
    return sum(
        1 for one in takewhile(lambda one: (one.started or 0.0) < end, islice(life.invocations, first, None)) if _out_of_time(evidence, one)
    )


# As the router saw it ----------------------------------------------------------------------------------------------------------------------


def _seen(evidence: Evidence, life: EnvironmentLife) -> Iterator[Finding]:
    for freeze in life.freezes:
        victim = evidence.timeline.invocations.get(freeze.after or "")
        if victim is None or not _out_of_time(evidence, victim):
            continue
        end = victim.responded or victim.finished
        if end is None:
            continue
        for connection in _over_at_thaw(evidence, life, freeze):
            ended = max(connection.closed[0].at, freeze.end)
            others = {one.name for one in evidence.alive(life, ended) if one is not connection}
            tried = evidence.tried(life, connection.name, freeze.begin, end)
            if not tried and end - ended >= SLOW_S / 2 and connection.name not in others:
                yield _never_tried(evidence, life, freeze, connection, victim, ended, end)
                break


def _over_at_thaw(evidence: Evidence, life: EnvironmentLife, freeze: Freeze) -> Iterator[Connection]:
    """Connections that the last request used, and that were closed in the freeze or right after it, in a way that the client knows of."""
    for connection in evidence.ended_within(life, freeze.begin, freeze.end + RIGHT_AFTER_S):
        known = connection.closed[0].reached != "never" and connection.lost is None
        if known and evidence.last_user(life, connection, freeze.begin) == freeze.before:
            yield connection


def _never_tried(
    evidence: Evidence, life: EnvironmentLife, freeze: Freeze, connection: Connection, victim: Invocation, ended: float, end: float
) -> Finding:
    name, number = connection.name, connection.number
    later = evidence.next_opened(life, name, end, evidence.timeline.end)
    then = (
        f"the next connection was opened {duration(later.opened.at - ended)} after the end of the old one"
        if later is not None
        else "no other connection was ever opened"
    )
    claim = (
        f"Connection {number} to {name} was over at the thaw for {request(victim.request_id)}, which failed without an attempt to connect "
        f"({quote(evidence.error(victim))}); {then}."
    )
    proof = [
        Proof(at=freeze.end, text=f"Thawed for {request(victim.request_id)}.", request_id=victim.request_id),
        Proof(at=ended, text=f"Connection {number} to {name} is over, closed by the {connection.closed[0].by}.", connection=number),
        Proof(
            at=end, text=f"The function said {quote(evidence.error(victim))}; nobody had tried to connect.", request_id=victim.request_id
        ),
    ]
    if later is not None:
        by = evidence.known(later.opened.request_id)
        proof.append(
            Proof(
                at=later.opened.at,
                text=f"Connection {later.number} to {name} is opened, in {request(by)}.",
                request_id=by,
                connection=later.number,
            )
        )
    return _finding(evidence, life, victim, freeze, claim, name, proof, failed=True, connection=connection)


def _finding(
    evidence: Evidence,
    life: EnvironmentLife,
    victim: Invocation,
    freeze: Freeze,
    claim: str,
    destination: str,
    proof: list[Proof],
    *,
    failed: bool,
    library: str = "",
    connection: Connection | None = None,
) -> Finding:
    before = evidence.known(freeze.before)
    return Finding(
        rule=NAME,
        severity="failure" if failed else "risk",
        claim=claim,
        function=life.function,
        environment=life.id,
        at=proof[1].at,
        requests=both_ends(before, victim.request_id),
        connection=connection.number if connection is not None else None,
        destination=destination,
        proof=tuple(sorted(proof, key=lambda one: one.at)),
        cures=remedy(
            evidence, life, "held_back", connection, text=evidence.words(victim), protocol="grpc" if library else None, library=library
        ),
    )
