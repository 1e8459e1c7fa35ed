"""How much memory an environment uses, and the end of a process that uses too much.

On AWS /tmp is a disk; here it is memory, and the kernel counts it as the environment's. So the kernel's own limit is the function's memory
*and* /tmp together, which nothing gets past. Below that the function's limit is kept from here, as the kernel would keep it: the kernel tells
when usage passes a level; if what is used besides files (the page cache, /tmp) is over the limit, the largest process is killed; otherwise
the level goes up by what processes may still take.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable
from typing import Protocol

from .cgroups import procs, write
from .freezer import KernelEvents

MIB = 1 << 20
CACHED_S = 0.1
LEAST_STEP = 1 * MIB
"""The next level is at least this much higher, so that a process at its limit does not wake us for each page."""


class Gauge(Protocol):
    """What is known of one environment's memory."""

    def peak_mb(self) -> int | None:
        """The most that was used, in MiB; may be 100 ms old."""

    def ran_out(self) -> bool:
        """Whether a process was killed for memory since this was last asked."""

    def look_away(self) -> None:
        """Whoever was killed for memory until now is not why somebody dies later."""

    def reset(self) -> None:
        """No process is left: what the next ones may use begins anew."""

    def close(self) -> None:
        """Let go of the kernel's files."""


class CgroupGauge:
    """Memory by its cgroup."""

    def __init__(self, directory: str, version: int, *, head: int, limit: int | None, events: KernelEvents) -> None:
        """`head`: the environment's first process, which is never killed. `limit` in bytes. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self._directory = directory
        self._head = head
        self._limit = limit
        self._events = events
        self._fds: list[int] = []
        v2 = version == 2
        self._usage = self._open("memory.current" if v2 else "memory.usage_in_bytes")
        self._counts = self._open("memory.events" if v2 else "memory.oom_control")
        self._stat = self._open("memory.stat")
        self._files = b"file " if v2 else b"total_cache "
        try:
            self._peak = self._open("memory.peak" if v2 else "memory.max_usage_in_bytes")
        except OSError:  # memory.peak came in Linux 5.19
            self._peak = self._usage
        self._high_water = 0
        self._asked_at = 0.0
        self._known_kills = self._kills()
        self._killed = False
        self._alarm: Callable[[int], None] = self._raise_high if v2 else self._set_threshold
        self._eventfd = -1
        self._level = 0
        if limit is not None:
            if v2:
                events.watch(self._counts, self._passed)
            self._alarm(limit)

    def peak_mb(self) -> int | None:
        # Libraries that another environment mapped first are charged to that one's group. On AWS each environment has its own copy, so what
        # a process had resident counts, too.
        now = self._loop.time()
        if now - self._asked_at >= CACHED_S:
            self._asked_at = now
            with contextlib.suppress(OSError):
                self._high_water = max(self._high_water, int(os.pread(self._peak, 32, 0)), *map(_most_resident, _descendants(self._head)))
        used = self._high_water if self._limit is None else min(self._high_water, self._limit)
        return -(-used // MIB)

    def ran_out(self) -> bool:
        kills = self._kills()
        said = self._killed or kills > self._known_kills
        self._killed, self._known_kills = False, kills
        if said:
            self._asked_at = 0.0  # how much it was is asked next, and must not be what it was 100 ms ago
        return said

    def look_away(self) -> None:
        self._killed, self._known_kills = False, self._kills()

    def reset(self) -> None:
        # The level has gone up with the files, and these can have gone since.
        if self._limit is not None and self._level > self._limit:
            self._alarm(self._limit)

    def close(self) -> None:
        if self._eventfd >= 0:
            self._events.forget(self._eventfd)
            os.close(self._eventfd)
            self._eventfd = -1
        if self._fds:
            self._events.forget(self._counts)
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def _open(self, name: str) -> int:
        fd = os.open(f"{self._directory}/{name}", os.O_RDONLY)
        self._fds.append(fd)
        return fd

    def _kills(self) -> int:
        return _field(self._counts, b"oom_kill ")

    def _passed(self) -> None:
        """Usage has passed the level, or something else happened that the kernel counts in the same file."""
        if not self._fds or self._limit is None:
            return
        try:
            if self._eventfd >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._eventfd)
            os.pread(self._counts, 512, 0)
            usage = int(os.pread(self._usage, 32, 0))
            if usage < self._level:
                return
            room = self._limit - (usage - _field(self._stat, self._files))
            if room <= 0:
                self._kill_largest()
            self._alarm(usage + max(room, LEAST_STEP))
        except OSError:  # the group is being removed
            return

    def _kill_largest(self) -> None:
        largest = max((pid for pid in procs(self._directory) if pid != self._head), key=_resident, default=None)
        if largest is not None:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(largest, signal.SIGKILL)

    def _raise_high(self, level: int) -> None:
        """v2: above `memory.high` processes are slowed down until somebody sees to it, and `memory.events` says so."""
        self._level = level
        write(f"{self._directory}/memory.high", str(level))

    def _set_threshold(self, level: int) -> None:
        """v1: an eventfd is told when usage crosses a threshold (Documentation/admin-guide/cgroup-v1/memory.rst, 9)."""
        if self._eventfd >= 0:
            self._events.forget(self._eventfd)
            os.close(self._eventfd)
        self._level = level
        self._eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._events.watch(self._eventfd, self._passed, select.EPOLLIN)
        # In a thread, and with a descriptor of its own: the kernel takes 5 to 15 ms for it (it waits for an RCU grace period). Usage may
        # have passed the level meanwhile, and that is not told.
        registering = self._loop.run_in_executor(None, _register_threshold, self._directory, os.dup(self._eventfd), level)
        registering.add_done_callback(lambda _: self._passed())


def _register_threshold(directory: str, eventfd: int, level: int) -> None:
    with contextlib.suppress(OSError):  # the group has been removed meanwhile
        usage = os.open(f"{directory}/memory.usage_in_bytes", os.O_RDONLY | os.O_CLOEXEC)
        try:
            write(f"{directory}/cgroup.event_control", f"{eventfd} {usage} {level}")
        finally:
            os.close(usage)
    os.close(eventfd)


class ProcessGauge:
    """Memory by asking about each process, where there is no memory cgroup: the sum of their high-water marks."""

    def __init__(self, head: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._head = head
        self._high_water = 0
        self._asked_at = 0.0

    def peak_mb(self) -> int | None:
        now = self._loop.time()
        if now - self._asked_at >= CACHED_S:
            self._asked_at = now
            self._high_water = max(self._high_water, sum(map(_most_resident, _descendants(self._head))))
        return -(-self._high_water // MIB) if self._high_water else None

    def ran_out(self) -> bool:
        return False

    def look_away(self) -> None:
        return

    def reset(self) -> None:
        return

    def close(self) -> None:
        return


def _field(fd: int, name: bytes) -> int:
    """A number from a file of lines `name number`."""
    for line in os.pread(fd, 8192, 0).splitlines():
        if line.startswith(name):
            return int(line[len(name) :])
    return 0


def _resident(pid: int) -> int:
    return _status(pid, "VmRSS:")


def _most_resident(pid: int) -> int:
    return _status(pid, "VmHWM:")


def _status(pid: int, name: str) -> int:
    """A line of /proc/<pid>/status, in bytes; 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith(name)), 0)
    except OSError:
        return 0


def _descendants(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return []
    return [below for child in children for below in (child, *_descendants(child))]
