"""Peers as a guard sees them: what they answer to a probe, and to the free check."""

from __future__ import annotations

import threading

from tests.thawsafe.freezing import Clocks
from thawsafe._core.lives import Life
from thawsafe._runtime.guard import Guard


class Probe:
    """A peer's answer to a probe."""

    def __init__(self, answer: bool | Exception) -> None:
        self.answer = answer
        self.asked: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.asked.append(seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Hanging:
    """A peer that never answers."""

    def __init__(self, clocks: Clocks) -> None:
        self.asked: list[float] = []
        self._clocks = clocks

    def __call__(self, seconds: float) -> bool:
        self.asked.append(seconds)
        threading.Event().wait(seconds)
        self._clocks.pass_(seconds)
        return False


def frozen(guard: Guard, clocks: Clocks) -> Life:
    """A connection to a peer that answers at once, after a freeze."""
    life = guard.opened("a:1", 0.002)
    guard.used(life)
    clocks.pass_(10.0)
    return life


def never() -> bool:
    raise AssertionError("the free check was made")


def still_open() -> bool:
    return False
