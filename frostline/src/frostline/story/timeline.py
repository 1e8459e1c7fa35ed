"""A story put together: who lived when, which invocation ran where, and what became of every connection.

`diagnose` and `render` read this and not lines. Nothing is judged here: what a line says is put where it belongs, and what a story does not say
(it was cut off, or the recording left things out) stays None. All times are epoch seconds, as the environments lived them (see `lived`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from ..core.effects import Emit, FunctionFailed, Resolve, StartEnvironment, Succeeded, Throttled, Transition, Unavailable
from ..core.events import (
    ConditionsChanged,
    ConnectionClosed,
    ConnectionLost,
    ConnectionOpened,
    ConnectionRefused,
    ConnectionsUnrecorded,
    ConnectionTraffic,
    EnvironmentWarped,
    Event,
    FirstWriteAnswered,
    FunctionDeployed,
    InvocationArrived,
    NetworkEvent,
    NetworkRestored,
    PathExpired,
    ProcessExited,
    RuntimeFailed,
    RuntimeResponded,
    RuntimeResponseStarted,
)
from ..core.function import Function
from .function_error import error_of
from .grpc_trace import GrpcTrace, read_traces
from .lived import as_lived
from .records import Header, Line

InvocationOutcome = Literal["succeeded", "failed", "throttled", "unavailable", "unfinished"]


class Phase(Struct, frozen=True):
    """A stretch of one state of an environment (`core.states`)."""

    state: str
    begin: float
    end: float
    request_id: str | None = None
    """The invocation, where the state is `busy` (or `thawing`, on the way to it)."""


class Freeze(Struct):
    """One time that an environment stood still."""

    begin: float
    """The kernel said that it stands still."""
    end: float
    """The thaw began; the story's end, where it never did."""
    before: str | None
    """The last invocation that ran before it."""
    after: str | None = None
    """The invocation that it was thawed for."""
    network: NetworkRestored | None = None
    """What became of connections, where the network was frozen too."""
    thawed: bool = False
    moved_s: float = 0.0
    """How much of it its clocks were moved on by, in no time."""

    @property
    def gap_s(self) -> float:
        """How long it lasted, in seconds."""
        return self.end - self.begin


class Invocation(Struct):
    """One invocation, from its arrival to its end."""

    request_id: str
    function: str
    arrived: float
    payload: str = ""
    """The beginning of the event, as far as a story keeps it."""
    environment: str | None = None
    """Where it ran, if it came to that."""
    started: float | None = None
    """The runtime was given the event."""
    responded: float | None = None
    """The runtime posted its response, or its error."""
    finished: float | None = None
    """The environment was done with it."""
    outcome: InvocationOutcome = "unfinished"
    error_type: str | None = None
    error_message: str | None = None
    response: str = ""
    """The beginning of the response or error, as far as a story keeps it."""
    first: bool = False
    """The first one of its environment."""

    @property
    def failed(self) -> bool:
        """The function failed it: not throttled, not the machine's fault."""
        return self.outcome == "failed"


class Connection(Struct):
    """One connection of an environment."""

    opened: ConnectionOpened
    traffic: list[ConnectionTraffic] = field(default_factory=list)
    closed: list[ConnectionClosed] = field(default_factory=list)
    """At most one for each side, in order; the first one ended the connection's usefulness."""
    expired: PathExpired | None = None
    lost: ConnectionLost | None = None
    first_writes: list[FirstWriteAnswered] = field(default_factory=list)
    """What the first write after each thaw got."""

    @property
    def number(self) -> int:
        return self.opened.connection

    @property
    def environment(self) -> str:
        return self.opened.environment

    @property
    def name(self) -> str:
        """The peer as a person would call it: `redis.local:6379`."""
        return f"{self.opened.host or self.opened.address}:{self.opened.port}"

    @property
    def ended(self) -> float | None:
        """When it was closed by either side or taken away; None while it is open."""
        times = [event.at for event in self.closed[:1]]
        if self.lost is not None:
            times.append(self.lost.at)
        return min(times, default=None)

    def requests(self) -> list[str]:
        """The invocations that sent something on it, in order."""
        return list(dict.fromkeys(burst.request_id for burst in self.traffic if burst.sent and burst.request_id is not None))

    def idle_since(self, at: float) -> float:
        """When the last byte before `at` went over it, in either direction (its opening, if none did)."""
        return max((burst.until for burst in self.traffic if burst.until < at and not burst.while_frozen), default=self.opened.at)


class LogLine(Struct, frozen=True):
    """A line that a process of the function or of an extension printed, or that the platform wrote about it."""

    at: float
    environment: str
    request_id: str | None
    type: str
    """`function`, `extension`, or the platform's: `platform.start`, ..."""
    text: str


