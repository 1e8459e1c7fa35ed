"""Something that happens at a steady pace was due while the environment was frozen, and came right after the thaw.

**Claim.** The function (or an extension) does something every few moments: a line in the log, bytes on a connection, a PING. While the
environment was frozen it did not happen; the overdue one came at the thaw, once or all at once. What depends on it (a heartbeat, a lease,
a flush of metrics) did not hold meanwhile.

**Proof.** Four or more of a kind without a freeze between them, their gaps within a fifth of each other; the next one due in the freeze;
and one of the same kind right after the thaw. It is not the handler's own loop: the first one ever came at least half a period after its
invocation began, or before any invocation.

**Thresholds.** Three gaps, because two agree by chance too easily. A period of 0.2 s or more: below it, a handler that does some things
one after the other looks the same. 'Right after' is a quarter of the period and 0.25 s at most.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from msgspec import Struct, field

from ...story.grpc_trace import read_trace
from ...story.timeline import Connection, EnvironmentLife, Freeze
from ..evidence import RIGHT_AFTER_S, Evidence
from ..finding import Finding, Proof
from ..remedy import remedy
from ..words import both_ends, duration, quote, request, shape

NAME = "timers-starved"

GAPS = 3
SHORTEST_S = 0.2
STEADY = 0.2


class _Series(Struct):
    """Things of one kind."""

    example: str
    """A line, or what goes over a connection."""
    connection: Connection | None
    at: list[float] = field(default_factory=list)

    @property
    def what(self) -> str:
        if self.connection is None:
            return f"the line {quote(self.example)}"
        return f"{self.example} on connection {self.connection.number} to {self.connection.name}"


def find(evidence: Evidence) -> Iterator[Finding]:
    """See the module."""
    for life in evidence.lives():
        for series in _series(evidence, life):
            if len(series.at) > GAPS + 1 and not _handlers_own(life, series):
                yield from _starved(evidence, life, series)


def _series(evidence: Evidence, life: EnvironmentLife) -> list[_Series]:
    found: dict[tuple[object, ...], _Series] = {}
    for line in evidence.logs[life.id]:
        if read_trace(line.text, at=0.0, environment="", request_id=None) is None:
            found.setdefault((line.type, shape(line.text)), _Series(line.text, None)).at.append(line.at)
    for connection in evidence.connections[life.id]:
        for burst in connection.traffic:
            if burst.sent:
                what = "a PING" if burst.kind == "ping" else f"{burst.sent:,} bytes"
                key = (connection.number, burst.kind, burst.sent)
                found.setdefault(key, _Series(what, connection)).at.append(burst.at)
    return list(found.values())


def _handlers_own(life: EnvironmentLife, series: _Series) -> bool:
    """It begins when an invocation does."""
    running = life.running(series.at[0])
    gap = min(later - earlier for earlier, later in pairwise(series.at))
    return running is not None and running.started is not None and series.at[0] - running.started < max(gap, SHORTEST_S) / 2


def _starved(evidence: Evidence, life: EnvironmentLife, series: _Series) -> Iterator[Finding]:
    before = 0
    for previous, freeze in zip([None, *life.freezes], life.freezes, strict=False):
        awake = previous.end if previous is not None else life.started
        first, before = bisect_right(series.at, awake, lo=before), bisect_right(series.at, freeze.begin, lo=before)
        stretch = series.at[first:before]
        if not freeze.thawed or len(stretch) <= GAPS or before == len(series.at):
            continue
        # The first one of a stretch may be an overdue one itself.
        gaps = [later - earlier for earlier, later in pairwise(stretch)][1 if len(stretch) > GAPS + 1 else 0 :]
        period = median(gaps)
        late = series.at[before] - freeze.end
        if (
            period >= SHORTEST_S
            and all(abs(gap - period) <= STEADY * period for gap in gaps)
            and freeze.begin + STEADY * period < stretch[-1] + period < freeze.end
            and 0 <= late <= min(period / 4, RIGHT_AFTER_S)
        ):
            yield _finding(evidence, life, series, freeze, stretch, period, late)
            return


def _finding(
    evidence: Evidence, life: EnvironmentLife, series: _Series, freeze: Freeze, stretch: list[float], period: float, late: float
) -> Finding:
    before, after = evidence.known(freeze.before), evidence.known(freeze.after)
    due = stretch[-1] + period
    number = series.connection.number if series.connection is not None else None
    return Finding(
        rule=NAME,
        severity="risk",
        claim=(
            f"Every {duration(period)} there is {series.what}. The environment was frozen for {duration(freeze.gap_s)} after {request(before)}; "
            f"the next one was due {duration(due - freeze.begin)} into it, and came {duration(late)} after the thaw."
        ),
        function=life.function,
        environment=life.id,
        at=freeze.end + late,
        requests=both_ends(before, after),
        connection=number,
        destination=series.connection.name if series.connection is not None else None,
        proof=(
            Proof(at=stretch[0], text=f"The first of {len(stretch)} without a freeze between them.", connection=number),
            Proof(at=stretch[-1], text="The last one before the freeze.", connection=number),
            Proof(at=freeze.begin, text=f"Frozen, after {request(before)}.", request_id=before),
            Proof(at=due, text="The next one is due, and nothing runs."),
            Proof(at=freeze.end, text=f"Thawed for {request(after)}.", request_id=after),
            Proof(at=freeze.end + late, text="It comes.", request_id=after, connection=number),
        ),
        cures=remedy(evidence, life, "timers"),
    )
