"""A story in the time that its environments lived.

A recording has the machine's time. Where an environment's clocks were moved while it was frozen (`EnvironmentWarped`), hours passed for it, for its timers
and for its connections, and milliseconds for the machine. Here every line gets the time that it had for its environment, so that whoever
reads a story sees the freeze of six hours that the function went through. Environments are moved by themselves: after a warp, times of different
ones cannot be compared any more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from ..core.effects import Emit, Transition
from ..core.events import ConnectionClosed, ConnectionLost, ConnectionTraffic, EnvironmentWarped, NetworkEvent, PathExpired
from .records import Line


class _Clock:
    """One environment's."""

    __slots__ = ("_since", "before", "frozen")

    def __init__(self) -> None:
        self._since = [(0.0, 0.0)]
        """From when on, of the machine's time, it is ahead by how much."""
        self.before = 0.0
        """How far it was ahead when the freeze began that is, or that was last."""
        self.frozen = False

    @property
    def ahead(self) -> float:
        return self._since[-1][1]

    def move(self, at: float, ahead: float) -> None:
        """From now on."""
        self._since.append((at, max(ahead, self.ahead)))

    def lived(self, at: float) -> float:
        """What the environment called a moment of the machine's time, which may be long past."""
        return at + self._since[max(bisect_left(self._since, at, key=lambda moved: moved[0]) - 1, 0)][1]


def as_lived(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines, each at its environment's time. Nothing changes in a story in which no clock was moved."""
    clocks: dict[str, _Clock] = {}
    for line in lines:
        said = line.event if line.event is not None else line.effect
        environment = getattr(said, "environment", None)
        if not isinstance(environment, str) or not environment:
            yield line
            continue
        clock = clocks.setdefault(environment, _Clock())
        if isinstance(said, EnvironmentWarped):
            clock.move(line.at, said.ahead_s)
        yield line if not clock.ahead else _moved(line, clock)
        if isinstance(said, Transition):
            clock.frozen = said.after == "frozen"
            if clock.frozen:
                clock.before = clock.ahead


def _moved(line: Line, clock: _Clock) -> Line:
    at = line.at + clock.ahead
    match line.event or line.effect:
        case NetworkEvent() as event:
            return replace(line, at=at, event=_seen(event, clock))
        case Emit() as emit:
            return replace(line, at=at, effect=replace(emit, time=emit.time + clock.ahead))
        case _:
            return replace(line, at=at)


def _seen(event: NetworkEvent, clock: _Clock) -> NetworkEvent:
    """What the router saw. An end that fell into a freeze is told at the time at which it would have come, counted from the freeze's beginning."""
    ahead, before = clock.ahead, clock.before
    match event:
        case ConnectionTraffic():
            return replace(event, at=event.at + (before if event.while_frozen else ahead), until=event.until + ahead)
        case ConnectionClosed():
            sent_at, received_at = event.last_sent_at, event.last_received_at
            return replace(
                event,
                at=event.at + (before if event.frozen else ahead),
                last_sent_at=None if sent_at is None else clock.lived(sent_at),
                last_received_at=None if received_at is None else clock.lived(received_at),
            )
        case PathExpired():
            return replace(event, at=event.at + (before if clock.frozen else ahead))
        case ConnectionLost():
            return replace(event, at=event.at + ahead, ended_at=None if event.ended_at is None else event.ended_at + before)
        case _:
            return replace(event, at=event.at + ahead)
