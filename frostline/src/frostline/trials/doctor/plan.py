"""Which trials answer whether a function survives, and which cannot be made.

A cell is one question: what if *this* happens to the connections to *that* destination while the environment is frozen for so long? The gaps cross the limits
that clients, servers and middleboxes are known to have:

    1 s       nothing forgets a connection within a second
    6 s       over the 5 s of Node's and uvicorn's servers and of httpx's pool
    61 s      over the 60 s of an ALB and of many servers
    351 s     over the 350 s of a NAT gateway, an NLB, a VPC endpoint
    40 min    over what pools keep a connection for (10 to 30 min)
    6 h       a night
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from ...core.conditions import Conditions
from ...core.durations import spoken
from ...core.fates import FateRule, Fates
from ...core.middlebox import MIDDLEBOXES, Middlebox, Middleboxes, MiddleboxRule
from .baseline import Baseline, Destination

GAPS_S = (1.0, 6.0, 61.0, 351.0, 2400.0, 21600.0)

Happening = Literal["survive", "fin_delivered", "lost", "blackhole", "nat-gateway", "alb"]
"""What can happen to a connection while its environment is frozen: a fate, or a middlebox on its path."""
HAPPENINGS: tuple[Happening, ...] = ("survive", "fin_delivered", "lost", "blackhole", "nat-gateway", "alb")

Moment = Literal["idle", "in_flight", "after_init"]
"""When it is frozen: with nothing to do; right after an answer, with whatever its clients have just sent unanswered; after the init, before any
invocation."""

IN_FLIGHT_GAP_S = 6.0
"""Over the 5 s in which clients send keepalive pings (facts: the interval of the gRPC client of the first incident)."""
IN_FLIGHT_RTT_S = 0.05
"""A round trip to another region: long enough that an answer is still on its way when the environment is frozen."""


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
    untried: tuple[Untried, ...] = ()

    @property
    def invocations(self) -> int:
        """How often the function will be called."""
        return sum(invocations_of(cell) for cell in self.cells) * self.trials


def invocations_of(cell: Cell) -> int:
    """How often a cell's script invokes the function; see `checkup`."""
    return {"idle": 4, "in_flight": 5, "after_init": 2}[cell.moment]


def plan(
    found: Baseline, *, trials: int, gaps: Sequence[float] = GAPS_S, warps: bool, longest_wait_s: float = 6.0, clocks: str = ""
) -> Plan:
    """The trials for a function with this baseline. `warps`: its clocks can be moved, so that a gap of hours takes no time; `clocks` says why not.

    Without, gaps up to `longest_wait_s` are waited for, and the others are not tried: a pool that would drop a connection by its own clock must be given
    the time to do so, or it would be blamed for nothing.
    """
    chosen = tuple(gap for gap in gaps if warps or gap <= longest_wait_s)
    untried = []
    if len(chosen) < len(gaps):
        left_out = ", ".join(spoken(gap) for gap in gaps if gap not in chosen)
        because = f" ({clocks})" if clocks else ""
        untried.append(Untried(what=f"gaps of {left_out}", why=f"its clocks cannot be moved{because}, and nobody would wait for so long"))
    names = [destination.name for destination in found.destinations]
    scopes: list[str | None] = [*names] if len(names) < 2 else [*names, None]
    cells = list(_cells(scopes or [None], chosen, connected=bool(names)))
    if names:
        in_flight = [gap for gap in (IN_FLIGHT_GAP_S,) if warps or gap <= longest_wait_s]
        cells += [Cell(destination=None, happening="survive", gap_s=gap, moment="in_flight") for gap in in_flight]
    return Plan(cells=tuple(cells), trials=trials, untried=tuple(untried))


def _cells(scopes: Sequence[str | None], gaps: Sequence[float], *, connected: bool) -> Iterator[Cell]:
    for gap in gaps:
        yield Cell(destination=None, happening="survive", gap_s=gap)
    if not connected:
        return
    for scope in scopes:
        for happening in HAPPENINGS[1:]:
            box = MIDDLEBOXES.get(happening)
            for gap in gaps:
                if box is None or gap > box.idle_s:  # below its limit a middlebox does nothing: that is `survive`
                    yield Cell(destination=scope, happening=happening, gap_s=gap)


def conditions(cell: Cell, found: Sequence[Destination]) -> Conditions:
    """What connections meet in a cell: the chosen destination's what was asked, all others survive."""
    chosen = [one for one in found if cell.destination in (None, one.name)]
    box = _box(cell)
    fate = {"nat-gateway": "survive", "alb": "lost"}.get(cell.happening, cell.happening)
    return Conditions(
        fates=Fates(default="survive", rules=tuple(FateRule(host=one.host, port=one.port, fate=fate) for one in chosen)),  # type: ignore[arg-type] # a happening that is no middlebox is a fate
        middleboxes=Middleboxes(rules=tuple(MiddleboxRule(host=one.host, port=one.port, middlebox=box) for one in chosen)),
    )


def _box(cell: Cell) -> Middlebox | None:
    """What ends the connection while frozen. For `fin_delivered` and `lost` it is the peer, whose own limit nobody knows: it is taken to be within the gap."""
    if cell.happening in ("fin_delivered", "lost"):
        return Middlebox(name="peer", idle_s=cell.gap_s * 0.9, then="fin")
    return MIDDLEBOXES.get(cell.happening)
