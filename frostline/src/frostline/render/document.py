"""A story as one JSON object, for programs; the page is drawn from the same object.

Field names are a promise: new ones may come, none is renamed while `format` is 1. All times are epoch seconds on the story's clock; all
durations are seconds; ids are whole. `None` is what the story does not say.
"""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct

from ..core.events import ConditionsChanged, ConnectionRefused, ConnectionTraffic
from ..diagnose.finding import Finding
from ..story.timeline import Connection, Freeze, Invocation, LogLine
from .view import Lane, View, concern, ends
from .words import became, carried

FORMAT = 1

TEXT_MOST = 4_000
"""Characters of one log line."""


class HeaderData(Struct, frozen=True, kw_only=True):
    """What was recorded."""

    version: str
    """Frostline's."""
    schema: int
    """The story's."""
    started_at: float
    level: dict[str, object]
    """What the machine allowed: `freezer`, `network_freezes`, ..."""
    begin: float
    """From when until when this object tells; less than the story where a part was asked for."""
    end: float
    truncated: bool
    """The recording was cut off in the middle."""
    environments_unused: int
    """Kept ready and never used; they are not in `environments`."""
    events_unrecorded: int
    """Events of connections that the recording left out."""
    logs_left_out: int
    """Log lines that this object left out."""


class ConditionsData(Struct, frozen=True, kw_only=True):
    """What was chosen while functions ran."""

    at: float
    environment: str | None
    """None: for all that have none of their own."""
    fates: list[str] | None
    """As they are written on the command line. None: the environment has none of its own any more."""
    middleboxes: list[str] | None


class PhaseData(Struct, frozen=True):
    state: str
    begin: float
    end: float
    request_id: str | None


class FreezeData(Struct, frozen=True, kw_only=True):
    begin: float
    end: float
    thawed: bool
    before: str | None
    """The request that ran before it."""
    after: str | None
    """The request that it was thawed for."""
    moved_s: float
    """How much of it the environment's clocks were moved on by."""
    network: NetworkData | None
    """What became of connections, where the network was frozen too."""


class NetworkData(Struct, frozen=True, kw_only=True):
    """What a freeze of the network came to: numbers of connections."""

    connections: int
    lost: int
    black_holed: int
    waiting: int
    """Those whose peer sent data meanwhile."""
    drained: bool
    """All that the environment had sent was on its way when the network was cut."""


class EnvironmentData(Struct, frozen=True, kw_only=True):
    id: str
    function: str
    started: float
    ended: float
    phases: list[PhaseData]
    freezes: list[FreezeData]
    exits: list[ExitData]


class ExitData(Struct, frozen=True, kw_only=True):
    """A process that ended."""

    at: float
    process: str
    status: int | None
    signal: int | None
    out_of_memory: bool


class InvocationData(Struct, frozen=True, kw_only=True):
    number: int
    """From 1, in the order of arrival in the whole story."""
    request_id: str
    function: str
    environment: str | None
    arrived: float
    started: float | None
    responded: float | None
    finished: float | None
    outcome: str
    """`succeeded`, `failed`, `throttled`, `unavailable`, `unfinished`."""
    error_type: str | None
    error_message: str | None


class TrafficData(Struct, frozen=True, kw_only=True):
    begin: float
    end: float
    sent: int
    received: int
    kind: str
    """`data`, `ping`, `ping_ack`."""
    while_frozen: bool
    request_id: str | None


class CloseData(Struct, frozen=True, kw_only=True):
    at: float
    by: str
    """`environment`, `peer`, `middlebox`."""
    how: str
    """`fin`, `rst`."""
    frozen: bool
    reached: str
    """When the other side was told: `at_once`, `after_thaw`, `never`."""


class LostData(Struct, frozen=True, kw_only=True):
    at: float
    fate: str
    """`lost`, `blackhole`."""
    ended_at: float | None
    by: str


class ExpiredData(Struct, frozen=True, kw_only=True):
    at: float
    middlebox: str
    idle_s: float
    then: str


class FirstWriteData(Struct, frozen=True, kw_only=True):
    at: float
    answer: str
    """`data`, `fin`, `rst`, `nothing`."""
    after_s: float | None
    idle_s: float | None
    sent: int | None
    """Bytes that nobody took; 0 for the environment's own end, or a keep-alive probe."""
    request_id: str | None


class ConnectionData(Struct, frozen=True, kw_only=True):
    number: int
    environment: str
    name: str
    """The peer as a person would call it: `redis.local:6379`."""
    host: str | None
    address: str
    port: int
    local_port: int
    fate: str
    middlebox: str | None
    opened: float
    opened_in: str | None
    near_end: float | None
    """When the environment's end ended; None while it is open."""
    far_end: float | None
    """When the peer's end ended."""
    became: str
    """In a few words, for a person."""
    concern: int
    """How much it is worth a look: 3 a finding is about it, 2 something was wrong with it, 1 it has pings or waited in a freeze, 0."""
    sent: int
    """Bytes from the environment."""
    received: int
    traffic: list[TrafficData]
    closed: list[CloseData]
    expired: ExpiredData | None
    lost: LostData | None
    first_writes: list[FirstWriteData]


class RefusedData(Struct, frozen=True, kw_only=True):
    at: float
    environment: str
    name: str
    reason: str
    request_id: str | None


class LogData(Struct, frozen=True, kw_only=True):
    at: float
    environment: str
    request_id: str | None
    type: str
    """`function` or `extension`."""
    text: str


class TraceData(Struct, frozen=True, kw_only=True):
    at: float
    environment: str
    request_id: str | None
    library: str
    what: str
    subject: str
    text: str


