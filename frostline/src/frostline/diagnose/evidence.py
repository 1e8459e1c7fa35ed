"""A timeline with what rules look up again and again, so that a rule costs one pass over what it speaks of.

Nothing is judged here. Names of requests that the story does not have (its beginning is missing) are left out, so that no finding can name them.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from ..core.events import ConnectionClosed
from ..story.grpc_trace import GrpcTrace
from ..story.timeline import Connection, EnvironmentLife, Freeze, Invocation, LogLine, Timeline

RIGHT_AFTER_S = 0.25
"""What comes within this time after a thaw was waiting for it. Overdue timers fire 0 to 0.5 ms after a thaw (measured: asyncio, Node, Go); the rest is
for a busy machine, where a log line waits to be read."""

_NEWEST = 1000

IDLE_S = 0.5
"""Silence that is no pause within a request. Shorter ones do not count as a server's idle limit."""


class Evidence:
    """One story."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.connections: dict[str, list[Connection]] = defaultdict(list)
        """By environment, in the order in which they were opened."""
        self.logs: dict[str, list[LogLine]] = defaultdict(list)
        """By environment: what the function and its extensions printed."""
        self.traces: dict[str, list[GrpcTrace]] = defaultdict(list)
        """By environment."""
        self._to: dict[tuple[str, str], list[Connection]] = defaultdict(list)
        self._everywhere: dict[str, list[Connection]] = defaultdict(list)
        self._said: dict[str, list[LogLine]] = defaultdict(list)
        self._limits: dict[str, tuple[float, int] | None] = {}
        self._ends: dict[str, list[float]] = defaultdict(list)
        self._closed: dict[str, list[Connection]] = defaultdict(list)
        self._refused: dict[str, list[float]] = defaultdict(list)
        lives = timeline.environments
        for connection in sorted(timeline.connections.values(), key=lambda one: one.opened.at):
            if connection.environment in lives:
                self.connections[connection.environment].append(connection)
                self._ends[connection.environment].append(math.inf if connection.ended is None else connection.ended)
                self._to[connection.environment, connection.name].append(connection)
                self._everywhere[connection.name].append(connection)
        for connection in sorted((one for one in timeline.connections.values() if one.closed), key=lambda one: one.closed[0].at):
            self._closed[connection.environment].append(connection)
        for refused in sorted(timeline.refused, key=lambda event: event.at):
            self._refused[refused.environment].append(refused.at)
        for line in timeline.logs:
            if line.environment in lives and line.type in ("function", "extension"):
                self.logs[line.environment].append(line)
                if line.request_id is not None:
                    self._said[line.request_id].append(line)
        for trace in timeline.traces:
            if trace.environment in lives:
                self.traces[trace.environment].append(trace)

    def lives(self) -> Iterator[EnvironmentLife]:
        """All environments, in the order in which they were started."""
        yield from self.timeline.environments.values()

    # Requests ----------------------------------------------------------------------------------------------------------------------------

    def known(self, request_id: str | None) -> str | None:
        """The id, if the story has the request."""
        return request_id if request_id in self.timeline.invocations else None

    def at(self, life: EnvironmentLife, at: float, request_id: str | None = None) -> Invocation | None:
        """The invocation that an event at a time belongs to.

        The one that it names; else the one that was running, or that the environment had just been thawed for; else the last one before.
        """
        named = self.timeline.invocations.get(request_id) if request_id is not None else None
        if named is not None and named.environment == life.id:
            return named
        last, freeze = life.last(at), life.freeze_before(at)
        if freeze is not None and freeze.end <= at and (last is None or (last.started or 0.0) <= freeze.begin):
            return self.timeline.invocations.get(freeze.after or "", last)
        return last

    def said(self, invocation: Invocation) -> list[LogLine]:
        """What was printed while it ran."""
        return self._said[invocation.request_id]

    def error(self, invocation: Invocation) -> str:
        """Its error as it was answered, empty where it has none."""
        if not invocation.failed:
            return ""
        parts = [part for part in (invocation.error_type, invocation.error_message) if part]
        return ": ".join(parts) or invocation.response

    def words(self, invocation: Invocation) -> str:
        """All that it said."""
        return "\n".join([self.error(invocation), invocation.response, *(line.text for line in self.said(invocation))])

    # Connections -------------------------------------------------------------------------------------------------------------------------

    def to(self, life: EnvironmentLife, destination: str) -> list[Connection]:
        """An environment's connections to a destination, in the order in which they were opened."""
        return self._to[life.id, destination]

    def next_opened(self, life: EnvironmentLife, destination: str, begin: float, end: float) -> Connection | None:
        """The first connection to a destination that was opened after `begin` and up to `end`."""
        there = self._to[life.id, destination]
        index = bisect_right(there, begin, key=lambda one: one.opened.at)
        return there[index] if index < len(there) and there[index].opened.at <= end else None

    def opened_within(self, life: EnvironmentLife, begin: float, end: float) -> list[Connection]:
        """What an environment opened in a time."""
        there = self.connections[life.id]
        first = bisect_left(there, begin, key=lambda one: one.opened.at)
        return there[first : bisect_right(there, end, key=lambda one: one.opened.at)]

    def alive(self, life: EnvironmentLife, at: float) -> list[Connection]:
        """The connections that an environment had at a time, the newest first; of very many, the newest."""
        there = self.connections[life.id]
        index = bisect_right(there, at, key=lambda one: one.opened.at)
        ends = self._ends[life.id]
        return [there[place] for place in range(index - 1, max(index - _NEWEST, 0) - 1, -1) if ends[place] >= at]

    def ended_within(self, life: EnvironmentLife, begin: float, end: float) -> list[Connection]:
        """The connections that were closed first in a time, by whoever it was."""
        there = self._closed[life.id]
        first = bisect_left(there, begin, key=lambda one: one.closed[0].at)
        return there[first : bisect_right(there, end, key=lambda one: one.closed[0].at)]

    def tried(self, life: EnvironmentLife, destination: str, begin: float, end: float) -> bool:
        """The environment connected to a destination in a time, or was refused somewhere."""
        if self.next_opened(life, destination, begin, end) is not None:
            return True
        there = self._refused[life.id]
        index = bisect_left(there, begin)
        return index < len(there) and there[index] <= end

    def last_user(self, life: EnvironmentLife, connection: Connection, at: float) -> str | None:
        """The request that used a connection last before a time; None where it was opened in the init and not used since."""
        for burst in reversed(connection.traffic):
            if burst.at <= at and burst.sent:
                user = self.at(life, burst.at, burst.request_id)
                return user.request_id if user is not None else None
        opener = self.at(life, connection.opened.at, connection.opened.request_id)
        return opener.request_id if opener is not None else None

    def idle_limit(self, destination: str) -> tuple[float, int] | None:
        """How long a server lets a connection be idle, in seconds, and how many of its closes say so; None where it closed none, or they disagree."""
        if destination not in self._limits:
            self._limits[destination] = _agreed([idle for idle in map(idle_at_close, self._everywhere[destination]) if idle is not None])
        return self._limits[destination]


