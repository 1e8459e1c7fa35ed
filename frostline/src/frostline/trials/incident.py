"""What an incident is: a failure that is known from production, the clients it happens to, and what cures it."""

from __future__ import annotations

from statistics import median

from msgspec import Struct

from ..core.conditions import Conditions
from ..core.upstream import Upstream
from .ready import Bundled
from .trial import Level, Result, Script

INCIDENT = "incident"
"""The variant that fails; every other variant is named for a cure."""


class Cell(Struct, frozen=True, kw_only=True):
    """One cell of the table: a client, configured in some way, frozen to some level."""

    client: str
    """The library, as its users call it: `net/http`, `requests`, `grpc-js 1.9.0`."""
    variant: str
    """`incident`, or the cure's name."""
    level: Level
    function: Bundled
    variables: dict[str, str]
    script: Script
    conditions: Conditions = Conditions()
    watched_s: float | None = None
    """For trials that measure how long something takes to be noticed: after so long nobody waits any more."""


class Stage(Struct, frozen=True, kw_only=True):
    """Part of a demonstration: some cells, and what to see in them."""

    title: str
    text: str
    """What it shows and why, for somebody who hears of it for the first time."""
    cells: tuple[Cell, ...]
    explained: bool = False
    """One of its failing trials is explained: its finding, and its picture."""
    compared: bool = False
    """Its cells are those of earlier stages at other levels: what is to be seen is all of them side by side."""


class Incident(Struct, frozen=True, kw_only=True):
    """One incident."""

    name: str
    title: str
    text: str
    trial: str
    """What happens in one trial, in a sentence."""
    upstreams: tuple[Upstream, ...]
    stages: tuple[Stage, ...]


class Outcome(Struct, kw_only=True, eq=False):
    """What came of a cell, so far."""

    cell: Cell
    results: list[Result] = []

    @property
    def carried_out(self) -> list[Result]:
        """The trials that came to their end."""
        return [result for result in self.results if result.finished]

    @property
    def failed(self) -> int:
        """Trials with an invocation that failed."""
        return sum(result.failed for result in self.carried_out)

    @property
    def errors(self) -> list[str]:
        """What the failed invocations said, one for each trial."""
        said = (invoked.error for result in self.carried_out for invoked in result.invocations)
        return [error for error in said if error is not None]

    @property
    def problems(self) -> list[str]:
        """Why trials could not be carried out."""
        return [result.problem for result in self.results if result.problem is not None]

    @property
    def noticed_s(self) -> list[float | None]:
        """For cells that measure it: after how long the last invocation of each trial had noticed, in seconds; None for not while it watched."""
        return [result.invocations[-1].answer["noticed_s"] for result in self.carried_out if not result.failed]

    @property
    def noticed_median_s(self) -> float | None:
        """The median of `noticed_s`; None where half of the trials or more did not notice."""
        times = sorted(float("inf") if seconds is None else seconds for seconds in self.noticed_s)
        middle = median(times) if times else float("inf")
        return None if middle == float("inf") else middle
