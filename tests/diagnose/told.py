"""Stories for tests of the diagnosis, told event by event with times in seconds; what lies between (arrivals, changes of state, freezes) follows.

story = Told()
story.invocation(A, 1.0, 1.2)
story.opens(1, 1.01)
story.sends(1, 1.02, 200, 300)
story.peer_ends(1, 4.0)
story.invocation(B, 6.0, 6.1, error="ConnectionError: reset")     # frozen from 1.21 to 5.999
findings(story.timeline())
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Literal

from frostline.core.effects import Effect, Emit, FunctionFailed, Resolve, StartEnvironment, Succeeded, Transition
from frostline.core.events import (
    ConnectionClosed,
    ConnectionLost,
    ConnectionOpened,
    ConnectionTraffic,
    Event,
    FirstWriteAnswered,
    FunctionDeployed,
    InvocationArrived,
    Logged,
    NetworkEvent,
    PathExpired,
    RuntimeNext,
    RuntimeResponded,
)
from frostline.core.fates import Fate
from frostline.core.payload import Payload
from frostline.story.records import SCHEMA, Header, Line, encoder
from frostline.story.timeline import Timeline, timeline
from frostline.testing.builders import function

A, B, C, D, E = (f"{letter * 8}-0000-4000-8000-000000000000" for letter in "abcde")

BEGAN = 1_790_000_000.0

SETTLES_S = 0.01
"""How long after an invocation its environment is frozen."""

Kind = Literal["data", "ping", "ping_ack"]


def request_id(number: int) -> str:
    """An id for one of many."""
    return f"{number:08x}-1111-4111-8111-111111111111"


class Told:
    """One function in one environment, or more."""

    def __init__(self, runtime: str = "python3.12", name: str = "f", *, freezes: bool = True) -> None:
        self.name = name
        self._freezes = freezes
        self._lines: list[tuple[float, Event | None, Effect | None]] = []
        self._until: dict[str, float] = {}
        """Environments' ends of their last invocation."""
        self._running: dict[str, list[tuple[float, float, str]]] = {}
        """Environments' invocations: begin, end, id; told in order."""
        self._opened: dict[int, str] = {}
        self._tell(0.0, FunctionDeployed(function(name, runtime=runtime)))

    def _tell(self, at: float, event: Event | None = None, effect: Effect | None = None) -> None:
        self._lines.append((BEGAN + at, event, effect))

    def environment(self, environment: str, at: float = 0.0) -> None:
        """It is started, and its init takes half a second."""
        self._tell(at, None, StartEnvironment(environment=environment, function=self.name, revision="1", log_stream="s"))
        self._moves(environment, at, "starting", "initializing")
        self._moves(environment, at + 0.5, "initializing", "idle")
        self._until[environment] = at + 0.5

    def _moves(self, environment: str, at: float, before: str, after: str, request: str | None = None) -> None:
        self._tell(at, None, Transition(environment=environment, before=before, after=after, cause="", request_id=request))

    def invocation(
        self,
        request: str,
        begin: float,
        end: float,
        *,
        error: str | None = None,
        answer: str = '"ok"',
        event: str = "{}",
        environment: str = "env-1",
        finished: float | None = None,
    ) -> None:
        """It runs from `begin`, answers at `end`, and is over then or at `finished`. Before it, its environment was frozen since its last one."""
        if environment not in self._until:
            self.environment(environment, begin - 0.6)
        since, thaw = self._until[environment] + SETTLES_S, begin - 0.001
        self._tell(thaw, InvocationArrived(function=self.name, request_id=request, payload=Payload(event.encode())))
        if self._freezes:
            self._moves(environment, since, "idle", "freezing")
            self._moves(environment, since, "freezing", "frozen")
            self._moves(environment, thaw, "frozen", "thawing", request)
        self._moves(environment, begin, "thawing" if self._freezes else "idle", "busy", request)
        self._tell(end, RuntimeResponded(environment, 1, request_id=request, payload=Payload(answer.encode())))
        kind, _, message = (error or "").partition(": ")
        body = encoder.encode({"errorType": kind, "errorMessage": message}) if error is not None else answer.encode()
        outcome = FunctionFailed(payload=Payload(body)) if error is not None else Succeeded(payload=Payload(body))
        over = end if finished is None else finished
        self._moves(environment, over, "busy", "idle")
        self._tell(over, None, Resolve(request, outcome))
        self._until[environment] = over
        self._running.setdefault(environment, []).append((begin, over, request))

    def _during(self, environment: str, at: float) -> str | None:
        told = self._running.get(environment, [])
        index = bisect_right(told, at, key=lambda one: one[0])
        return told[index - 1][2] if index and at <= told[index - 1][1] else None

    def logs(self, at: float, text: str, *, environment: str = "env-1", kind: str = "function") -> None:
        """A line."""
        emit = Emit(
            environment=environment,
            function=self.name,
            time=BEGAN + at,
            type=kind,
            record=text,
            text=text,
            request_id=self._during(environment, at),
            process="runtime",
        )
        self._tell(at, Logged(environment=environment, process="runtime", text=text), emit)

    # Connections. Each event names the invocation that was running, as the recording does.

    def _network(self, event: type[NetworkEvent], connection: int, at: float, **fields: Any) -> None:
        environment = self._opened[connection]
        if "request_id" in event.__struct_fields__:
            fields.setdefault("request_id", self._during(environment, at))
        self._tell(at + 0.002, event(environment, at=BEGAN + at, connection=connection, **fields))  # type: ignore[call-arg]

    def opens(
        self,
        connection: int,
        at: float,
        *,
        host: str = "api.local",
        port: int = 8080,
        fate: Fate = "lost",
        middlebox: str | None = None,
        dialed_s: float = 0.002,
        environment: str = "env-1",
    ) -> None:
        """To `api.local:8080`, if nothing else is said."""
        self._opened[connection] = environment
        fields = {"host": host, "address": "198.19.64.1", "port": port, "local_port": 40000 + connection % 20000, "fate": fate}
        self._network(ConnectionOpened, connection, at, **fields, middlebox=middlebox, dialed_s=dialed_s)

    def sends(self, connection: int, at: float, sent: int = 200, received: int = 300, *, kind: Kind = "data", took: float = 0.005) -> None:
        """A burst: a request and its answer, if nothing else is said."""
        self._network(ConnectionTraffic, connection, at, until=BEGAN + at + took, sent=sent, received=received, kind=kind)

    def waits(self, connection: int, at: float, received: int, thaw: float, *, kind: Kind = "data") -> None:
        """It came while frozen."""
        fields = {"until": BEGAN + thaw, "sent": 0, "received": received, "kind": kind, "while_frozen": True}
        self._network(ConnectionTraffic, connection, at, **fields)

    def closes(
        self,
        connection: int,
        at: float,
        *,
        by: Literal["environment", "peer", "middlebox"] = "environment",
        how: Literal["fin", "rst"] = "fin",
        frozen: bool = False,
        reached: Literal["at_once", "after_thaw", "never"] = "at_once",
        **more: Any,
    ) -> None:
        """In good order, by the function, if nothing else is said."""
        fields = {"by": by, "how": how, "frozen": frozen, "reached": reached, "sent": 200, "received": 300}
        self._network(ConnectionClosed, connection, at, **fields, **more)

    def peer_ends(self, connection: int, at: float, *, thaw: float, how: Literal["fin", "rst"] = "fin") -> None:
        """While frozen, with the fate `lost`."""
        self.closes(connection, at, by="peer", how=how, frozen=True, reached="never")
        self._network(ConnectionLost, connection, thaw + 0.0002, fate="lost", ended_at=BEGAN + at)

    def falls_silent(self, connection: int, at: float) -> None:
        """The fate `blackhole`, at the thaw."""
        self._network(ConnectionLost, connection, at, fate="blackhole")

    def expires(self, connection: int, at: float, *, idle_s: float, then: Literal["rst", "fin", "silence"], middlebox: str) -> None:
        """A middlebox forgets it."""
        self._network(PathExpired, connection, at, middlebox=middlebox, idle_s=idle_s, then=then)

    def first_write(
        self, connection: int, at: float, answer: Literal["data", "fin", "rst", "nothing"], *, after_s: float | None = 0.0003, **more: Any
    ) -> None:
        """And what it got."""
        self._network(FirstWriteAnswered, connection, at + (after_s or 0.0), answer=answer, after_s=after_s, **more)

    # ---------------------------------------------------------------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        """In the order of time."""
        told = sorted(self._lines, key=lambda line: line[0])
        end = max((at for at, _, _ in told), default=BEGAN)
        told.append((end + 0.5, RuntimeNext("env-1", 99), None))
        return [Line(seq=number, at=at, event=event, effect=effect) for number, (at, event, effect) in enumerate(told, 1)]

    def timeline(self) -> Timeline:
        """As it is read from a recording."""
        return timeline(Header(schema=SCHEMA, version="0", started_at=BEGAN, level={}), self.lines())
