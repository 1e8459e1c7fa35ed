"""Which trials answer whether a function survives, and which cannot be made.

A cell is one question: what if *this* happens to the connections to *that* destination while the environment is frozen for so long? The gaps cross the limits
that clients, servers and middleboxes are known to have:

    1 s       nothing forgets a connection within a second
    6 s       over the 5 s of Node's and uvicorn's servers and of httpx's pool
    61 s      over the 60 s of an ALB and of many servers
    351 s     over the 350 s of a NAT gateway, an NLB, a VPC endpoint
    40 min    over what pools keep a connection for (10 to 30 min)
    6 h       a night

Not everything can happen in every gap (`limits`): a server closes a connection when its own limit is over, and a middlebox forgets it when its is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from ...core.conditions import Conditions
from ...core.durations import spoken
from ...core.fates import Fate, FateRule, Fates
from ...core.middlebox import MIDDLEBOXES, PEER, Middlebox, Middleboxes, MiddleboxRule
from .baseline import Baseline, Destination
from .limits import BALANCED, SILENCE_S

GAPS_S = (1.0, 6.0, 61.0, 351.0, 2400.0, 21600.0)

LONGEST_WAIT_S = 6.0
"""Gaps up to this are waited for where clocks cannot be moved."""

Happening = Literal["survive", "fin_delivered", "lost", "blackhole", "nat-gateway", "alb"]
"""What can happen to a connection while its environment is frozen: a fate, or a middlebox on its path."""
HAPPENINGS: tuple[Happening, ...] = ("survive", "fin_delivered", "lost", "blackhole", "nat-gateway", "alb")

Moment = Literal["idle", "in_flight", "lingering", "after_init"]
"""When it is frozen. `idle`: its answer was there, and nothing else went on. `in_flight`: right after an answer, on a path so long that whatever was
sent beside it is unanswered. `lingering`: it was kept awake after its answer, as by an extension that still works, until one of its clients sent something
of its own accord (a keepalive ping, a heartbeat), which is unanswered then. `after_init`: before its first invocation."""

IN_FLIGHT_RTT_S = 0.05
"""A round trip to another region: long enough that an answer is still on its way when the environment is frozen."""

LINGERING_RTT_S = 0.3
LINGERS_S = 11.0
"""How long somebody is kept awake. Clients ping every 5 s (the first incident's) or 10 s (grpc-go's shortest); those that ping less often are not caught."""

LINGERING_GAPS_S = (6.0, 21.0)
"""Over the time limits of pings: 1 to 5 s where somebody has chosen one, 20 s by default (gRPC, websockets)."""

IN_FLIGHT_GAP_S = 6.0
AFTER_INIT_GAP_S = 2400.0


class Cell(Struct, frozen=True, kw_only=True):
    """One question."""

    destination: str | None
    """`HOST:PORT`; None for all of them together."""
    happening: Happening
    gap_s: float
    moment: Moment = "idle"

    @property
    def name(self) -> str:
        """For people and for files: `redis.local:6379 lost 61s`."""
        where = self.destination or "all"
        when = "" if self.moment == "idle" else f" {self.moment}"
        return f"{where} {self.happening} {spoken(self.gap_s)}{when}"


class Untried(Struct, frozen=True, kw_only=True):
    """What was not tried, and why: a verdict says nothing about it."""

    what: str
    why: str


class Plan(Struct, frozen=True, kw_only=True):
    """The trials to make."""

    cells: tuple[Cell, ...]
    trials: int
    """Of each cell."""
    warps: bool
    """Clocks are moved; else gaps are waited for."""
    untried: tuple[Untried, ...] = ()

    @property
    def invocations(self) -> int:
        """How often the function will be called."""
        return sum(INVOCATIONS[cell.moment] for cell in self.cells) * self.trials


INVOCATIONS: dict[Moment, int] = {"idle": 4, "in_flight": 4, "lingering": 4, "after_init": 2}
"""How often a cell's script invokes the function; see `scripts`."""


