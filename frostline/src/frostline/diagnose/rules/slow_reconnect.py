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

from collections.abc import Iterator

from msgspec import Struct

from ...story.grpc_trace import GrpcTrace
from ...story.timeline import Connection, EnvironmentLife, Freeze, Invocation
from ..errors import trouble
from ..evidence import RIGHT_AFTER_S, Evidence, ended_by_other, thaw_before
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import duration, quote, request, times

NAME = "slow-reconnect"

SLOW_S = 1.0


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        told = list(_told(evidence, life))
        yield from told
        # What a channel's traces tell need not be guessed from its connections.
        if not evidence.traces[life.id]:
            yield from _seen(evidence, life)


# As gRPC traces tell it --------------------------------------------------------------------------------------------------------------------


class _Channel(Struct):
    """What is known of one channel so far."""

    was_ready: bool = False
    connecting: GrpcTrace | None = None
    """Since when it connects, after a thaw."""
    thaw: Freeze | None = None
    delayed: GrpcTrace | None = None


def _told(evidence: Evidence, life: EnvironmentLife) -> Iterator[Finding]:
    channels: dict[str, _Channel] = {}
    delayed: GrpcTrace | None = None
    for trace in evidence.traces[life.id]:
        if trace.what == "resolution_delayed":
            delayed = trace
        elif trace.what in ("connecting", "ready") and _is_channel(trace):
            channel = channels.setdefault(trace.subject, _Channel())
            if trace.what == "ready":
                yield from _connected(evidence, life, channel, trace.at, delayed)
                channel.was_ready, channel.connecting = True, None
            elif channel.connecting is None and channel.was_ready and (thaw := thaw_before(life, trace.at)) is not None:
                channel.connecting, channel.thaw = trace, thaw
    for channel in channels.values():
        yield from _connected(evidence, life, channel, evidence.timeline.end, delayed)


def _is_channel(trace: GrpcTrace) -> bool:
    """One line for each change, and not one for each layer that speaks of it."""
    if trace.library == "grpc-js":
        return trace.tracer in ("resolving_load_balancer", "connectivity_state")
    return "SubChannel" not in trace.subject and not trace.subject.startswith("client_transport")


def _connected(evidence: Evidence, life: EnvironmentLife, channel: _Channel, at: float, delayed: GrpcTrace | None) -> Iterator[Finding]:
    if channel.connecting is None or channel.thaw is None:
        return
    began = channel.connecting.at
    victim = evidence.at(life, began, channel.connecting.request_id)
    if victim is None or thaw_before(life, began) is not thaw_before(life, victim.started or began):
        return
    done = victim.responded or victim.finished or evidence.timeline.end
    waited = min(at, done) - began
    failed = victim.failed and at > done and trouble(evidence.error(victim)) in ("grpc", "waited")
    if waited < SLOW_S if not failed else waited < SLOW_S / 2:
        return
    proof = [
        Proof(at=channel.thaw.end, text=f"Thawed for {request(victim.request_id)}.", request_id=victim.request_id),
        Proof(at=began, text=f"The client traced {quote(channel.connecting.text)}.", request_id=victim.request_id),
    ]
    if delayed is not None and channel.thaw.end <= delayed.at <= at:
        proof.append(Proof(at=delayed.at, text=f"The client traced {quote(delayed.text)}.", request_id=evidence.known(delayed.request_id)))
        why = " Its name look-up was held back."
    else:
        why = ""
    ready = f"was ready after {duration(waited)}" if not failed else f"was not ready when the invocation failed, {duration(waited)} later"
    if failed:
        more = sum(
            1
            for one in life.invocations
            if one.failed and done < (one.started or 0.0) < at and trouble(evidence.error(one)) in ("grpc", "waited")
        )
        ready += f"; {times(more, 'invocation')} after it failed of the same" if more else ""
        proof.append(Proof(at=done, text=f"The function said {quote(evidence.error(victim))}.", request_id=victim.request_id))
    claim = (
        f"After the thaw for {request(victim.request_id)} the channel to {channel.connecting.subject} began to connect, and {ready}.{why}"
    )
    yield _finding(
        evidence, life, victim, channel.thaw, claim, channel.connecting.subject, proof, failed=failed, library=channel.connecting.library
    )


# As the router saw it ----------------------------------------------------------------------------------------------------------------------


def _seen(evidence: Evidence, life: EnvironmentLife) -> Iterator[Finding]:
    for freeze in life.freezes:
        victim = evidence.timeline.invocations.get(freeze.after or "")
        if victim is None or not victim.failed or trouble(evidence.error(victim)) not in ("waited", "grpc"):
            continue
        end = victim.responded or victim.finished
        if end is None:
            continue
        for connection in _over_at_thaw(evidence, life, freeze):
            ended = max(connection.closed[0].at, freeze.end)
            tried = evidence.next_opened(life, connection.name, freeze.begin, end) is not None or any(
                refused.environment == life.id and freeze.begin <= refused.at <= end for refused in evidence.timeline.refused
            )
            if not tried and end - ended >= SLOW_S / 2 and not _others_open(evidence, life, connection, ended):
                yield _never_tried(evidence, life, freeze, connection, victim, ended, end)
                break


def _over_at_thaw(evidence: Evidence, life: EnvironmentLife, freeze: Freeze) -> Iterator[Connection]:
    """Connections that the last request used, and that were closed in the freeze or right after it, in a way that the client knows of."""
    for connection in evidence.connections[life.id]:
        closed = connection.closed[0] if connection.closed else None
        if (
            closed is None
            or closed.reached == "never"
            or not freeze.begin <= closed.at <= freeze.end + RIGHT_AFTER_S
            or connection.lost is not None
        ):
            continue
        if (closed.by == "environment" or ended_by_other(connection) is not None) and evidence.last_user(
            life, connection, freeze.begin
        ) == freeze.before:
            yield connection


def _others_open(evidence: Evidence, life: EnvironmentLife, connection: Connection, at: float) -> bool:
    return any(
        one is not connection and one.opened.at <= at and (one.ended is None or one.ended > at)
        for one in evidence.to(life, connection.name)
    )


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
    text = "\n".join([evidence.error(victim), *(line.text for line in evidence.said(victim))])
    return Finding(
        rule=NAME,
        severity="failure" if failed else "risk",
        claim=claim,
        function=life.function,
        environment=life.id,
        at=proof[1].at,
        requests=(before, victim.request_id) if before is not None and before != victim.request_id else (victim.request_id,),
        connection=connection.number if connection is not None else None,
        destination=destination,
        proof=tuple(sorted(proof, key=lambda one: one.at)),
        cures=remedy(evidence, life, "held_back", connection, text=text, protocol="grpc" if library else None, library=library),
    )
