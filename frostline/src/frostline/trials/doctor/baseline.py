"""A function that is never frozen: is it healthy, and what does it connect to?"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct

from ...story.timeline import Connection, Timeline
from ..trial import Invoked, Result

Keeps = Literal["kept", "closed", "mixed"]


class Destination(Struct, frozen=True, kw_only=True):
    """A server that the function connected to."""

    name: str
    """`HOST:PORT`, the host as the function looked it up."""
    host: str
    port: int
    connections: int
    """How many were opened, in all invocations and environments."""
    keeps: Keeps
    """Whether a connection stays open for the next invocation."""
    protocol: str
    """What its bytes or its port say: `http2`, `tls`, `postgres`, ...; `tcp` where nothing does."""


class Baseline(Struct, frozen=True, kw_only=True):
    """What a function does when nothing freezes."""

    invocations: int
    failures: int
    error: str | None
    """The first failure, in the function's words; None when it is healthy."""
    median_s: float
    """How long a warm invocation takes."""
    init_s: float
    """How long the first invocation of an environment takes, its start included."""
    destinations: tuple[Destination, ...]
    refused: tuple[str, ...]
    """Destinations that could not be reached, with the reason: `api.example.com:443 (outside of the lab)`."""

    @property
    def healthy(self) -> bool:
        """It answered every time."""
        return self.failures == 0 and self.invocations > 0


def baseline(results: Sequence[Result], told: Timeline) -> Baseline:
    """What the first trials, at level `off`, and their story say."""
    invoked = [one for result in results for one in result.invocations]
    problems = [result.problem for result in results if result.problem is not None]
    errors = [text for one in invoked if (text := failure(one)) is not None]
    warm = [one.end - one.begin for result in results for one in result.invocations[1:]]
    cold = [result.invocations[0].end - result.invocations[0].begin for result in results if result.invocations]
    refused = {f"{event.host or event.address}:{event.port}": event.reason for event in told.refused}
    return Baseline(
        invocations=len(invoked),
        failures=len(errors) + len(problems),
        error=next(iter([*errors, *problems]), None),
        median_s=statistics.median(warm) if warm else 0.0,
        init_s=statistics.median(cold) if cold else 0.0,
        destinations=destinations(told.connections.values()),
        refused=tuple(f"{name} ({reason})" for name, reason in refused.items()),
    )


def failure(invoked: Invoked) -> str | None:
    """Why an invocation counts as failed, or None.

    A function behind an API answers `{"statusCode": 502}` where its work failed: Lambda counts that as a success, and its caller does not.
    """
    if invoked.failed:
        return invoked.error
    answer: Any = invoked.answer
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    if isinstance(status, int) and not isinstance(status, bool) and status >= 500:
        return f"it answered statusCode {status}: {str(answer.get('body', ''))[:200]}"
    return None


def destinations(connections: Iterable[Connection]) -> tuple[Destination, ...]:
    """The servers, in the order in which they were first connected to."""
    by_name: dict[str, list[Connection]] = {}
    for connection in connections:
        by_name.setdefault(connection.name, []).append(connection)
    return tuple(_destination(name, found) for name, found in by_name.items())


def _destination(name: str, found: list[Connection]) -> Destination:
    kept = [len(connection.requests()) > 1 or connection.ended is None for connection in found]
    first = found[0].opened
    return Destination(
        name=name,
        host=first.host or first.address,
        port=first.port,
        connections=len(found),
        keeps="kept" if all(kept) else "mixed" if any(kept) else "closed",
        protocol=protocol_of(found),
    )


PORTS = {
    80: "http",
    443: "tls",
    5432: "postgres",
    3306: "mysql",
    6379: "redis",
    27017: "mongodb",
    5672: "amqp",
    9092: "kafka",
    11211: "memcached",
}
"""Services by their registered ports (IANA), where nothing better is known."""


def protocol_of(connections: Iterable[Connection]) -> str:
    """HTTP/2 where PING frames went in the clear, else what the port is registered for."""
    found = list(connections)
    if any(burst.kind != "data" for connection in found for burst in connection.traffic):
        return "http2"
    return PORTS.get(found[0].opened.port, "tcp")
