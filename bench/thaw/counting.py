"""Calls that a piece of code makes, counted: a measure of what it costs that is the same on a busy machine."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, NamedTuple

_RESUMED = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class Calls(NamedTuple):
    """How many functions of Python's were called, and how many of the interpreter's own (clocks, locks, `getattr`)."""

    python: int
    builtin: int


def calls(within: str, work: Callable[[], object]) -> Calls:
    """What code in files below the folder `within` is called and calls, while `work` is done by this thread.

    A coroutine counts once, however often it is resumed: that depends on when answers arrive.
    """
    python = builtin = 0
    resumed: set[CodeType] = set()

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal python, builtin
        code = frame.f_code
        if not code.co_filename.startswith(within):
            return
        if event == "c_call":
            builtin += 1
        elif event == "call" and code not in resumed:
            python += 1
            if code.co_flags & _RESUMED:
                resumed.add(code)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return Calls(python, builtin)
