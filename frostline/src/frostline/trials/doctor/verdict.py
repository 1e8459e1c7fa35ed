"""What the trials say: one table, the findings, and what was not tried."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ...core.upstream import Upstream
from ...diagnose.errors import ran_out_of_time
from ...diagnose.finding import Finding
from ...diagnose.rules import RULES
from ...diagnose.words import quote, shape
from ...sandbox.router.addresses import HOST_NAMES
from ..trial import Result
from .baseline import Baseline, failure
from .limits import PORTS
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
    """The slowest invocation after the gap."""
    error: str | None
    """The first failure, in the words of the function's client."""
    findings: tuple[Finding, ...]
    ran_out_of_time: bool = False
    """Every failure was a time limit's, the function's or its client's."""
    again: bool = False
    """What came of it when it was tried a second time, by itself: a time limit was all that failed at first (`second_look`)."""
    problem: str | None = None
    """Why a trial could not be carried out."""
    clocks_note: str = ""
    """What clock did not move with its gap, and why."""

    @property
    def known(self) -> bool:
        """At least one trial came to its end."""
        return self.trials > 0


class Unexplained(Struct, frozen=True, kw_only=True):
    """An error, and the cells in which it came without a finding."""

    error: str
    cells: tuple[Cell, ...]


class Verdict(Struct, frozen=True, kw_only=True):
    """A function's."""

    function: str
    status: Status
    reason: str
    """A sentence."""
    baseline: Baseline
    outcomes: tuple[Outcome, ...]
    findings: tuple[Finding, ...]
    """What breaks it, and what it survived by luck: failures and risks, each one once, the gravest first."""
    costs: tuple[Finding, ...]
    """What it survives, and pays for with time. It may be meant so: a connection for each invocation is a cure, too."""
    unexplained: tuple[Unexplained, ...]
    """Failures that no finding explains."""
    advice: tuple[str, ...]
    """What to do so that more can be said."""
    untried: tuple[Untried, ...]
    invocations: int
    """How often the function was called."""
    took_s: float


def outcome(cell: Cell, results: Sequence[Result], found: Baseline, judged: int, *, again: bool = False) -> Outcome:
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
        ran_out_of_time=bool(errors) and all(map(ran_out_of_time, errors)),
        again=again,
        problem=next((result.problem for result in results if result.problem is not None), None),
        clocks_note=next((result.clocks_note for result in finished if not result.clocks_moved), ""),
    )


def verdict(
    function: str,
    found: Baseline,
    outcomes: Sequence[Outcome],
    untried: Iterable[Untried],
    *,
    upstreams: Sequence[Upstream] = (),
    event: Any = None,
    invocations: int,
    took_s: float,
    interrupted: bool = False,
) -> Verdict:
    """The verdict. Nothing is claimed of a function that is not healthy to begin with. `event`: what it was invoked with."""
    unknown = [one for one in outcomes if not one.known]
    status, reason = _status(found, outcomes, complete=not unknown)
    said = _findings(outcomes) if found.healthy else ()
    return Verdict(
        function=function,
        status=status,
        reason=reason,
        baseline=found,
        outcomes=tuple(outcomes),
        findings=tuple(one for one in said if one.severity != "cost"),
        costs=tuple(one for one in said if one.severity == "cost"),
        unexplained=_unexplained(outcomes) if found.healthy else (),
        advice=(*([] if found.healthy else _so_that_it_answers(found, upstreams, event)), *advice(found, upstreams)),
        untried=(*untried, *_unmade(outcomes, interrupted=interrupted), *_unreached(found)),
        invocations=invocations,
        took_s=took_s,
    )


def _unmade(outcomes: Sequence[Outcome], *, interrupted: bool) -> Iterator[Untried]:
    unknown = [one for one in outcomes if not one.known]
    if unknown:
        why = "it was interrupted" if interrupted else next((one.problem for one in unknown if one.problem), "they did not end")
        yield Untried(what=f"{len(unknown)} of {len(outcomes)} cells", why=why)
    if unmoved := [one for one in outcomes if one.clocks_note]:
        what = f"{len(unmoved)} of {len(outcomes)} gaps as they would be"
        yield Untried(what=what, why=f"not every clock was moved ({unmoved[0].clocks_note})")


def _unreached(found: Baseline) -> Iterator[Untried]:
    for refused in found.refused:
        if found.healthy:
            yield Untried(what=f"connections to {refused.name}", why=refused.reason)


def _status(found: Baseline, outcomes: Sequence[Outcome], *, complete: bool) -> tuple[Status, str]:
    if not found.healthy:
        return "not_judged", f"it fails without being frozen, {found.when or 'always'}: {found.error}"
    ill = [one for one in outcomes if one.failed]
    if ill:
        return "does_not_survive", f"it failed in {len(ill)} of {len(outcomes)} cells"
    if not complete:
        return "not_judged", "too little was tried to say so"
    if not found.destinations and found.refused:
        return "not_judged", "whatever it talks to could not be reached"
    parts = ["it answered after every gap" if found.destinations else "it opened no connection, and answered after every gap"]
    slow, again = sum(one.slow > 0 for one in outcomes), sum(one.again for one in outcomes)
    if slow:
        parts.append(f"slowly in {slow} of {len(outcomes)} cells")
    if again:
        parts.append(f"in {again} of {len(outcomes)} cells only when tried again by itself")
    return "survives", ", ".join(parts)


