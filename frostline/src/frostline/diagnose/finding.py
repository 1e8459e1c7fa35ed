"""A finding: what a diagnosis says, with the events that prove it and what to change."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["failure", "risk", "cost"]
"""`failure`: an invocation failed of it; `risk`: it went well this time, or only later requests would fail; `cost`: nothing breaks, and time is lost."""


class Proof(Struct, frozen=True, kw_only=True):
    """One thing that the story says."""

    at: float
    """Epoch seconds."""
    text: str
    """A sentence: `PING sent on connection 3 to cache.local:8080, in request 1f3c...`."""
    request_id: str | None = None
    connection: int | None = None


class Cure(Struct, frozen=True, kw_only=True):
    """What to change, in the words of one client."""

    client: str
    """`net/http`, `grpc-js`, `requests`, ..."""
    setting: str
    """What to write: `Transport.IdleConnTimeout = 4 * time.Second`."""
    why: str
    """What it changes, and what it costs."""


class Finding(Struct, frozen=True, kw_only=True):
    """One finding. The same thing seen many times is one finding, with `times`."""

    rule: str
    """The rule's name: `stale-connection-reused`."""
    severity: Severity
    claim: str
    """A sentence or two: what happened, to which connection, between which requests."""
    function: str
    environment: str
    at: float
    """When it showed."""
    requests: tuple[str, ...]
    """The request ids at both ends, where there are two: where it began, and where it showed."""
    connection: int | None = None
    destination: str | None = None
    proof: tuple[Proof, ...]
    cures: tuple[Cure, ...]
    times: int = 1
    """How often it was seen for this function and destination; this is the first time."""
