"""A gap between two invocations, as a test asks for it: how long, and what becomes of connections meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from msgspec import Struct

from ..core.conditions import Conditions
from ..core.destinations import parse_destination
from ..core.durations import parse_duration, spoken
from ..core.fates import FATES, Fate, FateRule, Fates
from ..core.middlebox import MIDDLEBOXES, PEER, Middlebox, Middleboxes, MiddleboxRule
from ..core.middlebox import parse as parse_middleboxes
from ..core.upstream import Upstream
from .errors import FrostlineError

Gap = str | float | timedelta
"""How long: `"6s"`, `"40m"`, `"8h"`, seconds, or a timedelta."""

LONGEST_S = 365 * 86_400.0

PEER_WITHIN = 0.9
"""A peer whose idle limit nobody knows ends a connection after this part of the gap, where the fate is about its end (as the doctor's trials have it)."""


def seconds_of(gap: Gap) -> float:
    """A gap in seconds. Raises FrostlineError for what is none."""
    seconds = _seconds(gap)
    if seconds is None or not 0 < seconds <= LONGEST_S:
        raise FrostlineError(
            f"{gap!r} is not how long an environment can be idle. Give 250ms, 6s, 40m or 8h, up to a year; a number is seconds."
        )
    return seconds


def _seconds(gap: object) -> float | None:
    if isinstance(gap, timedelta):
        return gap.total_seconds()
    if isinstance(gap, str):
        return parse_duration(gap)
    if isinstance(gap, int | float) and not isinstance(gap, bool) and math.isfinite(gap):
        return float(gap)
    return None


def _length(gap: Gap | None, hours: float, minutes: float, seconds: float) -> float:
    """How long `idle` was asked to be, in seconds. Raises FrostlineError."""
    parts = hours, minutes, seconds
    if gap is not None and any(parts):
        raise FrostlineError('how long is it idle? Give either one gap, idle("8h"), or hours, minutes and seconds: idle(hours=8).')
    if gap is None and not any(parts):
        raise FrostlineError('how long is it idle? Give a gap above zero: idle("8h") or idle(hours=8).')
    if any(_seconds(part) != part or part < 0 for part in parts):
        raise FrostlineError(f"hours, minutes and seconds are numbers from zero, and {', '.join(repr(part) for part in parts)} were given.")
    return seconds_of(gap if gap is not None else hours * 3600 + minutes * 60 + seconds)


def fate_of(text: str) -> Fate:
    """One of the fates. Raises FrostlineError."""
    if text not in FATES:
        raise FrostlineError(f"{text!r} is not a fate. There are {', '.join(FATES[:-1])} and {FATES[-1]}.")
    return cast("Fate", text)


class Destination(Struct, frozen=True):
    """Whose connections something is about."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


class AskedGap(Struct, frozen=True, kw_only=True):
    """A gap, with all that was said about it."""

    seconds: float
    fate: Fate | None
    middlebox: Middlebox | None
    to: Destination | None
    real: bool

    def told(self) -> str:
        """For a person: `idle for 8h, lost, to api.example.com:443`."""
        parts = [
            f"idle for {spoken(self.seconds)}{' of real time' if self.real else ''}",
            self.fate,
            self.middlebox and f"middlebox {self.middlebox.name}",
            self.to and f"to {self.to}",
        ]
        return ", ".join(part for part in parts if part)

    def conditions(self, upstreams: Sequence[Upstream]) -> Conditions:
        """What connections meet in it, with these upstreams in the lab.

        A fate that is about a peer's end (`lost`, `fin_delivered`) would mean nothing if no peer ended: where the peer's idle limit is not known it is
        taken to be within the gap. It is known of the lab's own upstreams. Where nothing is said, connections meet what `frostline up` has them meet.
        """
        if self.fate is None and self.middlebox is None:
            return Conditions()
        box = self.middlebox
        known: tuple[MiddleboxRule, ...] = ()
        if box is None and self.fate in ("lost", "fin_delivered"):
            box = Middlebox(name=PEER, idle_s=self.seconds * PEER_WITHIN, then="fin")
            known = tuple(MiddleboxRule(host=one.host, port=one.port, middlebox=None) for one in upstreams if one.protocol != "host")
        # A proxy's FIN falls into the freeze; what only forgets a path leaves both ends alone.
        met: Fate = self.fate or ("lost" if box is not None and box.then == "fin" else "survive")
        if self.to is None:
            return Conditions(fates=Fates(default=met), middleboxes=Middleboxes(default=box, rules=known))
        host, port = self.to.host, self.to.port
        return Conditions(
            fates=Fates(default="survive", rules=(FateRule(host=host, port=port, fate=met),)),
            middleboxes=Middleboxes(rules=(MiddleboxRule(host=host, port=port, middlebox=box), *known)),
        )


def read(
    gap: Gap | None,
    hours: float,
    minutes: float,
    seconds: float,
    *,
    fate: str | None = None,
    middlebox: str | Middlebox | None = None,
    to: str | None = None,
    real: bool = False,
) -> AskedGap:
    """What `idle` was given. Raises FrostlineError."""
    if to is not None and fate is None and middlebox is None:
        raise FrostlineError(f"what becomes of connections to {to}? Say it with fate= or middlebox=.")
    return AskedGap(
        seconds=_length(gap, hours, minutes, seconds),
        fate=None if fate is None else fate_of(fate),
        middlebox=_middlebox(middlebox),
        to=None if to is None else _destination(to),
        real=real,
    )


def _destination(text: str) -> Destination:
    try:
        return Destination(*parse_destination(text, "FATE"))
    except (ValueError, AttributeError):
        raise FrostlineError(f'to={text!r} is not a destination. Write to="HOST:PORT" or to="HOST", as the function looks it up.') from None


def _middlebox(given: str | Middlebox | None) -> Middlebox | None:
    if given is None or isinstance(given, Middlebox):
        return given
    try:
        found = parse_middleboxes([given])
    except (ValueError, AttributeError) as error:
        raise FrostlineError(f"middlebox={given!r}: {error}") from None
    if found.rules or found.default is None:
        raise FrostlineError(
            f"middlebox={given!r} is not one middlebox. There are {', '.join(MIDDLEBOXES)}, or by numbers: idle=30,then=rst; to= says on whose path."
        )
    return found.default
