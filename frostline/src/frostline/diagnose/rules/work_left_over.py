"""Work that request A began was still under way when A was over; it went on in request B, or its answer came there.

**Claim.** The handler returned before everything that it had started was done. The environment froze with it; what was left ran in the
next invocation, at its expense, under its request id, and perhaps long after the moment it was meant for.

**Proof.** One of: a line that was printed while B ran, and that names A's request id and not B's; a request of A's that was answered only
while frozen or in B, on a connection where every request before it had been answered, too; a connection that A began to open, and that
was there only in B. A connection in the place of one that ended in or since the last freeze is no sign: clients connect anew by themselves.

**Thresholds.** More than 64 bytes for a request: shorter ones are protocols' own affairs (PING and its answer, WINDOW_UPDATE,
close_notify). What begins more than a second after A was over, in an environment that an extension keeps awake, was begun by a timer,
and by no request. A line is passed over where B's event has A's request id in it, because then it is B's own business; and so are gRPC's
traces, and lines of a kind that came three times before: something prints them now and then, and Node's runtime puts the last id that it
knows before every line.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ...story.grpc_trace import read_trace
from ...story.timeline import Connection, EnvironmentLife, Freeze, Invocation, LogLine
from ..evidence import Evidence, thaw_before
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import capital, duration, quote, request, shape

NAME = "work-left-over"

SMALL_BYTES = 64
AFTERWARDS_S = 1.0
OFTEN = 3
_ID_LENGTH = 36
"""A UUID's, as AWS makes request ids: 8-4-4-4-12 hexadecimal digits."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        yield from _logged(evidence, life)
        for connection in evidence.connections[life.id]:
            if (found := _answered_late(evidence, life, connection) or _opened_late(evidence, life, connection)) is not None:
                yield found


# A line of A's in B ------------------------------------------------------------------------------------------------------------------------


def _logged(evidence: Evidence, life: EnvironmentLife) -> Iterator[Finding]:
    own = {invocation.request_id: invocation for invocation in life.invocations}
    told: set[tuple[str, str]] = set()
    seen: Counter[str] = Counter()
    for line in evidence.logs[life.id]:
        if line.type != "function" or read_trace(line.text, at=0.0, environment="", request_id=None) is not None:
            continue
        form = shape(line.text)
        seen[form] += 1
        if seen[form] > OFTEN:
            continue
        for named in _ids(line.text):
            beginner = own.get(named)
            runs = evidence.at(life, line.at, line.request_id)
            if beginner is None or runs is None or (named, runs.request_id) in told or not _is_later(beginner, runs, line):
                continue
            told.add((named, runs.request_id))
            yield _logged_finding(evidence, life, beginner, runs, line)


def _ids(text: str) -> Iterator[str]:
    """What in a line has the form of a request id."""
    at = text.find("-")
    while at != -1:
        begin = at - 8
        candidate = text[begin : begin + _ID_LENGTH] if begin >= 0 else ""
        if len(candidate) == _ID_LENGTH and candidate[13] == candidate[18] == candidate[23] == "-":
            yield candidate
            at = text.find("-", begin + _ID_LENGTH)
        else:
            at = text.find("-", at + 1)


def _is_later(beginner: Invocation, runs: Invocation, line: LogLine) -> bool:
    return (
        beginner.request_id != runs.request_id
        and beginner.finished is not None
        and runs.started is not None
        and beginner.finished <= runs.started <= line.at
        and (runs.finished is None or line.at <= runs.finished)
        and runs.request_id not in line.text
        and beginner.request_id not in runs.payload
    )


def _logged_finding(evidence: Evidence, life: EnvironmentLife, beginner: Invocation, runs: Invocation, line: LogLine) -> Finding:
    assert beginner.finished is not None
    return Finding(
        rule=NAME,
        severity="risk",
        claim=(
            f"{capital(request(beginner.request_id))} was over, and {duration(line.at - beginner.finished)} later a line of its work was printed, "
            f"in {request(runs.request_id)}: {quote(line.text)}."
        ),
        function=life.function,
        environment=life.id,
        at=line.at,
        requests=(beginner.request_id, runs.request_id),
        proof=(
            Proof(at=beginner.finished, text=f"{capital(request(beginner.request_id))} is over.", request_id=beginner.request_id),
            *_thawed(life, line.at, runs),
            Proof(at=line.at, text=f"Printed: {quote(line.text)}.", request_id=runs.request_id),
        ),
        cures=remedy(evidence, life, "left_over"),
    )


def _thawed(life: EnvironmentLife, at: float, runs: Invocation) -> tuple[Proof, ...]:
    freeze = thaw_before(life, at)
    return (Proof(at=freeze.end, text=f"Thawed for {request(runs.request_id)}.", request_id=runs.request_id),) if freeze is not None else ()


# An answer, or a connection, that came too late --------------------------------------------------------------------------------------------


def _answered_late(evidence: Evidence, life: EnvironmentLife, connection: Connection) -> Finding | None:
    exchanges = [burst for burst in connection.traffic if burst.kind == "data"]
    for burst, following in pairwise(exchanges):
        if burst.sent <= SMALL_BYTES or burst.received:
            continue
        if not following.received or following.sent:
            return None  # it does not wait for answers, whatever it speaks
        freeze = life.freeze_between(burst.until, math.inf)
        if freeze is not None and freeze.begin <= following.at:
            return _late_finding(evidence, life, connection, freeze, burst.at, following.at, f"{burst.sent:,} bytes sent")
    return None


def _opened_late(evidence: Evidence, life: EnvironmentLife, connection: Connection) -> Finding | None:
    began, opened = connection.opened.at - connection.opened.dialed_s, connection.opened.at
    freeze = life.freeze_before(opened)
    if freeze is None or began >= freeze.begin:
        return None
    thawed_from = thaw_before(life, began)
    since = thawed_from.begin if thawed_from is not None else 0.0
    if any(one.ended is not None and since <= one.ended <= freeze.begin for one in evidence.to(life, connection.name)):
        return None
    return _late_finding(evidence, life, connection, freeze, began, opened, "The environment begins to connect")


def _late_finding(
    evidence: Evidence, life: EnvironmentLife, connection: Connection, freeze: Freeze, began: float, done: float, what: str
) -> Finding | None:
    beginner = evidence.at(life, began)
    runs = evidence.timeline.invocations.get(freeze.after or "")
    if beginner is None or runs is None or beginner is runs:
        return None
    if beginner.finished is not None and began > beginner.finished + AFTERWARDS_S:
        return None
    name, number = connection.name, connection.number
    caught = "was answered" if "sent" in what else "was there"
    claim = (
        f"{capital(request(beginner.request_id))} was over with work under way: what it had begun on connection {number} to {name}, "
        f"{duration(freeze.begin - began)} before the freeze, {caught} only while frozen or in {request(runs.request_id)}."
    )
    return Finding(
        rule=NAME,
        severity="risk",
        claim=claim,
        function=life.function,
        environment=life.id,
        at=freeze.end,
        requests=(beginner.request_id, runs.request_id),
        connection=number,
        destination=name,
        proof=(
            Proof(at=began, text=f"{what}: connection {number} to {name}.", request_id=beginner.request_id, connection=number),
            Proof(at=freeze.begin, text=f"Frozen, after {request(beginner.request_id)}.", request_id=beginner.request_id),
            Proof(at=done, text=f"Connection {number} {caught}.", connection=number),
            Proof(at=freeze.end, text=f"Thawed for {request(runs.request_id)}.", request_id=runs.request_id),
        ),
        cures=remedy(evidence, life, "left_over"),
    )
