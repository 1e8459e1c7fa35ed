"""How findings speak: durations, request ids, and what a function said."""

from __future__ import annotations

import re

SHORT_ID = 8
"""Characters of a request id that a sentence shows: the first block of a UUID. `Finding.requests` has them whole."""

LONGEST_QUOTE = 160

_LONGEST_SHAPE = 120
_VARIES = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\d+")


def duration(seconds: float) -> str:
    """`0.3 ms`, `12 ms`, `4.5 s`, `2 min 5 s`, `8 h 20 min`."""
    if seconds < 0.001:
        return f"{max(seconds, 0.0) * 1e3:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def request(request_id: str | None) -> str:
    """`request 1f3c9a2b`, or what there was instead of one."""
    return "no request" if request_id is None else f"request {request_id[:SHORT_ID]}"


def both_ends(*request_ids: str | None) -> tuple[str, ...]:
    """Where it began, and where it showed: those that there are, each once."""
    return tuple(dict.fromkeys(one for one in request_ids if one is not None))


def quote(text: str) -> str:
    """The first line of what somebody said, and the second where the first one ends with a colon (grpcio's errors); not too long."""
    # Node's runtime prints a line's end within a message as a carriage return.
    line, _, rest = text.replace("\r", "\n").strip().partition("\n")
    if line.endswith(":") and (more := rest.strip().partition("\n")[0].strip()):
        line = f"{line} {more}"
    line = line.replace("\t", " ")
    return f"“{line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + '…'}”"


def times(count: int, noun: str) -> str:
    """`1 connection`, `12 connections`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def capital(text: str) -> str:
    """A sentence begins with it."""
    return text[:1].upper() + text[1:]


def shape(text: str) -> str:
    """The beginning of a text with its numbers and ids left out: texts of one kind have the same."""
    return _VARIES.sub("#", text[:_LONGEST_SHAPE])
