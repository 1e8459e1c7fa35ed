"""Verdicts and their parts, made by hand."""

from __future__ import annotations

from typing import Any

from frostline.diagnose.finding import Cure, Finding, Proof
from frostline.trials.doctor.baseline import Baseline, Destination
from frostline.trials.doctor.limits import Server, server
from frostline.trials.doctor.plan import Cell
from frostline.trials.doctor.verdict import Outcome


def destination(name: str = "redis.local:6379", known: Server | None = None, **more: Any) -> Destination:
    """A server that the function connects to, and keeps its connection."""
    host, _, port = name.rpartition(":")
    found = known or server(host, int(port), (), http2=False)
    return Destination(**{"name": name, "host": host, "port": int(port), "connections": 1, "keeps": "kept", "server": found, **more})


def healthy(*found: str | Destination, **more: Any) -> Baseline:
    """A function that answers, and connects to these servers."""
    fields: dict[str, Any] = {
        "invocations": 12,
        "failures": 0,
        "error": None,
        "when": "",
        "median_s": 0.01,
        "init_s": 0.1,
        "destinations": tuple(one if isinstance(one, Destination) else destination(one) for one in found),
        "refused": (),
    }
    return Baseline(**{**fields, **more})


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
        proof=(Proof(at=9.0, text="the peer sent FIN", connection=1), Proof(at=69.0, text="it was written to", connection=1)),
        cures=(Cure(client="redis-py", setting="health_check_interval=1", why="A PING goes first."),),
    )


def outcome_of(
    cell: Cell,
    *,
    failed: int = 0,
    trials: int = 2,
    slow: int = 0,
    findings: tuple[Finding, ...] = (),
    error: str = "ConnectionError: reset",
) -> Outcome:
    """What came of a cell."""
    return Outcome(
        cell=cell,
        trials=trials,
        failed=failed,
        slow=slow,
        longest_s=5.0 if slow else 0.01,
        error=error if failed else None,
        findings=findings,
    )
