"""Limits that cannot be left out by accident.

`0` means "no limit" in Go's `http.Transport`, "at once" in some clients and "never" in others, and `None` means "wait for ever" in nearly
all of them. Here a limit is a number above zero, and no limit is a word: `UNLIMITED`.
"""

from __future__ import annotations

import math
from typing import final


@final
class Unlimited(float):
    """The type of `UNLIMITED`. It compares as what it is, infinity."""

    __slots__ = ()

    def __new__(cls) -> Unlimited:
        return super().__new__(cls, math.inf)

    def __repr__(self) -> str:
        return "UNLIMITED"

    def __copy__(self) -> Unlimited:
        return self

    def __deepcopy__(self, memo: object) -> Unlimited:
        return self

    def __reduce__(self) -> str:
        return "UNLIMITED"


UNLIMITED = Unlimited()
"""No limit, on purpose. There is one; copies and pickles are itself."""


def seconds(owner: str, field: str, value: object) -> float:
    """`value` as a limit in seconds.

    Raises TypeError or ValueError, naming the field and what to write instead, unless it is a finite number above zero or UNLIMITED.
    """
    return _limit(owner, field, value, "seconds", (int, float))


def count(owner: str, field: str, value: object) -> float:
    """`value` as a limit that counts something: a whole number above zero, or UNLIMITED. Raises like `seconds`."""
    return _limit(owner, field, value, "a whole number", (int,))


def whole(value: float) -> int | None:
    """A count as clients take it: a whole number, or None for UNLIMITED."""
    return None if isinstance(value, Unlimited) else int(value)


def finite(value: float) -> float | None:
    """Seconds as clients take them: a number, or None for UNLIMITED."""
    return None if math.isinf(value) else value


def _limit(owner: str, field: str, value: object, unit: str, types: tuple[type, ...]) -> float:
    if isinstance(value, Unlimited):
        return value
    wanted = f"Give {unit} above zero, or thawsafe.UNLIMITED if there shall be no limit."
    if value is None:
        raise TypeError(f"{owner}: {field} is None, which clients read as 'wait for ever'. {wanted}")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isinstance(value, types):
        raise TypeError(f"{owner}: {field} is {value!r}. {wanted}")
    if not value > 0 or math.isinf(value):
        meaning = ", which means 'no limit' to some clients and 'never' to others" if value == 0 else ""
        raise ValueError(f"{owner}: {field} is {value!r}{meaning}. {wanted}")
    return value
