"""Durations as people write and read them: `250ms`, `3s`, `40m`, `2h`."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_WRITTEN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|)")


def parse_duration(text: str) -> float | None:
    """Seconds; a number alone is seconds. None for what is no duration."""
    found = _WRITTEN.fullmatch(text.strip())
    return None if found is None else round(float(found[1]) * _UNITS[found[2]], 9)


def spoken(seconds: float) -> str:
    """`0.5s`, `61s`, `40m`, `6h`: as it would be written."""
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds / 3600:.9g}h"
    if seconds >= 120 and seconds % 60 == 0:
        return f"{seconds / 60:.9g}m"
    return f"{seconds:.9g}s"
