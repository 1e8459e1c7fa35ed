"""Prints log lines without ever holding up the control plane.

Lines are collected for a moment and written together, by a thread: a terminal that scrolls, or a pipe that nobody reads, stops that thread and nothing else.
When too much waits, lines are left out, and their number is said where they would have been.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from ..control.logs import LogLine

COLLECT_S = 0.01
"""How long lines are collected: shorter than anybody sees, longer than many invocations take."""

MOST_WAITING = 8 * 1024 * 1024
"""Bytes that may wait to be written."""

END_LIMIT_S = 0.5
"""How long the end waits for the rest to be written."""


class Outlet:
    """Writes lines to a file descriptor, in the form that `form` gives them."""

    def __init__(self, fd: int, form: Callable[[LogLine], str], left_out: Callable[[int], str]) -> None:
        self._fd = fd
        self._form = form
        self._left_out_text = left_out
        self._lines: list[LogLine] = []
        self._left_out = 0
        self._waiting = 0
        self._lock = threading.Lock()
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._scheduled: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._write, name="log lines to the terminal", daemon=True)
        self._thread.start()

    def add(self, line: LogLine) -> None:
        """Print this line soon."""
        self._lines.append(line)
        if self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_later(COLLECT_S, self._hand_over)

    def close(self) -> None:
        """Print what there is; wait for it, but not for ever."""
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._hand_over()
        self._queue.put(None)
        self._thread.join(END_LIMIT_S)

    def _hand_over(self) -> None:
        self._scheduled = None
        lines, self._lines = self._lines, []
        with self._lock:
            full = self._waiting > MOST_WAITING
        if full:
            self._left_out += len(lines)
            return
        if not lines:
            return
        text = "".join(map(self._form, lines))
        if self._left_out:
            text = self._left_out_text(self._left_out) + text
            self._left_out = 0
        data = text.encode("utf-8", "replace")
        with self._lock:
            self._waiting += len(data)
        self._queue.put(data)

    def _write(self) -> None:
        while (data := self._queue.get()) is not None:
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError:  # nobody is there to read: what is printed from now on is nobody's loss
                self._fd = os.open(os.devnull, os.O_WRONLY)
            with self._lock:
                self._waiting -= len(data)
