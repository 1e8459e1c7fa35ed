"""What the table asks, and what its trials say: no I/O here."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import asdict

from frostline.core.conditions import Conditions
from frostline.core.fates import Fate, Fates
from frostline.core.middlebox import Middlebox, Middleboxes

Server = Literal["http1", "http2", "grpc", "redis", "postgres", "mongo"]
Method = Literal["idempotent", "not_idempotent"]
Variant = Literal["bare", "safe"]

FATES: tuple[Fate, ...] = ("fin_delivered", "lost", "blackhole", "survive")
METHODS: tuple[Method, ...] = ("idempotent", "not_idempotent")
VARIANTS: tuple[Variant, ...] = ("bare", "safe")
IDLES_S = (10.0, 60.0, 351.0, 21600.0)
"""Within what thawsafe allows a connection (50 s); an ALB's limit; over a NAT gateway's 350 s; a night."""


class Client(Struct, frozen=True):
    """One client of the table: its name there, its module in `functions`, and the server that it talks to."""

    name: str
    module: str
    server: Server


CLIENTS = (
    Client("urllib3", "with_urllib3", "http1"),
    Client("requests", "with_requests", "http1"),
    Client("botocore", "with_botocore", "http1"),
    Client("httpx", "with_httpx", "http1"),
    Client("httpx-http2", "with_httpx_http2", "http2"),
    Client("httpx-async", "with_httpx_async", "http1"),
    Client("httpx-async-http2", "with_httpx_async_http2", "http2"),
    Client("aiohttp", "with_aiohttp", "http1"),
    Client("grpc", "with_grpc", "grpc"),
    Client("grpc.aio", "with_grpc_aio", "grpc"),
    Client("redis", "with_redis", "redis"),
    Client("redis.asyncio", "with_redis_asyncio", "redis"),
    Client("psycopg_pool", "with_psycopg_pool", "postgres"),
    Client("sqlalchemy", "with_sqlalchemy", "postgres"),
    Client("asyncpg", "with_asyncpg", "postgres"),
    Client("pymongo", "with_pymongo", "mongo"),
)


class Question(Struct, frozen=True):
    """One cell of the table."""

    client: str
    fate: Fate
    method: Method
    idle_s: float


class Observation(Struct, frozen=True, kw_only=True):
    """What one trial says of one cell, bare or with thawsafe. Times in milliseconds."""

    question: Question
    variant: Variant
    waited: bool
    """The gap was waited for; otherwise the environment's clocks were moved."""
    request_id: str
    """Of the first invocation after the thaw."""
    key: str
    """Of its request, as the server sees it."""
    warm_ms: float
    """A request on the connection before the gap."""
    first_ms: float | None
    """The first request after the thaw; None where it failed."""
    error: str | None = None
    """Why it failed."""


class Cell(Struct, kw_only=True):
    """A line of the output."""

    client: str
    fate: Fate
    method: Method
    idle_s: float
    trials: int
    """Of each variant."""
    waited: int
    """So many of them waited for the gap; the others moved the environment's clocks."""
    bare_ok: int
    """First requests after the thaw that succeeded, without thawsafe."""
    safe_ok: int
    """The same with thawsafe."""
    seen_twice: int
    """Requests of the trials with thawsafe that the server saw more than once."""
    bare_seen_twice: int
    extra_ms: float | None
    """What the first request after the thaw takes longer than a warm one, with thawsafe: the median; None where all failed."""
    bare_extra_ms: float | None
    connect_ms: float | None
    """The same for a request that has to open a connection after a thaw, with thawsafe: what `extra_ms` may be. Over all of the client's trials."""
    opened: float
    """Connections that were opened in the first invocation after the thaw, with thawsafe: the mean."""
    bare_opened: float
    errors: dict[str, int] = field(default_factory=dict)
    """With thawsafe, and how often."""
    bare_errors: dict[str, int] = field(default_factory=dict)


