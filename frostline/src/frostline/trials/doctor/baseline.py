"""A function that is never frozen: is it healthy, and what does it connect to?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from ...core.function import Function
from ...core.upstream import Upstream
from ...diagnose.clients import Protocol, by_code
from ...sandbox.router.addresses import HOST_NAMES
from ...sandbox.router.policy import OUTSIDE
from ...story.timeline import Connection, EnvironmentLife, Timeline
from ..trial import Invoked, Result
from .limits import Server, server

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
    server: Server
    clients: tuple[str, ...] = ()
    """The client libraries that may have opened it, by what the function's code imports; none where that does not say."""
    in_init: bool = False
    """A connection was opened before the first invocation."""
    outside: bool = False
    """It is neither in the lab nor on this machine."""


class Baseline(Struct, frozen=True, kw_only=True):
    """What a function does when nothing freezes."""

    invocations: int
    failures: int
    error: str | None
    """The first failure, in the function's words; None when it is healthy."""
    when: str
    """When it fails, in words: `always`, `only when it is invoked again in the same environment`, ...; empty when it is healthy."""
    median_s: float
    """How long a warm invocation takes."""
    init_s: float
    """How long the first invocation of an environment takes, its start included."""
    destinations: tuple[Destination, ...]
    refused: tuple[Refused, ...]

    @property
    def healthy(self) -> bool:
        """It answered every time."""
        return self.failures == 0 and self.invocations > 0


class Refused(Struct, frozen=True, kw_only=True):
    """A destination that could not be reached."""

    name: str
    """`HOST:PORT`."""
    reason: str
    outside: bool
    """It is outside of the lab, and this run reaches nothing there."""


def baseline(results: Sequence[Result], told: Timeline, upstreams: tuple[Upstream, ...], function: Function) -> Baseline:
    """What the first trials, at level `off`, and their story say."""
    invoked = [one for result in results for one in result.invocations]
    problems = [result.problem for result in results if result.problem is not None]
    errors = [text for one in invoked if (text := failure(one)) is not None]
    warm = [one.end - one.begin for result in results for one in result.invocations[1:]]
    cold = [result.invocations[0].end - result.invocations[0].begin for result in results if result.invocations]
    return Baseline(
        invocations=len(invoked),
        failures=len(errors) + len(problems),
        error=next(iter([*errors, *problems]), None),
        when=_when(results) if errors else "",
        median_s=statistics.median(warm) if warm else 0.0,
        init_s=statistics.median(cold) if cold else 0.0,
        destinations=_destinations(told, upstreams, function),
        refused=_refused(told),
    )


def _when(results: Sequence[Result]) -> str:
    """When it fails, as far as these trials can tell."""
    lives = [[failure(one) is not None for one in result.invocations] for result in results if result.invocations]
    if all(all(life) for life in lives):
        return "always"
    if all(not life[0] and all(life[1:]) for life in lives if len(life) > 1):
        return "whenever it is invoked again in the same environment"
    for place, ordinal in enumerate(_ORDINALS):
        if all(life == [number == place for number in range(len(life))] and len(life) > place for life in lives):
            return f"only in the {ordinal} invocation of an environment"
    return "sometimes"


_ORDINALS = ("first", "second", "third", "fourth")


def _refused(told: Timeline) -> tuple[Refused, ...]:
    found: dict[str, Refused] = {}
    for event in told.refused:
        name = f"{event.host or event.address}:{event.port}"
        found[name] = Refused(name=name, reason=event.reason, outside=event.reason == OUTSIDE)
    return tuple(found.values())


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


def _destinations(told: Timeline, upstreams: tuple[Upstream, ...], function: Function) -> tuple[Destination, ...]:
    """The servers, in the order in which they were first connected to."""
    by_name: dict[str, list[Connection]] = {}
    for connection in told.connections.values():
        by_name.setdefault(connection.name, []).append(connection)
    lives = {life.id: life for life in told.environments.values() if life.invocations}
    return tuple(_destination(name, found, lives, upstreams, function) for name, found in by_name.items())


_SPOKEN: dict[str, Protocol] = {
    "HTTP": "http",
    "gRPC": "grpc",
    "Redis": "redis",
    "PostgreSQL": "sql",
    "MySQL": "sql",
    "MongoDB": "mongo",
}
"""Protocols by whose clients a destination is told; the others are anybody's."""


def _destination(
    name: str, found: list[Connection], lives: dict[str, EnvironmentLife], upstreams: tuple[Upstream, ...], function: Function
) -> Destination:
    first = found[0].opened
    host = first.host or first.address
    known = server(host, first.port, upstreams, http2=any(burst.kind != "data" for connection in found for burst in connection.traffic))
    used = [(connection, lives[connection.environment]) for connection in found if connection.environment in lives]
    kept = [is_kept for connection, life in used if (is_kept := _is_kept(connection, life)) is not None]
    return Destination(
        name=name,
        host=host,
        port=first.port,
        connections=len(found),
        keeps="kept" if all(kept) else "mixed" if any(kept) else "closed",
        server=known,
        clients=tuple(client.name for client in by_code(function, _SPOKEN.get(known.protocol))),
        in_init=any(connection.opened.at < (life.invocations[0].started or 0.0) for connection, life in used),
        outside=host not in HOST_NAMES and all((one.host, one.port) != (host, first.port) for one in upstreams),
    )


CLOSES_S = 0.03
"""How long after an answer a client may take to close what it does not keep."""


def _is_kept(connection: Connection, life: EnvironmentLife) -> bool | None:
    """Whether it outlived the invocation that opened it; None where its environment did not."""
    opener = life.last(connection.opened.at) or life.invocations[0]
    if opener is life.invocations[-1] or opener.finished is None:
        return None
    return connection.ended is None or connection.ended > opener.finished + CLOSES_S
