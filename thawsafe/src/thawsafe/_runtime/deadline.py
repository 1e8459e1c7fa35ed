"""The time that is left of an invocation, as a limit for its requests: so that one fails inside the invocation, and not with it."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar, Token

RESERVE = 0.5
"""Seconds kept for the handler to answer after a request has failed."""
RESERVED_SHARE = 0.1
"""The part of the invocation's time that it is at most."""
LEAST = 0.001
"""Seconds. What a request gets whose time is over: clients read a timeout of 0 as none, or refuse it."""
_NEVER = math.inf


class _Deadline:
    """On `time.monotonic`; infinite: there is none, or what it was for is over. Copies of a context outlive the request that it was made for,
    in tasks that go on and in an `asyncio.Runner`, and must not be held to its deadline.
    """

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at


_process = _Deadline(_NEVER)
"""Lambda runs one invocation at a time, and its handler may start threads, which have contexts of their own."""
_of_context: ContextVar[_Deadline | None] = ContextVar("thawsafe_deadline", default=None)
"""For servers with many requests at a time."""


def set_for_process(left: float | None) -> None:
    """So many seconds are left of the one invocation that is under way; None: no invocation is, or nobody knows."""
    _process.at = _NEVER if left is None else _after(left)


def set_for_context(left: float | None) -> Token[_Deadline | None]:
    """So many seconds are left of the request that this task or thread serves. `reset` takes what this returns."""
    return _of_context.set(None if left is None else _Deadline(_after(left)))


def reset(outer: Token[_Deadline | None]) -> None:
    """The request has ended, also for whoever has a copy of its context."""
    ended = _of_context.get()
    if ended is not None:
        ended.at = _NEVER
    _of_context.reset(outer)


def _after(left: float) -> float:
    return time.monotonic() + left - min(RESERVE, left * RESERVED_SHARE)


def seconds_left() -> float:
    """As `time_left`, and infinite where nothing limits a request: what adapters compare with a client's own timeout, for every request."""
    at = _process.at
    request = _request()
    if request is not None and request.at < at:
        at = request.at
    if at == _NEVER:
        return at
    left = at - _monotonic()
    return max(LEAST, left)


def time_left() -> float | None:
    """Seconds that a request of this invocation may still take, or None when there is no deadline. Never less than a millisecond.

    A little less than Lambda's own count: the handler has to answer after a request has failed.
    """
    left = seconds_left()
    return None if left == _NEVER else left


def within_time_left(seconds: float | None) -> float | None:
    """A client's own timeout, or what is left when that is less. None stays None where nothing limits it."""
    left = time_left()
    if left is None or (seconds is not None and seconds <= left):
        return seconds
    return left


_request = _of_context.get
_monotonic = time.monotonic