def conditions(question: Question) -> Conditions:
    """What connections meet in the gap. Where its end matters, the peer ends a connection shortly before the gap does."""
    ends = question.fate in ("fin_delivered", "lost")
    peer = Middlebox(name="peer", idle_s=question.idle_s * 0.9, then="fin") if ends else None
    return Conditions(fates=Fates(default=question.fate), middleboxes=Middleboxes(default=peer))


def cells(
    observations: Sequence[Observation],
    *,
    connects: Mapping[str, Sequence[float]],
    opened: Mapping[str, int],
    seen_twice: Iterable[str],
) -> list[Cell]:
    """The table. `connects`: for each client, what opening a connection took longer than a warm request, in its trials with thawsafe; `opened`:
    connections by request id; `seen_twice`: the keys that a server saw more than once.
    """
    twice = set(seen_twice)
    found: dict[Question, dict[Variant, list[Observation]]] = {}
    for one in observations:
        found.setdefault(one.question, {variant: [] for variant in VARIANTS})[one.variant].append(one)
    return [
        _cell(question, both["bare"], both["safe"], connects.get(question.client, ()), opened, twice) for question, both in found.items()
    ]


def _cell(
    question: Question,
    bare: list[Observation],
    safe: list[Observation],
    connects: Sequence[float],
    opened: Mapping[str, int],
    twice: set[str],
) -> Cell:
    trials = min(len(bare), len(safe))  # where a trial could not be carried out, its other variant does not count either
    bare, safe = bare[:trials], safe[:trials]
    return Cell(
        **asdict(question),
        trials=trials,
        waited=sum(one.waited for one in safe),
        bare_ok=sum(one.error is None for one in bare),
        safe_ok=sum(one.error is None for one in safe),
        seen_twice=sum(one.key in twice for one in safe),
        bare_seen_twice=sum(one.key in twice for one in bare),
        extra_ms=_median(_extra(safe)),
        bare_extra_ms=_median(_extra(bare)),
        connect_ms=_median(connects),
        opened=_mean([opened.get(one.request_id, 0) for one in safe]),
        bare_opened=_mean([opened.get(one.request_id, 0) for one in bare]),
        errors=_errors(safe),
        bare_errors=_errors(bare),
    )


def _extra(trials: Iterable[Observation]) -> list[float]:
    return [one.first_ms - one.warm_ms for one in trials if one.first_ms is not None]


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None


def _mean(values: Sequence[int]) -> float:
    return round(statistics.fmean(values), 2) if values else 0.0


def _errors(trials: Iterable[Observation]) -> dict[str, int]:
    said = [one.error for one in trials if one.error is not None]
    return {error: said.count(error) for error in dict.fromkeys(said)}


class Reached(Struct, kw_only=True):
    """What the table comes to."""

    cells: int
    safe_all_ok: int
    """Cells in which every first request succeeded with thawsafe."""
    bare_all_ok: int
    seen_twice: int
    within_a_connection: int
    """Cells whose extra time is at most one new connection's."""
    timed: int
    """Cells that have an extra time."""


TOLERANCE_MS = 2.0
"""What a median of a few trials on a busy machine cannot tell apart."""


def reached(table: Sequence[Cell]) -> Reached:
    """Count."""
    timed = [cell for cell in table if cell.extra_ms is not None and cell.connect_ms is not None]
    return Reached(
        cells=len(table),
        safe_all_ok=sum(cell.safe_ok == cell.trials for cell in table),
        bare_all_ok=sum(cell.bare_ok == cell.trials for cell in table),
        seen_twice=sum(cell.seen_twice for cell in table),
        within_a_connection=sum(within_a_connection(cell) for cell in timed),
        timed=len(timed),
    )


def within_a_connection(cell: Cell) -> bool:
    """Its extra time is at most one new connection's."""
    assert cell.extra_ms is not None and cell.connect_ms is not None
    return cell.extra_ms <= cell.connect_ms + TOLERANCE_MS


def as_json(table: Sequence[Cell]) -> list[dict[str, Any]]:
    """One object a cell."""
    return [asdict(cell) for cell in table]
