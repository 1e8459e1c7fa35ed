"""Ask every rule about a story."""

from __future__ import annotations

from msgspec.structs import replace

from ..story.timeline import Timeline
from .evidence import Evidence
from .finding import Finding, Severity
from .rules import RULES

_WORST_FIRST: dict[Severity, int] = {"failure": 0, "risk": 1, "cost": 2}


def findings(timeline: Timeline) -> list[Finding]:
    """What a story proves, the worst first.

    The same thing seen many times for one function and destination is one finding, with `times`: the first time that an invocation failed of it, or the
    first time at all.
    """
    groups: dict[tuple[str, str, str | None], list[Finding]] = {}
    for finding in occurrences(timeline):
        groups.setdefault((finding.rule, finding.function, finding.destination), []).append(finding)
    first = (replace(min(group, key=_rank), times=len(group)) for group in groups.values())
    return sorted(first, key=_rank)


def occurrences(timeline: Timeline) -> list[Finding]:
    """Every single time that something was seen, in the order of time: for pictures, and for programs that count."""
    evidence = Evidence(timeline)
    return sorted((finding for rule in RULES for finding in rule.find(evidence)), key=lambda finding: finding.at)


def _rank(finding: Finding) -> tuple[int, float]:
    return _WORST_FIRST[finding.severity], finding.at
