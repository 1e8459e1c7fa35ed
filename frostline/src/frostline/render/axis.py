"""Where a moment lies in a picture: the one place that knows how time becomes distance.

A story has milliseconds in which everything happens and seconds or hours in which an environment is frozen. To scale, one of the two cannot be seen. So time
is cut at everything that happens, and each stretch is drawn as long as the *logarithm* of its length says: 1 ms, 40 ms and 3 s are then 1, 5 and 12
parts. The order of things is never changed, nothing overlaps that did not, and pictures write true lengths where they shorten. `to_scale` is the other
choice.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

GRAIN_S = 0.001
"""Stretches much shorter than this are drawn in proportion to each other, longer ones by their logarithm."""

LONGEST_S = 1.0
"""A stretch in which nobody runs is drawn no longer than this one would be: an hour of it tells no more than a second."""

CROWDED = 2.5
"""However much happens within one state of an environment, that state is drawn at most so many times as long as if nothing happened in it."""

SAME_S = 1e-6
"""What is nearer together is one moment: epoch seconds in a float are not much finer."""


class Quiet(Struct, frozen=True):
    """A stretch that is drawn much shorter than it was: a picture marks it, and writes its true length."""

    begin: float
    end: float


class Tick(Struct, frozen=True):
    """A label of the axis."""

    place: float
    at: float
    text: str


class Axis(Struct, frozen=True):
    """Moments and their places from 0 to 1, ascending; between two of them time is in proportion. `begin` is zero on its labels."""

    times: tuple[float, ...]
    places: tuple[float, ...]
    zero: float
    quiet: tuple[Quiet, ...] = ()

    @property
    def begin(self) -> float:
        return self.times[0]

    @property
    def end(self) -> float:
        return self.times[-1]

    def place(self, at: float) -> float:
        """Where a moment lies; moments outside lie at the ends."""
        return _interpolated(self.times, self.places, at)

    def time(self, place: float) -> float:
        """The moment that lies at a place."""
        return _interpolated(self.places, self.times, place)

    def ticks(self, most: int) -> list[Tick]:
        """At most so many labels: at equal steps where time is to scale; elsewhere, in each part of the axis, the roundest moment."""
        if len(self.times) == 2:
            return self._regular(most)
        found = []
        for part in range(most):
            low, high = (self.time((part + edge) / most) - self.zero for edge in (0.0, 0.6))
            step, seconds = _roundest(low, high)
            found.append(Tick(self.place(self.zero + seconds), self.zero + seconds, _label(seconds, step)))
        return [tick for index, tick in enumerate(found) if index == 0 or tick.text != found[index - 1].text]

    def _regular(self, most: int) -> list[Tick]:
        low, high = self.begin - self.zero, self.end - self.zero
        step = min((step for step in _STEPS if (high - low) / step <= most - 1), default=_STEPS[0])
        counts = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        return [Tick(self.place(self.zero + count * step), self.zero + count * step, _label(count * step, step)) for count in counts]


def to_scale(begin: float, end: float, *, zero: float | None = None) -> Axis:
    """A second is as long as any other."""
    return Axis((begin, max(end, begin + GRAIN_S)), (0.0, 1.0), begin if zero is None else zero)


def shortened(
    begin: float,
    end: float,
    *,
    states: Iterable[float],
    events: Iterable[float],
    runs: Iterable[tuple[float, float]],
    zero: float | None = None,
) -> Axis:
    """An axis on which what happens can be seen, however long nothing did.

    `states`: when states of environments changed. `events`: everything else that is drawn. `runs`: when an environment did something, from, until.
    """
    end = max(end, begin + GRAIN_S)
    edges = [begin, *_distinct(at for at in states if begin + SAME_S < at < end - SAME_S), end]
    inner = _distinct(events)
    running = _Union(runs)
    times, widths, quiet = [edges[0]], [0.0], []
    for low, high in pairwise(edges):
        cuts = [low, *(at for at in inner[bisect_right(inner, low) : bisect_left(inner, high)] if at - low > SAME_S < high - at), high]
        weights = []
        for first, last in pairwise(cuts):
            still = not running.within(first, last)
            if still and last - first > LONGEST_S:
                quiet.append(Quiet(first, last))
            weights.append(_weight(min(last - first, LONGEST_S) if still else last - first))
        allowed = CROWDED * _weight(high - low)
        scale = min(1.0, allowed / sum(weights))
        times += cuts[1:]
        widths += [weight * scale for weight in weights]
    whole = sum(widths)
    places, reached = [], 0.0
    for width in widths:
        reached += width
        places.append(min(reached / whole, 1.0))
    places[-1] = 1.0
    return Axis(tuple(times), tuple(places), begin if zero is None else zero, tuple(quiet))


def _weight(seconds: float) -> float:
    return math.log1p(seconds / GRAIN_S)


def _distinct(times: Iterable[float]) -> list[float]:
    """In order, without those that lie at the same moment as the one before."""
    found: list[float] = []
    for at in sorted(times):
        if not found or at - found[-1] > SAME_S:
            found.append(at)
    return found


class _Union:
    """Stretches put together where they touch."""

    def __init__(self, runs: Iterable[tuple[float, float]]) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []
        for begin, end in sorted(runs):
            if self._ends and begin <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def within(self, begin: float, end: float) -> bool:
        """Whether one of them has more than an edge in here."""
        index = bisect_right(self._ends, begin + SAME_S)
        return index < len(self._begins) and self._begins[index] < end - SAME_S


def _interpolated(xs: tuple[float, ...], ys: tuple[float, ...], x: float) -> float:
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1]:
        return ys[-1]
    index = bisect_right(xs, x)
    left, right = xs[index - 1], xs[index]
    return ys[index - 1] + (ys[index] - ys[index - 1]) * ((x - left) / (right - left))


def _steps() -> Iterator[float]:
    yield from (86400.0, 21600.0, 3600.0, 1800.0, 600.0, 300.0, 60.0, 30.0)
    for exponent in range(1, -7, -1):
        yield from (digit * 10.0**exponent for digit in (5, 2, 1) if (digit, exponent) != (5, 1))


_STEPS = tuple(_steps())


def _roundest(low: float, high: float) -> tuple[float, float]:
    """The coarsest step that has a multiple between two times, and that multiple."""
    for step in _STEPS:
        multiple = math.ceil(low / step - 1e-9) * step
        if multiple <= high:
            return step, multiple
    return _STEPS[-1], low


def _label(seconds: float, step: float) -> str:
    """`0.52 s`, `1:05`, `2:00:00`: with the digits that the step needs."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if seconds < 60:
        return f"{seconds:.{digits}f} s"
    whole, rest = divmod(seconds, 60)
    tail = f"{rest:0{digits + 3 if digits else 2}.{digits}f}"
    minutes = int(whole)
    return f"{minutes // 60}:{minutes % 60:02}:{tail}" if minutes >= 60 else f"{minutes}:{tail}"
