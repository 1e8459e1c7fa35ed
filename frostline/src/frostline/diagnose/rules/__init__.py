"""The rules, one a module. Each module's docstring is its page in the documentation: what it claims, what proves it, and its thresholds with their reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import cast

from msgspec import Struct

from ..cures import Ailment
from ..evidence import Evidence
from ..finding import Finding
from . import (
    black_hole,
    init_in_handler,
    keepalive_stranded,
    no_reuse,
    reconnect_storm,
    slow_reconnect,
    stale_connection_reused,
    timers_starved,
    work_left_over,
)


class Rule(Struct, frozen=True):
    """One rule."""

    name: str
    find: Callable[[Evidence], Iterator[Finding]]
    ailment: Ailment
    """What its cures are filed under."""
    text: str
    """Claim, proof and thresholds, as Markdown."""


def _rule(module: ModuleType, ailment: Ailment) -> Rule:
    return Rule(cast("str", module.NAME), cast("Callable[[Evidence], Iterator[Finding]]", module.find), ailment, module.__doc__ or "")


RULES: tuple[Rule, ...] = (
    _rule(keepalive_stranded, "keepalive"),
    _rule(stale_connection_reused, "stale"),
    _rule(black_hole, "black_hole"),
    _rule(slow_reconnect, "held_back"),
    _rule(reconnect_storm, "crowd"),
    _rule(work_left_over, "left_over"),
    _rule(timers_starved, "timers"),
    _rule(no_reuse, "reuse"),
    _rule(init_in_handler, "init"),
)
"""In the order in which they are documented: what makes invocations fail comes first."""
