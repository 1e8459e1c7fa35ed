"""What a picture shows of a story: which environments, from when until when, and what of it is worth a look first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from ..core.events import ConditionsChanged, ConnectionRefused, FirstWriteAnswered
from ..core.states import State
from ..diagnose.finding import Finding
from ..story.grpc_trace import GrpcTrace
from ..story.timeline import Connection, EnvironmentLife, Invocation, LogLine, Phase, Timeline
from .axis import Axis, shortened, to_scale

ASLEEP = frozenset(state.value for state in (State.FROZEN, State.PREPARED, State.IDLE, State.GONE))
"""States in which nothing of the function runs, or nothing that anybody waits for."""


class Lane(Struct):
    """One environment, as far as it is shown."""

    life: EnvironmentLife
    phases: list[Phase]
    """Whole: those at the edges begin before what is shown, or end after it."""
    invocations: list[Invocation]
    connections: list[Connection]
    refused: list[ConnectionRefused]
    logs: list[LogLine]
    """Those of functions and extensions; the platform's own say what the lane shows."""
    traces: list[GrpcTrace]
    findings: list[Finding]

    @property
    def trouble(self) -> int:
        """How many things in it went wrong: failed invocations, and findings."""
        return sum(invocation.failed for invocation in self.invocations) + len(self.findings)


class View(Struct):
    """A story, or a part of it."""

    timeline: Timeline
    findings: tuple[Finding, ...]
    """Those of what is shown, worst first."""
    begin: float
    end: float
    lanes: list[Lane]
    """Environments that ran any of their function's code, in the order in which they were started."""
    unused: int
    """Environments that were kept ready and never used; they are not drawn."""
    numbers: dict[str, int]
    """Request id to its number in the whole story, from 1, in the order of arrival."""

    @property
    def conditions(self) -> list[ConditionsChanged]:
        """Those that were chosen in what is shown, for what is shown."""
        shown = {"", *(lane.life.id for lane in self.lanes)}
        return [one for one in self.timeline.conditions if self.begin <= one.at <= self.end and one.environment in shown]

    @property
    def invocations(self) -> list[Invocation]:
        """Those that are shown, in the order of their arrival; among them those that never reached an environment."""
        shown = {lane.life.id for lane in self.lanes}
        return [
            one
            for one in self.timeline.invocations.values()
            if (one.environment in shown or one.environment is None)
            and self.begin <= (one.finished or one.arrived)
            and one.arrived <= self.end
        ]

    @property
    def whole(self) -> bool:
        """Nothing was left out by choice."""
        return (
            self.begin <= self.timeline.begin
            and self.end >= self.timeline.end
            and len(self.lanes) + self.unused == len(self.timeline.environments)
        )

    def axis(self, *, scale: bool = False) -> Axis:
        """The axis of a picture of this; `scale`: nothing is shortened."""
        zero = self.timeline.begin
        if scale:
            return to_scale(self.begin, self.end, zero=zero)
        phases = [phase for lane in self.lanes for phase in lane.phases]
        return shortened(
            self.begin,
            self.end,
            states=[at for phase in phases for at in (phase.begin, phase.end)],
            events=[at for lane in self.lanes for at in _moments(lane)],
            runs=[(phase.begin, phase.end) for phase in phases if phase.state not in ASLEEP],
            zero=zero,
        )


def _moments(lane: Lane) -> Iterable[float]:
    for connection in lane.connections:
        yield connection.opened.at
        for burst in connection.traffic:
            yield burst.at
            yield burst.until
        yield from (event.at for event in (*connection.closed, *connection.first_writes))
        yield from (event.at for event in (connection.expired, connection.lost) if event is not None)
    yield from (event.at for event in lane.refused)
    yield from (trace.at for trace in lane.traces)
    for finding in lane.findings:
        yield finding.at
        yield from (proof.at for proof in finding.proof)


_SEVERITIES = ("failure", "risk", "cost")


def select(
    timeline: Timeline,
    findings: Sequence[Finding] = (),
    *,
    environments: Iterable[str] = (),
    begin: float | None = None,
    end: float | None = None,
) -> View:
    """The view of a story: of all of it, or of these environments and this stretch."""
    wanted = set(environments)
    low = timeline.begin if begin is None else max(begin, timeline.begin)
    high = timeline.end if end is None else min(end, timeline.end)
    shown, unused = [], 0
    for life in timeline.environments.values():
        if wanted and life.id not in wanted:
            continue
        if not _used(life):
            unused += 1
        elif life.started <= high and life.ended >= low:
            shown.append(life.id)
    kept = tuple(
        sorted(
            (one for one in findings if one.environment in shown and low <= one.at <= high),
            key=lambda one: (_SEVERITIES.index(one.severity), one.at),
        )
    )
    numbers = {request_id: index for index, request_id in enumerate(timeline.invocations, 1)}
    return View(timeline, kept, low, high, _lanes(timeline, shown, kept, low, high), unused, numbers)


def _used(life: EnvironmentLife) -> bool:
    return bool(life.invocations) or any(phase.state == State.INITIALIZING.value for phase in life.phases)


