"""Verdicts and their parts, made by hand."""

from __future__ import annotations

from frostline.diagnose.finding import Cure, Finding, Proof
from frostline.trials.doctor.baseline import Baseline, Destination
from frostline.trials.doctor.plan import Cell
from frostline.trials.doctor.verdict import Outcome


def destination(name: str = "redis.local:6379", keeps: str = "kept") -> Destination:
    """A server that the function connects to."""
    host, _, port = name.rpartition(":")
    return Destination(name=name, host=host, port=int(port), connections=1, keeps=keeps, protocol="redis")  # type: ignore[arg-type]


def healthy(*names: str) -> Baseline:
    """A function that answers, and connects to these servers."""
    return Baseline(
        invocations=9,
        failures=0,
        error=None,
        median_s=0.01,
        init_s=0.1,
        destinations=tuple(destination(name) for name in names),
        refused=(),
    )


def finding(rule: str = "stale-connection-reused", *, to: str | None = "redis.local:6379", severity: str = "failure") -> Finding:
    """A finding, as a rule would make it."""
    return Finding(
        rule=rule,
        severity=severity,  # type: ignore[arg-type]
        claim="A connection that its peer had closed was used again.",
        function="orders",
        environment="e1",
        at=10.0,
        requests=("request-a", "request-b"),
        connection=1,
        destination=to,
        proof=(Proof(at=9.0, text="the peer sent FIN", connection=1),),
        cures=(Cure(client="redis-py", setting="health_check_interval=1", why="A PING goes first."),),
    )


def outcome_of(cell: Cell, *, failed: int = 0, trials: int = 2, slow: int = 0, findings: tuple[Finding, ...] = ()) -> Outcome:
    """What came of a cell."""
    return Outcome(
        cell=cell,
        trials=trials,
        failed=failed,
        slow=slow,
        longest_s=5.0 if slow else 0.01,
        error="ConnectionError: reset, 100 %\nsecond line" if failed else None,
        findings=findings,
    )
