"""What processes write: pipes, read as the data comes and never faster than the rest of the loop can bear."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
from collections.abc import Callable

CHUNK = 65536
"""Read at once: a pipe's usual capacity."""

MOST_DRAINED = 16 * CHUNK
"""What `drain` takes at most, since a process may write as fast as it is read."""


def readable_bytes(fd: int) -> int:
    """How many bytes can be read now."""
    count = bytearray(4)
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


class Output:
    """The reading end of a pipe. It closes itself when the last writer is gone."""

    def __init__(self, fd: int, deliver: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._deliver = deliver
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def drain(self) -> None:
        """Deliver what has already been written."""
        if self._fd < 0 or not readable_bytes(self._fd):
            return  # nearly always, twice an invocation: a refused read would cost ten times as much
        taken = 0
        while self._fd >= 0 and taken < MOST_DRAINED:
            size = self._read()
            if size == 0:
                return
            taken += size

    def close(self) -> None:
        """Stop reading. Safe to call twice."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    @property
    def open(self) -> bool:
        return self._fd >= 0

    def _read(self) -> int:
        # One read for each turn of the loop: whoever floods waits for everybody else.
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return 0
        if data:
            self._deliver(data)
        else:
            self.close()
        return len(data)