def _so_that_it_answers(found: Baseline, upstreams: Sequence[Upstream], event: Any) -> Iterator[str]:
    """What a function may miss that answers nobody, though it talks to all that it wants to."""
    if found.when != "always" or found.refused:
        return
    yield f"It was invoked with {quote(json.dumps(event))}. If it needs another event, give it one: --event @event.json, after its name where there are others."
    used = {one.name for one in found.destinations}
    for upstream in upstreams:
        if upstream.name in used and upstream.protocol in ("http1", "http2") and upstream.answers is None:
            yield f"The stand-in {upstream.name} answers with JSON about the request. If that is not enough, give it answers: answers=FILE."


def advice(found: Baseline, upstreams: Sequence[Upstream]) -> Iterator[str]:
    """What to do where destinations could not be reached, or stand-ins were not used."""
    for refused in found.refused:
        if refused.outside:
            yield f"{refused.name} is outside of the lab and was not reached. {_instead(refused.name)}"
        else:
            yield f"{refused.name} could not be reached: {refused.reason}."
    used = {one.name for one in found.destinations} | {one.name for one in found.refused}
    for upstream in upstreams:
        if upstream.name not in used:
            dialed = next((name for name in sorted(used) if name.rpartition(":")[0] == upstream.host), None)
            where = f"; it connected to {dialed}" if dialed is not None else ""
            yield f"The stand-in {upstream.name} was not used: the function never connected to it{where}."


_STAND_INS = {80: "http1", 443: "http1,tls", 50051: "grpc"}


def _instead(name: str) -> str:
    """What can be done about a destination outside of the lab: only names have stand-ins, and this machine's is none."""
    host, _, port = name.rpartition(":")
    if host in HOST_NAMES or host.replace(".", "").isdecimal():
        return (
            "Allow it with --allow-network, or have the function dial a name of its own, which a stand-in can have: --upstream NAME=SERVER."
        )
    server = _STAND_INS.get(int(port)) or (f"host:{port}" if int(port) in PORTS else "http1")
    return f"Give it a stand-in, --upstream {name}={server}, or reach the real one with --allow-network."


_RULES = [rule.name for rule in RULES]
"""What makes invocations fail comes first, and causes before what follows from them."""

_GRAVEST_FIRST = {"failure": 0, "risk": 1, "cost": 2}

_ABOUT_CONNECTIONS = ("stale-connection-reused", "black-hole", "slow-reconnect", "keepalive-stranded")


def _findings(outcomes: Sequence[Outcome]) -> tuple[Finding, ...]:
    """What all trials found. A client that got over a dead connection in every trial costs time, and nothing is at risk."""
    ill = {one.cell.destination for one in outcomes if one.failed}
    return merged([[_cost(finding) if _harmless(finding, ill) else finding for finding in merged(one.findings for one in outcomes)]])


def _harmless(finding: Finding, ill: Collection[str | None]) -> bool:
    """It is about a dead connection, and whatever happened to those to its destination, no invocation failed. `ill`: the destinations of cells that failed."""
    if finding.severity != "risk" or finding.rule not in _ABOUT_CONNECTIONS:
        return False
    return not ill if finding.destination is None else finding.destination not in ill


def _cost(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, severity="cost")


def merged(found: Iterable[Iterable[Finding]]) -> tuple[Finding, ...]:
    """Findings of the same rule about the same destination are one, with all their times; the gravest first."""
    together: dict[tuple[str, str | None], Finding] = {}
    for finding in (one for several in found for one in several):
        key = (finding.rule, finding.destination)
        known = together.get(key)
        if known is None:
            together[key] = finding
        else:
            graver = min(known, finding, key=lambda one: _GRAVEST_FIRST[one.severity])
            together[key] = msgspec.structs.replace(graver, times=known.times + finding.times)
    return tuple(sorted(together.values(), key=lambda one: (_GRAVEST_FIRST[one.severity], _RULES.index(one.rule))))


def _unexplained(outcomes: Sequence[Outcome]) -> tuple[Unexplained, ...]:
    """Errors that came without a finding, and not with one in any other cell either."""
    with_finding: set[str] = set()
    without: dict[str, list[Outcome]] = {}
    for one in outcomes:
        if one.error is not None and any(finding.severity == "failure" for finding in one.findings):
            with_finding.add(shape(one.error))
        elif one.error is not None:
            without.setdefault(shape(one.error), []).append(one)
    return tuple(
        Unexplained(error=cells[0].error or "", cells=tuple(one.cell for one in cells))
        for kind, cells in without.items()
        if kind not in with_finding
    )
