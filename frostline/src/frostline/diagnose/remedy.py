"""From what a rule found to cures: which client it is, as far as the story tells, and what to change in it."""

from __future__ import annotations

from collections.abc import Iterator

from ..story.timeline import Connection, EnvironmentLife
from .clients import Client, Protocol, by_code, by_habit, by_library, by_words, language_of, protocol_of
from .cures import Ailment, cures
from .evidence import Evidence
from .finding import Cure

_MOST_LINES = 200
"""Log lines that are searched for a client's words, for each function: a client that fails says so soon."""


def remedy(
    evidence: Evidence,
    life: EnvironmentLife,
    ailment: Ailment,
    connection: Connection | None = None,
    *,
    text: str = "",
    protocol: Protocol | None = None,
    library: str = "",
    limit_s: float | None = None,
) -> tuple[Cure, ...]:
    """Cures for what ails a function.

    `text` is what it said about it; `library` and `protocol` are known where gRPC traces are, or HTTP/2 PINGs; `limit_s` is the server's idle limit.
    """
    function = evidence.timeline.functions.get(life.function)
    language = language_of(function)
    if protocol is None and connection is not None:
        protocol = protocol_of(connection.opened.host, connection.opened.port)
    found = by_library(library) or by_words(text, language, protocol)
    if not found and connection is not None and function is not None:
        found = by_code(function, protocol)
    found = found or _by_all_words(evidence, life.function, protocol)
    if found or connection is None:
        return cures(ailment, found, language, limit_s)
    return cures(ailment, by_habit(language, protocol or "http"), language, limit_s, each=1)


def _by_all_words(evidence: Evidence, function: str, protocol: Protocol | None) -> list[Client]:
    language = language_of(evidence.timeline.functions.get(function))
    return by_words("\n".join(_words(evidence, function)), language, protocol)


def _words(evidence: Evidence, function: str) -> Iterator[str]:
    """What a function ever said that a client may have said."""
    left = _MOST_LINES
    for invocation in evidence.timeline.invocations.values():
        if invocation.function != function or not invocation.failed:
            continue
        yield evidence.error(invocation)
        for line in evidence.said(invocation):
            yield line.text
            left -= 1
        if left <= 0:
            return