class Document(Struct, frozen=True, kw_only=True):
    """The object."""

    format: int
    header: HeaderData
    environments: list[EnvironmentData]
    invocations: list[InvocationData]
    connections: list[ConnectionData]
    refused: list[RefusedData]
    logs: list[LogData]
    traces: list[TraceData]
    conditions: list[ConditionsData]
    findings: list[Finding]
    """As `diagnose` tells them, worst first."""


def document(view: View, *, logs_most: int | None = None) -> Document:
    """The object of a view, with at most so many log lines: those of invocations that failed, or that a finding is about, first."""
    timeline = view.timeline
    logs, left_out = _logs(view, logs_most)
    header = HeaderData(
        version=timeline.header.version,
        schema=timeline.header.schema,
        started_at=timeline.header.started_at,
        level=timeline.header.level,
        begin=view.begin,
        end=view.end,
        truncated=timeline.truncated,
        environments_unused=view.unused,
        events_unrecorded=sum(lane.life.unrecorded for lane in view.lanes),
        logs_left_out=left_out,
    )
    return Document(
        format=FORMAT,
        header=header,
        environments=[_environment(lane) for lane in view.lanes],
        invocations=[_invocation(one, view) for one in view.invocations],
        connections=[_connection(one, lane) for lane in view.lanes for one in lane.connections],
        refused=[_refused(one) for lane in view.lanes for one in lane.refused],
        logs=[_log(one) for one in logs],
        traces=[msgspec.convert(one, TraceData, from_attributes=True) for lane in view.lanes for one in lane.traces],
        conditions=[_conditions(one) for one in view.conditions],
        findings=list(view.findings),
    )


def to_json(view: View) -> bytes:
    """The object of a view, as `frostline story --json` prints it."""
    return msgspec.json.encode(document(view))


def _logs(view: View, most: int | None) -> tuple[list[LogLine], int]:
    logs = [line for lane in view.lanes for line in lane.logs]
    if most is None or len(logs) <= most:
        return logs, 0
    marked = {one.request_id for one in view.invocations if one.failed} | {each for one in view.findings for each in one.requests}
    first = sorted(range(len(logs)), key=lambda index: logs[index].request_id not in marked)[:most]
    return [logs[index] for index in sorted(first)], len(logs) - most


def _conditions(one: ConditionsChanged) -> ConditionsData:
    chosen = one.conditions
    return ConditionsData(
        at=one.at,
        environment=one.environment or None,
        fates=None if chosen is None else chosen.fates.texts(),
        middleboxes=None if chosen is None else chosen.middleboxes.texts(),
    )


def _environment(lane: Lane) -> EnvironmentData:
    life = lane.life
    return EnvironmentData(
        id=life.id,
        function=life.function,
        started=life.started,
        ended=life.ended,
        phases=[PhaseData(phase.state, phase.begin, phase.end, phase.request_id) for phase in lane.phases],
        freezes=[_freeze(freeze) for freeze in life.freezes],
        exits=[
            ExitData(at=at, process=one.process, status=one.status, signal=one.signal, out_of_memory=one.out_of_memory)
            for at, one in life.exits
        ],
    )


def _freeze(freeze: Freeze) -> FreezeData:
    network = freeze.network
    return FreezeData(
        begin=freeze.begin,
        end=freeze.end,
        thawed=freeze.thawed,
        before=freeze.before,
        after=freeze.after,
        moved_s=freeze.moved_s,
        network=None if network is None else msgspec.convert(network, NetworkData, from_attributes=True),
    )


def _invocation(one: Invocation, view: View) -> InvocationData:
    return InvocationData(
        number=view.numbers[one.request_id],
        request_id=one.request_id,
        function=one.function,
        environment=one.environment,
        arrived=one.arrived,
        started=one.started,
        responded=one.responded,
        finished=one.finished,
        outcome=one.outcome,
        error_type=one.error_type,
        error_message=one.error_message,
    )


def _connection(one: Connection, lane: Lane) -> ConnectionData:
    opened, life = one.opened, lane.life
    near, far = ends(one, life, math.inf)
    sent, received = carried(one)
    return ConnectionData(
        number=one.number,
        environment=one.environment,
        name=one.name,
        host=opened.host,
        address=opened.address,
        port=opened.port,
        local_port=opened.local_port,
        fate=opened.fate,
        middlebox=opened.middlebox,
        opened=opened.at,
        opened_in=opened.request_id,
        near_end=None if near == math.inf else near,
        far_end=None if far == math.inf else far,
        became=became(one),
        concern=concern(one, lane.findings),
        sent=sent,
        received=received,
        traffic=[_traffic(burst) for burst in one.traffic],
        closed=[msgspec.convert(event, CloseData, from_attributes=True) for event in one.closed],
        expired=None if one.expired is None else msgspec.convert(one.expired, ExpiredData, from_attributes=True),
        lost=None if one.lost is None else msgspec.convert(one.lost, LostData, from_attributes=True),
        first_writes=[msgspec.convert(event, FirstWriteData, from_attributes=True) for event in one.first_writes],
    )


def _traffic(burst: ConnectionTraffic) -> TrafficData:
    return TrafficData(
        begin=burst.at,
        end=burst.until,
        sent=burst.sent,
        received=burst.received,
        kind=burst.kind,
        while_frozen=burst.while_frozen,
        request_id=burst.request_id,
    )


def _refused(event: ConnectionRefused) -> RefusedData:
    name = f"{event.host or event.address}:{event.port}"
    return RefusedData(at=event.at, environment=event.environment, name=name, reason=event.reason, request_id=event.request_id)


def _log(line: LogLine) -> LogData:
    text = line.text if len(line.text) <= TEXT_MOST else line.text[: TEXT_MOST - 1] + "…"
    return LogData(at=line.at, environment=line.environment, request_id=line.request_id, type=line.type, text=text)