class EnvironmentLife(Struct):
    """One environment, from its start to its end."""

    id: str
    function: str
    started: float
    phases: list[Phase] = field(default_factory=list)
    freezes: list[Freeze] = field(default_factory=list)
    invocations: list[Invocation] = field(default_factory=list)
    exits: list[tuple[float, ProcessExited]] = field(default_factory=list)
    unrecorded: int = 0
    """Events of its connections that the recording left out, as there were too many."""

    @property
    def ended(self) -> float:
        return self.phases[-1].end if self.phases else self.started

    @property
    def short(self) -> str:
        """The beginning of its id, as logs show it."""
        return self.id[:6]

    def running(self, at: float) -> Invocation | None:
        """The invocation that it was busy with at a time; None between two."""
        found = self.last(at)
        return found if found is not None and (found.finished is None or at < found.finished) else None

    def last(self, at: float) -> Invocation | None:
        """The invocation that was started last before (or at) a time, still running or not."""
        index = bisect_right(self.invocations, at, key=lambda invocation: invocation.started or 0.0)
        return self.invocations[index - 1] if index else None

    def freeze_between(self, begin: float, end: float) -> Freeze | None:
        """The first freeze that began after `begin` and ended before `end`."""
        index = bisect_left(self.freezes, begin, key=lambda freeze: freeze.begin)
        return self.freezes[index] if index < len(self.freezes) and self.freezes[index].end <= end else None

    def freeze_before(self, at: float) -> Freeze | None:
        """The last freeze that had begun at a time, over or not."""
        index = bisect_right(self.freezes, at, key=lambda freeze: freeze.begin)
        return self.freezes[index - 1] if index else None


class Timeline(Struct):
    """A whole story."""

    header: Header
    begin: float
    end: float
    functions: dict[str, Function] = field(default_factory=dict)
    environments: dict[str, EnvironmentLife] = field(default_factory=dict)
    """In the order in which they were started."""
    invocations: dict[str, Invocation] = field(default_factory=dict)
    """By request id, in the order in which they arrived."""
    connections: dict[int, Connection] = field(default_factory=dict)
    """By their numbers."""
    refused: list[ConnectionRefused] = field(default_factory=list)
    logs: list[LogLine] = field(default_factory=list)
    traces: list[GrpcTrace] = field(default_factory=list)
    """What gRPC libraries wrote about their connections, where they were told to trace."""
    conditions: list[ConditionsChanged] = field(default_factory=list)
    """Fates and middleboxes that were chosen while it ran."""
    truncated: bool = False
    """The recording was cut off; set by whoever read the file."""


def timeline(header: Header, lines: Iterable[Line]) -> Timeline:
    """Put a story together. Lines that speak of what was never introduced (a beginning that is missing) are passed over."""
    builder = _Builder(header)
    for line in as_lived(lines):
        builder.take(line)
    return builder.finish()


