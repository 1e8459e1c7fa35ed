"""Cures: what to change, in the words of the client that the user has.

A rule says what ails a function (`Ailment`) and which clients it may have; this knows the settings. Where the client cannot be told, the cures for those
that are common for the language are given; where the language cannot, Go's and one for any client.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from ..clients import Client, Language
from ..finding import Cure
from . import go, node, python
from .table import Table

Ailment = Literal["stale", "keepalive", "black_hole", "reuse", "crowd", "held_back", "left_over", "timers", "init"]

MOST = 4
"""Cures that a finding names."""

SAFE_AGE_S = 4.0
"""How long a connection may be idle where the server's limit was not seen: below the shortest that is common, 5 s (Node's http server before 26, uvicorn,
hypercorn, CloudFront's default to an origin)."""

_BY_CLIENT: dict[Ailment, tuple[Table, ...]] = {
    "stale": (python.STALE, node.STALE, go.STALE),
    "keepalive": (python.KEEPALIVE, node.KEEPALIVE, go.KEEPALIVE),
    "black_hole": (python.BLACK_HOLE, node.BLACK_HOLE, go.BLACK_HOLE),
    "reuse": (python.REUSE, node.REUSE, go.REUSE),
    "crowd": (python.CROWD, node.CROWD, go.CROWD),
    "held_back": (python.HELD_BACK, node.HELD_BACK, go.HELD_BACK),
}

_BY_LANGUAGE: dict[Ailment, dict[Language, tuple[str, str]]] = {
    "left_over": {
        "python": ("thread.join(), await asyncio.gather(...)", "Wait for everything that the handler started before it returns."),
        "node": ("await Promise.all([...])", "No promise without `await`; and leave `context.callbackWaitsForEmptyEventLoop` true."),
        "go": ("group.Wait()", "Wait for every goroutine (sync.WaitGroup, errgroup) before the handler returns."),
    },
    "timers": {
        "python": (
            "flush() at the end of the handler",
            "Instead of a thread or a task that wakes up now and then: between invocations nothing runs.",
        ),
        "node": (
            "await flush() at the end of the handler",
            "Instead of setInterval: between invocations nothing runs, and an interval fires once at the thaw.",
        ),
        "go": (
            "Flush() at the end of the handler",
            "Instead of a time.Ticker: between invocations nothing runs, and missed ticks are dropped.",
        ),
    },
    "init": {
        "python": (
            "at module level",
            "Make clients, and open their connections, when the module is imported: in no invocation, and with provisioned concurrency in advance.",
        ),
        "node": (
            "outside of the handler, with a top-level await",
            "Done in no invocation, and with provisioned concurrency in advance.",
        ),
        "go": (
            "func init(), or main() before lambda.Start",
            "Done in no invocation, and with provisioned concurrency in advance.",
        ),
    },
}

_ANY: dict[Ailment, tuple[str, str]] = {
    "stale": (
        "an idle limit of {age_s} s for pooled connections",
        "Shorter than the server's, and compared with the clock when a connection is taken from the pool.",
    ),
    "keepalive": ("no keepalive pings", "No PING can be under way when the environment freezes. Give every request a deadline instead."),
    "black_hole": (
        "a deadline for every request",
        "And an idle limit of {age_s} s for pooled connections, so that an old one is not used at all.",
    ),
    "reuse": ("one client outside of the handler", "Made in the init, used by every invocation."),
    "crowd": ("a limit for connections to one host", "An environment serves one invocation at a time."),
    "held_back": ("a short back-off before the next attempt to connect", "Half a second at most."),
    "left_over": (
        "wait for everything that the handler started",
        "Work that is under way when the handler returns goes on in the next invocation, or never.",
    ),
    "timers": ("work at the start or the end of an invocation", "Instead of a timer: between invocations nothing runs."),
    "init": ("clients and connections made outside of the handler", "In the init."),
}


def cures(
    ailment: Ailment, clients: Iterable[Client], language: Language | None, limit_s: float | None = None, *, each: int = MOST
) -> tuple[Cure, ...]:
    """What to change: for each client so many. `limit_s`: how long the server lets a connection be idle, where that was seen."""
    age = below(limit_s) if limit_s is not None else SAFE_AGE_S
    found = [
        Cure(client=client.name, setting=setting.format_map(ages(age)), why=why.format_map(ages(age)))
        for client in clients
        for table in _BY_CLIENT.get(ailment, ())
        for setting, why in table.get(client.name, ())[:each]
    ]
    if not found and language is not None and (by_language := _BY_LANGUAGE.get(ailment, {}).get(language)) is not None:
        found = [Cure(client=language, setting=by_language[0], why=by_language[1])]
    if not found:
        setting, why = _ANY[ailment]
        found = [Cure(client="any client", setting=setting.format_map(ages(age)), why=why.format_map(ages(age)))]
    return tuple(found[:MOST])


def cures_by_client(ailment: Ailment) -> list[tuple[str, str, str]]:
    """Client (or language), setting and why: all there are, for the documentation."""
    values = ages(SAFE_AGE_S)
    rows = [(client, *cure) for table in _BY_CLIENT.get(ailment, ()) for client, many in table.items() for cure in many]
    rows += [(language, *cure) for language, cure in _BY_LANGUAGE.get(ailment, {}).items()]
    rows.append(("any client", *_ANY[ailment]))
    return [(client, setting.format_map(values), why.format_map(values)) for client, setting, why in rows]


def below(limit_s: float) -> float:
    """A client's idle limit that is surely shorter than a server's: a fifth less, and at least half a second less where there is room for it."""
    age = min(limit_s * 0.8, limit_s - 0.5) if limit_s > 1.0 else limit_s * 0.5
    return math.floor(age) if age >= 2.0 else math.floor(age * 10) / 10 or 0.1


def ages(age_s: float) -> dict[str, str]:
    """What the placeholders of a table stand for."""
    whole = age_s == int(age_s)
    return {
        "age_s": f"{age_s:g}",
        "age_ms": f"{round(age_s * 1000)}",
        "age_int": f"{max(round(age_s), 1)}",
        "age_go": f"{int(age_s)} * time.Second" if whole else f"{round(age_s * 1000)} * time.Millisecond",
    }
