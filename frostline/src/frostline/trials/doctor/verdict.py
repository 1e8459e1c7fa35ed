"""What the trials say: one table, the findings, and what was not tried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from ...diagnose.finding import Finding
from ..trial import Result
from .baseline import Baseline, failure
from .plan import Cell, Untried

Status = Literal["survives", "does_not_survive", "not_judged"]

EXIT_STATUS: dict[Status, int] = {"survives": 0, "does_not_survive": 1, "not_judged": 2}

SLOW_FACTOR, SLOW_S = 5.0, 1.0
"""An invocation that answers, but takes five times as long as in the baseline and a second more, has waited for something: a retry after a timeout, mostly."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one cell."""

    cell: Cell
    trials: int
    """That came to their end."""
    failed: int
    slow: int
    longest_s: float
    """The slowest invocation after a thaw."""
    error: str | None
    """The first failure, in the words of the function's client."""
    findings: tuple[Finding, ...]
    problem: str | None = None
    """Why a trial could not be carried out."""
    story: str | None = None
    """Where the story of a failed trial is."""

    @property
    def known(self) -> bool:
        """At least one trial came to its end."""
        return self.trials > 0


class Verdict(Struct, frozen=True, kw_only=True):
    """A function's."""

    function: str
    status: Status
    reason: str
    """A sentence."""
    baseline: Baseline
    outcomes: tuple[Outcome, ...]
    findings: tuple[Finding, ...]
    """Each one once, the gravest first."""
    untried: tuple[Untried, ...]
    invocations: int
    """How often the function was called."""
    took_s: float


def outcome(cell: Cell, results: Sequence[Result], found: Baseline, judged: int) -> Outcome:
    """What a cell's trials say. `judged`: how many of the last invocations of each trial came after the freeze in question."""
    finished = [result for result in results if result.finished]
    slow_s = max(found.median_s * SLOW_FACTOR, found.median_s + SLOW_S)
    failed = slow = 0
    longest = 0.0
    errors: list[str] = []
    for result in finished:
        after = result.invocations[-judged:]
        said = [text for invoked in after if (text := failure(invoked)) is not None]
        errors += said
        taken = max(invoked.end - invoked.begin for invoked in after)
        longest = max(longest, taken)
        failed += bool(said)
        slow += not said and taken > slow_s
    return Outcome(
        cell=cell,
        trials=len(finished),
        failed=failed,
        slow=slow,
        longest_s=longest,
        error=next(iter(errors), None),
        findings=tuple(finding for result in finished for finding in result.findings),
        problem=next((result.problem for result in results if result.problem is not None), None),
    )


def verdict(
    function: str,
    found: Baseline,
    outcomes: Sequence[Outcome],
    untried: Iterable[Untried],
    *,
    invocations: int,
    took_s: float,
    interrupted: bool = False,
) -> Verdict:
    """The verdict. Nothing is claimed of a function that is not healthy to begin with."""
    left = list(untried)
    unknown = [one for one in outcomes if not one.known]
    if unknown:
        why = "it was interrupted" if interrupted else next((one.problem for one in unknown if one.problem), "they did not end")
        left.append(Untried(what=f"{len(unknown)} of {len(outcomes)} cells", why=why))
    status, reason = _status(found, outcomes, complete=not unknown)
    return Verdict(
        function=function,
        status=status,
        reason=reason,
        baseline=found,
        outcomes=tuple(outcomes),
        findings=merged(one.findings for one in outcomes) if found.healthy else (),
        untried=tuple(left),
        invocations=invocations,
        took_s=took_s,
    )


def _status(found: Baseline, outcomes: Sequence[Outcome], *, complete: bool) -> tuple[Status, str]:
    if not found.healthy:
        return "not_judged", f"it fails without being frozen, {found.failures} of {found.invocations} times: {found.error}"
    ill = [one for one in outcomes if one.failed]
    if ill:
        return "does_not_survive", f"it failed in {len(ill)} of {len(outcomes)} cells"
    if not complete:
        return "not_judged", "too little was tried to say so"
    if not found.destinations:
        return "survives", "it opened no connection, and answered after every gap"
    slow = sum(one.slow > 0 for one in outcomes)
    return "survives", f"it answered after every gap{f', {slow} times slowly' if slow else ''}"


_GRAVEST_FIRST = {"failure": 0, "risk": 1, "cost": 2}


def merged(found: Iterable[Iterable[Finding]]) -> tuple[Finding, ...]:
    """Findings of the same rule about the same destination are one, with all their times."""
    together: dict[tuple[str, str | None], Finding] = {}
    for finding in (one for several in found for one in several):
        key = (finding.rule, finding.destination)
        known = together.get(key)
        if known is None:
            together[key] = finding
        else:
            graver = min(known, finding, key=lambda one: _GRAVEST_FIRST[one.severity])
            together[key] = msgspec.structs.replace(graver, times=known.times + finding.times)
    return tuple(sorted(together.values(), key=lambda one: _GRAVEST_FIRST[one.severity]))
