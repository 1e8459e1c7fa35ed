"""The first invocation of an environment does what belongs into the init.

**Claim.** The first invocation took far longer than the ones after it, because it prepared what they use: it opened their connections,
loaded, computed. In the init this is done before anybody waits, and with provisioned concurrency long before.

**Proof.** The first invocation against at least three later ones of the same environment with an event of the same form (numbers and ids
left out); all went well, and fewer than two other environments were on their way to the end of their first one meanwhile. It took five
times as long as they do, and half a second longer in two environments, or a whole second longer in one where it opened a connection that
later ones used.

**Thresholds.** Half a second: a local connection that is opened when it is first needed takes milliseconds, modules that Python loads
late some 50 ms, four times that on a busy machine. Five times: a slow service is slow every time. Two others: 25 environments that were
started at once on 2 cores had first invocations of 0.7 to 1 s that take 60 ms otherwise (Node, `fetch`; measured).
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from msgspec import Struct

from ...story.timeline import Connection, EnvironmentLife, Invocation
from ..evidence import Evidence
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import capital, duration, request, shape, times

NAME = "init-in-handler"

LATER = 3
TIMES = 5.0
LONGER_S = 0.5
MUCH_LONGER_S = 1.0
CROWD = 2

_STARTS = ("starting", "initializing")


class _Case(Struct, frozen=True):
    """A slow first invocation."""

    life: EnvironmentLife
    first: Invocation
    took: float
    usual: float
    later: int
    opened: list[Connection]
    """Connections that it opened and later ones used."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    cases: dict[str, list[_Case]] = {}
    starts = [_start(life) for life in evidence.lives()]
    for life in evidence.lives():
        if (case := _case(evidence, life)) is not None and not _crowded(case, starts):
            cases.setdefault(life.function, []).append(case)
    for found in cases.values():
        clearest = max(found, key=lambda case: (bool(case.opened), case.took - case.usual))
        if len(found) > 1 or (clearest.opened and clearest.took - clearest.usual >= MUCH_LONGER_S):
            yield _finding(evidence, clearest, len(found))


def _case(evidence: Evidence, life: EnvironmentLife) -> _Case | None:
    first = life.invocations[0] if life.invocations else None
    took = _took(first) if first is not None else None
    if first is None or took is None or took < LONGER_S:
        return None
    form = shape(first.payload)
    later = [time for one in life.invocations[1:] if shape(one.payload) == form and (time := _took(one)) is not None]
    if len(later) < LATER:
        return None
    usual = median(later)
    if took < TIMES * usual or took - usual < LONGER_S:
        return None
    end = first.finished or first.responded or evidence.timeline.end
    opened = [
        connection
        for connection in evidence.opened_within(life, first.started or 0.0, end)
        if any(burst.sent and burst.at > end for burst in connection.traffic)
    ]
    return _Case(life, first, took, usual, len(later), opened)


def _start(life: EnvironmentLife) -> tuple[float, float]:
    """From its beginning to the end of its first invocation, or of its init."""
    first = life.invocations[0] if life.invocations else None
    over = None if first is None else first.responded or first.finished
    return life.started, over or max((phase.end for phase in life.phases if phase.state in _STARTS), default=life.started)


def _crowded(case: _Case, starts: list[tuple[float, float]]) -> bool:
    """The machine was busy with starting others, and whatever came first was slow. One of the starts is its own."""
    begin = case.first.started or 0.0
    return sum(start < begin + case.took and begin < end for start, end in starts) > CROWD


def _took(invocation: Invocation) -> float | None:
    if invocation.outcome != "succeeded" or invocation.started is None or invocation.responded is None:
        return None
    return invocation.responded - invocation.started


def _finding(evidence: Evidence, case: _Case, environments: int) -> Finding:
    life, first = case.life, case.first
    assert first.started is not None
    claim = f"{capital(request(first.request_id))}, the first of its environment, took {duration(case.took)}, and the ones after it {duration(case.usual)}"
    claim += f" (so in {times(environments, 'environment')})" if environments > 1 else ""
    if case.opened:
        claim += f". It opened {times(len(case.opened), 'connection')} that they use, to {', '.join(dict.fromkeys(one.name for one in case.opened))}"
    second = life.invocations[1]
    return Finding(
        rule=NAME,
        severity="cost",
        claim=f"{claim}.",
        function=life.function,
        environment=life.id,
        at=first.started,
        requests=(first.request_id, second.request_id),
        connection=case.opened[0].number if case.opened else None,
        destination=case.opened[0].name if case.opened else None,
        proof=(
            Proof(at=first.started, text=f"{capital(request(first.request_id))} takes {duration(case.took)}.", request_id=first.request_id),
            *(
                Proof(
                    at=one.opened.at,
                    text=f"Connection {one.number} to {one.name} is opened in it, and used by later ones.",
                    request_id=first.request_id,
                    connection=one.number,
                )
                for one in case.opened[:3]
            ),
            Proof(
                at=second.started or first.started,
                text=f"The {case.later} after it take {duration(case.usual)} at the median.",
                request_id=second.request_id,
            ),
        ),
        cures=remedy(evidence, life, "init"),
    )