class _Builder:
    """Takes lines in order."""

    def __init__(self, header: Header) -> None:
        self.made = Timeline(header, header.started_at, header.started_at)
        self._state: dict[str, Phase] = {}
        """Environments' present states: phases without an end yet."""
        self._ahead: dict[str, float] = {}
        """By how much environments' clocks were moved: an invocation arrives before it is known whose it will be."""

    def take(self, line: Line) -> None:
        made = self.made
        made.end = max(made.end, line.at)
        if isinstance(line.event, NetworkEvent):
            self._network(line.event)
        elif line.event is not None:
            self._event(line.event, line.at)
        match line.effect:
            case StartEnvironment(environment=environment, function=function):
                made.environments[environment] = EnvironmentLife(environment, function, line.at)
                self._state[environment] = Phase("starting", line.at, line.at)
            case Transition() as transition:
                self._move(transition, line.at)
            case Resolve(request_id=request_id, outcome=outcome) if (found := made.invocations.get(request_id)) is not None:
                _resolve(found, outcome)
            case Emit() as emit if emit.text is not None:
                self._log(emit)
            case _:
                pass

    def finish(self) -> Timeline:
        """The story ends here for whoever still lives."""
        for environment, phase in self._state.items():
            if phase.state != "gone":
                self._end_phase(environment, phase, self.made.end)
        return self.made

    # The platform ------------------------------------------------------------------------------------------------------------------------

    def _event(self, event: Event, at: float) -> None:
        made = self.made
        match event:
            case FunctionDeployed(function=function):
                made.functions[function.name] = function
            case InvocationArrived(request_id=request_id, function=name, payload=payload):
                made.invocations[request_id] = Invocation(request_id, name, at, payload.data.decode("utf-8", "replace"))
            case (
                RuntimeResponded(request_id=request_id)
                | RuntimeFailed(request_id=request_id)
                | RuntimeResponseStarted(request_id=request_id)
            ):
                if (found := made.invocations.get(request_id)) is not None and found.responded is None:
                    found.responded = at
            case EnvironmentWarped(environment=environment, ahead_s=ahead, seconds=seconds, error=error):
                self._ahead[environment] = ahead
                if (life := made.environments.get(environment)) is not None and life.freezes and not error:
                    life.freezes[-1].moved_s += seconds
            case ProcessExited(environment=environment) if environment in made.environments:
                made.environments[environment].exits.append((at, event))
            case _:
                pass

    def _move(self, effect: Transition, at: float) -> None:
        life = self.made.environments.get(effect.environment)
        if life is None:
            return
        phase = self._state.get(effect.environment, Phase(effect.before, at, at))
        self._end_phase(effect.environment, phase, at)
        self._state[effect.environment] = Phase(effect.after, at, at, effect.request_id)
        if effect.before == "busy" and life.invocations:
            life.invocations[-1].finished = at
        if effect.after == "frozen":
            last = life.invocations[-1].request_id if life.invocations else None
            life.freezes.append(Freeze(at, at, last))
        elif effect.before == "frozen" and life.freezes:
            # An environment can also be stopped while it stands still.
            life.freezes[-1].end, life.freezes[-1].thawed = at, effect.after == "thawing"
            life.freezes[-1].after = effect.request_id
        if effect.after == "busy" and effect.request_id is not None:
            self._start(life, effect.request_id, at)

    def _end_phase(self, environment: str, phase: Phase, at: float) -> None:
        life = self.made.environments[environment]
        life.phases.append(Phase(phase.state, phase.begin, at, phase.request_id))
        if phase.state == "frozen" and life.freezes and not life.freezes[-1].thawed:
            life.freezes[-1].end = at

    def _start(self, life: EnvironmentLife, request_id: str, at: float) -> None:
        invocation = self.made.invocations.get(request_id)
        if invocation is None:
            return
        invocation.environment, invocation.started = life.id, at
        invocation.arrived += self._ahead.get(life.id, 0.0)
        invocation.first = not life.invocations
        life.invocations.append(invocation)
        if life.freezes and life.freezes[-1].thawed and life.freezes[-1].after is None:
            life.freezes[-1].after = request_id

    def _log(self, emit: Emit) -> None:
        assert emit.text is not None
        line = LogLine(emit.time, emit.environment, emit.request_id, emit.type, emit.text)
        self.made.logs.append(line)
        if emit.type in ("function", "extension"):
            self.made.traces += read_traces(line.text, at=line.at, environment=line.environment, request_id=line.request_id)

    # Connections -------------------------------------------------------------------------------------------------------------------------

    def _network(self, event: NetworkEvent) -> None:
        made = self.made
        made.end = max(made.end, event.at)
        match event:
            case ConnectionOpened():
                made.connections[event.connection] = Connection(event)
            case ConditionsChanged():
                made.conditions.append(event)
            case ConnectionRefused():
                made.refused.append(event)
            case NetworkRestored(environment=environment) if environment in made.environments:
                self._restored(made.environments[environment], event)
            case ConnectionsUnrecorded(environment=environment, count=count) if environment in made.environments:
                made.environments[environment].unrecorded += count
            case ConnectionTraffic() | ConnectionClosed() | PathExpired() | ConnectionLost() | FirstWriteAnswered():
                if (connection := made.connections.get(event.connection)) is not None:
                    _add(connection, event)
            case _:
                pass

    def _restored(self, life: EnvironmentLife, event: NetworkRestored) -> None:
        """The network goes on right before the processes do; the news of it may come when the next freeze has begun."""
        nearest = min(life.freezes[-3:], key=lambda freeze: abs(freeze.end - event.at), default=None)
        if nearest is not None:
            nearest.network = event


def _add(connection: Connection, event: ConnectionTraffic | ConnectionClosed | PathExpired | ConnectionLost | FirstWriteAnswered) -> None:
    match event:
        case ConnectionTraffic():
            connection.traffic.append(event)
        case ConnectionClosed():
            connection.closed.append(event)
        case PathExpired():
            connection.expired = event
        case ConnectionLost():
            connection.lost = event
        case FirstWriteAnswered():
            connection.first_writes.append(event)


def _resolve(invocation: Invocation, outcome: object) -> None:
    match outcome:
        case Succeeded(payload=payload):
            invocation.outcome, invocation.response = "succeeded", payload.data.decode("utf-8", "replace")
        case FunctionFailed(payload=payload):
            invocation.outcome, invocation.response = "failed", payload.data.decode("utf-8", "replace")
            invocation.error_type, invocation.error_message = error_of(invocation.response)
        case Throttled(reason=reason):
            invocation.outcome, invocation.error_type = "throttled", reason
        case Unavailable(message=message):
            invocation.outcome, invocation.error_message = "unavailable", message
        case _:
            pass
