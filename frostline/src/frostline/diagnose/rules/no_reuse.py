"""Every invocation opens a connection of its own to the same destination.

**Claim.** Three invocations or more in a row, in one environment, opened a new connection to one destination, and none used one that was
there. Each one pays for the round trips to connect (and TLS). Where they are not closed, either, there are more of them with every
invocation, until the server or the environment refuses another.

**Proof.** For every invocation of the row but the last: its connection carried something, nothing was sent on it in a later invocation,
and it was free to be used when the next one was opened, or had been closed while its own invocation ran. A connection that the peer, a
middlebox or the freeze ended in between is no sign, and neither is one that the client closed after the thaw because it was too old.

**Thresholds.** Three: two happen whenever a pool begins to fill.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...story.timeline import Connection, EnvironmentLife, Invocation
from ..evidence import Evidence
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import duration, request, times

NAME = "no-reuse"

ROW = 3

AT_ONCE_S = 0.05
"""A connection is closed with its invocation, if not later than this after it."""

_Use = tuple[Invocation, Connection]


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        for name in dict.fromkeys(connection.name for connection in evidence.connections[life.id]):
            row = _longest(_rows(evidence, life, evidence.to(life, name)))
            if len(row) >= ROW:
                yield _finding(evidence, life, name, row)


def _longest(rows: Iterator[list[_Use]]) -> list[_Use]:
    return max(rows, key=len, default=[])


def _rows(evidence: Evidence, life: EnvironmentLife, connections: list[Connection]) -> Iterator[list[_Use]]:
    """Invocations in a row, each with a connection that it opened for itself alone."""
    row: list[_Use] = []
    for connection in connections:
        opener = evidence.at(life, connection.opened.at, connection.opened.request_id)
        if opener is None or opener.finished is None or not _carried(connection):
            yield row
            row = []
        elif row and row[-1][0] is opener:
            continue  # a second one of the same invocation
        else:
            if row and not _wasted(row[-1][1], row[-1][0], connection.opened.at):
                yield row
                row = []
            row.append((opener, connection))
    yield row


def _carried(connection: Connection) -> bool:
    return any(burst.sent for burst in connection.traffic) or any(closed.sent for closed in connection.closed)


def _wasted(connection: Connection, opener: Invocation, at: float) -> bool:
    """It could have been used at a time, or was closed as soon as it had served its own invocation."""
    assert opener.finished is not None
    if any(burst.sent and burst.at > opener.finished for burst in connection.traffic):
        return False
    closed = connection.closed[0] if connection.closed else None
    if closed is not None and closed.at <= at:
        return closed.at <= opener.finished + AT_ONCE_S
    return connection.lost is None and connection.expired is None


def _finding(evidence: Evidence, life: EnvironmentLife, name: str, row: list[_Use]) -> Finding:
    (first, first_connection), (last, last_connection) = row[0], row[-1]
    left_open = sum(1 for _, connection in row if not connection.closed and connection.lost is None)
    dialed = sum(connection.opened.dialed_s for _, connection in row)
    claim = f"{times(len(row), 'invocation')} in a row opened a connection of their own to {name}, and none used one that was there"
    claim += f"; to connect took {duration(dialed)} in all." if dialed else "."
    if left_open == len(row):
        claim += " None of them was closed: there are more with every invocation."
    return Finding(
        rule=NAME,
        severity="risk" if left_open == len(row) else "cost",
        claim=claim,
        function=life.function,
        environment=life.id,
        at=first_connection.opened.at,
        requests=(first.request_id, last.request_id),
        connection=last_connection.number,
        destination=name,
        proof=tuple(_proof(row)),
        cures=remedy(evidence, life, "reuse", last_connection),
    )


def _proof(row: list[_Use]) -> Iterator[Proof]:
    for invocation, connection in (*row[:2], row[-1]):
        closed = connection.closed[0] if connection.closed else None
        end = "left open" if closed is None else f"closed by the {closed.by} after {duration(closed.at - connection.opened.at)}"
        text = f"Connection {connection.number} to {connection.name} is opened in {request(invocation.request_id)}; {end}, and used by no other request."
        yield Proof(at=connection.opened.at, text=text, request_id=invocation.request_id, connection=connection.number)