def _lanes(timeline: Timeline, shown: list[str], findings: Sequence[Finding], low: float, high: float) -> list[Lane]:
    lanes = {environment: _lane(timeline.environments[environment], low, high) for environment in shown}
    for connection in timeline.connections.values():
        lane = lanes.get(connection.environment)
        if lane is not None and connection.opened.at <= high and max(ends(connection, lane.life, timeline.end)) >= low:
            lane.connections.append(connection)
    for refused in timeline.refused:
        if refused.environment in lanes and low <= refused.at <= high:
            lanes[refused.environment].refused.append(refused)
    for line in timeline.logs:
        if line.environment in lanes and low <= line.at <= high and not line.type.startswith("platform."):
            lanes[line.environment].logs.append(line)
    for trace in timeline.traces:
        if trace.environment in lanes and low <= trace.at <= high:
            lanes[trace.environment].traces.append(trace)
    for finding in findings:
        lanes[finding.environment].findings.append(finding)
    return list(lanes.values())


def _lane(life: EnvironmentLife, low: float, high: float) -> Lane:
    return Lane(
        life,
        phases=[phase for phase in life.phases if phase.end >= low and phase.begin <= high],
        invocations=[one for one in life.invocations if (one.finished or high) >= low and (one.started or high) <= high],
        connections=[],
        refused=[],
        logs=[],
        traces=[],
        findings=[],
    )


def around(timeline: Timeline, invocation: Invocation, findings: Iterable[Finding]) -> tuple[float, float]:
    """From when until when to look to understand one invocation: from the one before it in its environment, or the other end of a finding."""
    life = timeline.environments.get(invocation.environment or "")
    if life is None:
        return invocation.arrived - 1.0, invocation.arrived + 1.0
    named = {request_id for finding in findings if invocation.request_id in finding.requests for request_id in finding.requests}
    index = life.invocations.index(invocation)
    near = life.invocations[max(index - 1, 0) : index + 1] + [one for one in life.invocations if one.request_id in named]
    begin = min(one.started or one.arrived for one in near)
    end = max(one.finished or one.arrived for one in near)
    margin = max(0.002, (end - begin) * 0.02)
    return begin - margin, end + margin


def ends(connection: Connection, life: EnvironmentLife, never: float) -> tuple[float, float]:
    """When the environment's end of a connection ended, and when its peer's end did; `never` for one that did not.

    They differ where a freeze came between: the peer is gone, and the environment learns it from the first thing that it writes, or not at all.
    """
    near = [first.at for first in spoiled(connection) if first.answer != "nothing"]
    near += [first.at for first in connection.first_writes if first.sent == 0 and first.answer == "rst"]
    far = [connection.lost.ended_at] if connection.lost is not None and connection.lost.ended_at is not None else []
    for event in connection.closed:
        told = {"at_once": event.at, "after_thaw": thaw_after(life, event.at), "never": never}[event.reached]
        if event.by == "environment":
            near.append(event.at)
            far.append(told)  # a peer that goes on after a FIN is not known from one that ends
        else:
            far.append(event.at)
            if event.how == "rst":
                near.append(told)
    return min(near, default=never), min(far, default=never)


def spoiled(connection: Connection) -> list[FirstWriteAnswered]:
    """First writes after a thaw that got no data: a reset, an end, or nothing. Not what answers the environment's own end."""
    own = min((event.at for event in connection.closed if event.by == "environment"), default=None)
    return [
        first
        for first in connection.first_writes
        if (first.answer in ("rst", "nothing") and first.sent != 0) or (first.answer == "fin" and (own is None or own > first.at))
    ]


def thaw_after(life: EnvironmentLife, at: float) -> float:
    """When the freeze ended into which a moment fell; the moment itself, if it fell into none."""
    freeze = life.freeze_before(at)
    return freeze.end if freeze is not None and at <= freeze.end else at


def concern(connection: Connection, findings: Iterable[Finding]) -> int:
    """How much a connection is worth a look: 3 a finding is about it, 2 something was wrong with it, 1 it has pings or waited in a freeze, 0."""
    if any(finding.connection == connection.number for finding in findings):
        return 3
    wrong = connection.lost is not None or connection.expired is not None or bool(spoiled(connection))
    if wrong or any(one.how == "rst" or one.frozen for one in connection.closed):
        return 2
    return int(any(burst.kind != "data" or burst.while_frozen for burst in connection.traffic))


def choose(lane: Lane, most: int) -> list[Connection]:
    """The connections that are worth a look, at most so many, in the order in which they were opened."""
    if len(lane.connections) <= most:
        return lane.connections
    ranked = sorted(lane.connections, key=lambda one: (-concern(one, lane.findings), -len(one.traffic), one.number))
    return sorted(ranked[:most], key=lambda one: one.number)


def choose_lanes(lanes: list[Lane], most: int) -> list[Lane]:
    """The environments with most to see, at most so many, in the order in which they were started."""
    if len(lanes) <= most:
        return lanes
    ranked = sorted(lanes, key=lambda lane: (-lane.trouble, -len(lane.invocations)))
    kept = {lane.life.id for lane in ranked[:most]}
    return [lane for lane in lanes if lane.life.id in kept]
