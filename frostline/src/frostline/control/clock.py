"""The control plane's one clock: epoch seconds that never go backwards."""

from __future__ import annotations

import time


class Clock:
    """The wall clock at the start, carried on by the monotonic clock: deadlines can be printed, and a step of the wall clock breaks no timer."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    @property
    def offset(self) -> float:
        """What makes epoch seconds of the monotonic clock, for processes that are to tell time as this clock does."""
        return self._offset

    def now(self) -> float:
        """Epoch seconds."""
        return time.monotonic() + self._offset
