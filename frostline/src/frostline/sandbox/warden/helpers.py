"""Programs of Frostline's own that need the warden's user namespace: the lab's router is one."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys

from .spawn import RESET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from .protocol import Message

FIRST_FD = 3
"""A helper finds the descriptors it was given at 3, 4, ..."""
_OUT_OF_THE_WAY = 64


def start(message: Message, fds: Sequence[int]) -> int:
    """Execute `message["argv"]` with the environment `message["env"]`, and with a new network namespace if `message["new_netns"]`.

    It dies with the warden. Raises OSError, also when the program cannot be executed.
    """
    failed, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(lambda: _execute(message, fds), report)
    os.close(report)
    try:
        number = os.read(failed, 16)
    finally:
        os.close(failed)
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), f"{message['argv'][0]}: {os.strerror(int(number))}")
    return pid


def _execute(message: Message, fds: Sequence[int]) -> None:
    if sys.platform == "linux":
        from . import syscalls as sc

        if message["new_netns"]:
            sc.unshare(sc.CLONE_NEWNET)
        sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    for signum in RESET:
        signal.signal(signum, signal.SIG_DFL)
    away = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for fd in fds]
    for number, fd in enumerate(away, FIRST_FD):
        os.dup2(fd, number, inheritable=True)
    os.execve(message["argv"][0], message["argv"], message["env"])  # noqa: S606 - no shell is wanted


def _child(work: Callable[[], None], report: int) -> NoReturn:
    """Do it, or write the error's number into `report`."""
    try:
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
        work()
    except OSError as error:
        os.write(report, str(error.errno or errno.EIO).encode())
    finally:
        os._exit(127)
