"""The time that is left of an invocation, as a limit for its requests: so that one fails inside the invocation, and not with it."""

from __future__ import annotations

import time
from contextvars import ContextVar, Token

RESERVE = 0.5
"""Seconds kept for the handler to answer after a request has failed."""
RESERVED_SHARE = 0.1
"""The part of the invocation's time that it is at most."""
LEAST = 0.001
"""Seconds. What a request gets whose time is over: clients read a timeout of 0 as none, or refuse it."""

_of_process: float | None = None
"""On `time.monotonic`. Lambda runs one invocation at a time, and its handler may start threads, which have contexts of their own."""


class _Deadline:
    """One request's, on `time.monotonic`. Copies of its context outlive it, in tasks that go on and in an `asyncio.Runner`, and must not be held to it."""

    __slots__ = ("at", "over")

    def __init__(self, at: float) -> None:
        self.at = at
        self.over = False


_of_context: ContextVar[_Deadline | None] = ContextVar("thawsafe_deadline", default=None)
"""For servers with many requests at a time."""


def set_for_process(left: float | None) -> None:
    """So many seconds are left of the one invocation that is under way; None: no invocation is, or nobody knows."""
    global _of_process  # noqa: PLW0603 - there is one process
    _of_process = None if left is None else _deadline(left)


def set_for_context(left: float | None) -> Token[_Deadline | None]:
    """So many seconds are left of the request that this task or thread serves. `reset` takes what this returns."""
    return _of_context.set(None if left is None else _Deadline(_deadline(left)))


def reset(outer: Token[_Deadline | None]) -> None:
    """The request has ended, also for whoever has a copy of its context."""
    ended = _of_context.get()
    if ended is not None:
        ended.over = True
    _of_context.reset(outer)


def _deadline(left: float) -> float:
    return time.monotonic() + left - min(RESERVE, left * RESERVED_SHARE)


def time_left() -> float | None:
    """Seconds that a request of this invocation may still take, or None when there is no deadline. Never less than a millisecond.

    A little less than Lambda's own count: the handler has to answer after a request has failed. Every request asks, some twice.
    """
    request = _request()
    deadline = _of_process if request is None or request.over else request.at
    if deadline is None:
        return None
    left = deadline - _monotonic()
    return max(LEAST, left)


def within_time_left(seconds: float | None) -> float | None:
    """A client's own timeout, or what is left when that is less. None stays None where nothing limits it."""
    left = time_left()
    if left is None or (seconds is not None and seconds <= left):
        return seconds
    return left


_request = _of_context.get
_monotonic = time.monotonic