def ended_by_other(connection: Connection) -> ConnectionClosed | None:
    """How the peer, or something on the path, ended a connection before the environment did."""
    first = connection.closed[0] if connection.closed else None
    return first if first is not None and first.by != "environment" else None


def last_byte(connection: Connection, at: float) -> float:
    """When something was last sent over a connection before a time, as its close says where it says it."""
    closed = ended_by_other(connection)
    times = (
        [time for time in (closed.last_sent_at, closed.last_received_at) if time is not None and time < at] if closed is not None else []
    )
    return max([connection.idle_since(at), *times])


def idle_at_close(connection: Connection) -> float | None:
    """How long a connection had been idle when its peer closed it in good order; None where it did not, or not for idleness."""
    closed = ended_by_other(connection)
    if closed is None or closed.by != "peer" or closed.how != "fin":
        return None
    idle = closed.at - last_byte(connection, closed.at)
    return idle if idle >= IDLE_S else None


def freeze_around(life: EnvironmentLife, at: float) -> Freeze | None:
    """The freeze that a moment falls into."""
    freeze = life.freeze_before(at)
    return freeze if freeze is not None and at <= freeze.end else None


def thaw_before(life: EnvironmentLife, at: float) -> Freeze | None:
    """The last freeze that was over at a time, if the environment was thawed from it."""
    index = bisect_right(life.freezes, at, key=lambda freeze: freeze.begin)
    for freeze in reversed(life.freezes[max(index - 2, 0) : index]):
        if freeze.end <= at:
            return freeze if freeze.thawed else None
    return None


def _agreed(idles: list[float]) -> tuple[float, int] | None:
    """One figure that several idle times agree on, within a tenth or a second (Redis and others look at their connections once a second or so).

    The least of them: a client's own limit has to be below it.
    """
    if not idles:
        return None
    middle = median(idles)
    near = [idle for idle in idles if abs(idle - middle) <= max(0.1 * middle, 1.0)]
    return (min(near), len(near)) if len(near) * 2 > len(idles) else None
