"""Timers that processes hold as files: timerfd_create(2). The kernel runs them, so they are moved from outside, through duplicates of the files."""

from __future__ import annotations

import ctypes
import os
import time

from ..warden import syscalls as sc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NR_KCMP = 312
NR_PIDFD_GETFD = 438
KCMP_FILE = 0

TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2
_SECOND = 1_000_000_000

_Spec = ctypes.c_int64 * 4
"""`struct itimerspec`: interval and value, each in seconds and nanoseconds."""


class Timers:
    """Those of all processes of one environment: a timer that several have is moved once."""

    def __init__(self) -> None:
        self._moved: list[tuple[int, int]] = []

    def move(self, pid: int, gap_ns: int) -> int:
        """Bring a process's timers nearer by the gap; how many. Raises OSError."""
        count = 0
        for number in _timer_files(pid):
            if not any(_same_file(pid, number, *other) for other in self._moved):
                self._moved.append((pid, number))
                count += _move(pid, number, gap_ns)
        return count


def _timer_files(pid: int) -> Iterator[int]:
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}") == "anon_inode:[timerfd]":
                yield int(name)
        except FileNotFoundError:
            continue


def _same_file(pid: int, number: int, other_pid: int, other_number: int) -> bool:
    words = [ctypes.c_long(value) for value in (NR_KCMP, pid, other_pid, KCMP_FILE, number, other_number)]
    return int(sc.libc.syscall(*words)) == 0


def _move(pid: int, number: int, gap_ns: int) -> bool:
    timer = _duplicate(pid, number)
    try:
        spec = _Spec()
        # Also counts what it has fired and nobody has read, which the new setting would forget.
        if sc.libc.timerfd_gettime(timer, spec) < 0:
            raise sc.oserror("timerfd_gettime")
        interval, left = spec[0] * _SECOND + spec[1], spec[2] * _SECOND + spec[3]
        if left == 0:
            return False  # not set, or fired for the only time
        known = _settings(pid, number)
        # A time that has passed, so that the kernel counts every time it should have fired.
        at = time.clock_gettime_ns(int(known["clockid"])) + left - gap_ns - int(known["ticks"]) * interval
        if at <= 0:  # before the machine's clock began
            at = at % interval + interval if interval else 1
        spec[2], spec[3] = divmod(at, _SECOND)
        flags = TFD_TIMER_ABSTIME | (int(known["settime flags"], 8) & TFD_TIMER_CANCEL_ON_SET)
        if sc.libc.timerfd_settime(timer, flags, spec, None) < 0:
            raise sc.oserror("timerfd_settime")
        return True
    finally:
        os.close(timer)


def _duplicate(pid: int, number: int) -> int:
    process = os.pidfd_open(pid)
    try:
        fd = int(sc.libc.syscall(ctypes.c_long(NR_PIDFD_GETFD), ctypes.c_long(process), ctypes.c_long(number), ctypes.c_long(0)))
    finally:
        os.close(process)
    if fd < 0:
        raise sc.oserror("pidfd_getfd", f"process {pid}")
    return fd


def _settings(pid: int, number: int) -> dict[str, str]:
    """proc_pid_fdinfo(5): `clockid: 1`, `ticks: 0`, `settime flags: 01`, ..."""
    with open(f"/proc/{pid}/fdinfo/{number}") as file:
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in file)}