def plan(
    found: Baseline, *, trials: int, gaps: Sequence[float] = GAPS_S, warps: bool, longest_wait_s: float = LONGEST_WAIT_S, why_not: str = ""
) -> Plan:
    """The trials for a function with this baseline. `warps`: its clocks can be moved, so that a gap of hours takes no time; `why_not` says why they cannot.

    Without, gaps up to `longest_wait_s` are waited for, and the others are not tried: a pool that would drop a connection by its own clock must be given
    the time to do so, or it would be blamed for nothing.
    """
    chosen = tuple(gap for gap in gaps if warps or gap <= longest_wait_s)
    left_out = [gap for gap in gaps if gap not in chosen]
    connected = found.destinations
    cells = [Cell(destination=None, happening="survive", gap_s=gap) for gap in chosen]
    cells += _cells(connected, chosen)
    cells += [cell for cell in _worst_moments(connected) if warps or cell.gap_s <= longest_wait_s]
    untried = []
    if left_out:
        untried.append(Untried(what=f"gaps of {', '.join(map(spoken, left_out))}", why=f"{why_not}, so they would have to be waited for"))
    return Plan(cells=tuple(cells), trials=trials, warps=warps, untried=tuple(untried))


def _cells(connected: Sequence[Destination], gaps: Sequence[float]) -> Iterator[Cell]:
    """Each destination by itself; and together those that are more than one."""
    for happening in HAPPENINGS[1:]:
        for gap in gaps:
            met = [one.name for one in connected if can_happen(happening, gap, one)]
            for name in met:
                yield Cell(destination=name, happening=happening, gap_s=gap)
            if len(met) > 1:
                yield Cell(destination=None, happening=happening, gap_s=gap)


def _worst_moments(connected: Sequence[Destination]) -> Iterator[Cell]:
    """Moments before gaps in which no stand-in would close the connection anyway."""
    waits_s = min((one.server.idle_s for one in connected if one.server.is_stand_in and one.server.idle_s is not None), default=math.inf)
    if connected and waits_s > IN_FLIGHT_GAP_S:
        yield Cell(destination=None, happening="survive", gap_s=IN_FLIGHT_GAP_S, moment="in_flight")
    if any(one.keeps != "closed" for one in connected):
        for gap in LINGERING_GAPS_S:
            if waits_s > LINGERS_S + gap:
                yield Cell(destination=None, happening="survive", gap_s=gap, moment="lingering")
    if early := [one for one in connected if one.in_init]:
        for happening in HAPPENINGS[:4]:
            if any(can_happen(happening, AFTER_INIT_GAP_S, one) for one in early):
                yield Cell(destination=None, happening=happening, gap_s=AFTER_INIT_GAP_S, moment="after_init")


def can_happen(happening: Happening, gap_s: float, to: Destination) -> bool:
    """Whether this can happen to a connection that has been idle for so long; below a limit it is `survive`."""
    match happening:
        case "survive":
            return True
        case "fin_delivered" | "lost":
            return to.server.idle_s is not None and gap_s > to.server.idle_s
        case "blackhole":
            return gap_s > SILENCE_S
        case "alb" if to.server.protocol not in BALANCED:
            return False
        case _:
            return gap_s > MIDDLEBOXES[happening].idle_s


def conditions(cell: Cell, found: Sequence[Destination]) -> Conditions:
    """What connections meet in a cell: the chosen destinations' what was asked, all others survive."""
    chosen = [one for one in found if cell.destination in (None, one.name) and can_happen(cell.happening, cell.gap_s, one)]
    fate: Fate = "lost" if cell.happening == "alb" else "survive" if cell.happening == "nat-gateway" else cell.happening
    boxes = [(one, box) for one in chosen if (box := _box(cell.happening, one)) is not None]
    return Conditions(
        fates=Fates(default="survive", rules=tuple(FateRule(host=one.host, port=one.port, fate=fate) for one in chosen)),
        middleboxes=Middleboxes(rules=tuple(MiddleboxRule(host=one.host, port=one.port, middlebox=box) for one, box in boxes)),
        latency_s={"in_flight": IN_FLIGHT_RTT_S, "lingering": LINGERING_RTT_S}.get(cell.moment, 0.0),
    )


def _box(happening: Happening, to: Destination) -> Middlebox | None:
    """What ends a connection while frozen. A stand-in does so by itself; for a server whose limit nobody knows something on the path does it in its place."""
    if happening not in ("fin_delivered", "lost"):
        return MIDDLEBOXES.get(happening)
    if to.server.is_stand_in or to.server.idle_s is None:
        return None
    return Middlebox(name=PEER, idle_s=to.server.idle_s, then="fin")
