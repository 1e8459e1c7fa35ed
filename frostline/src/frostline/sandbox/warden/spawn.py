"""From `fork` to `execve`: how a function's process comes to be."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .protocol import Message

GATE_FD = 3
LOG_FD = 4
_OUT_OF_THE_WAY = 16

OPEN_FILES = 1024
"""AWS's limit, "File descriptors: 1,024"."""

# Set to "ignore" in this process or its parents, and `execve` would hand that on.
RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)


class Identity:
    """Who a process becomes, and the bound on processes that goes with it."""

    __slots__ = ("gid", "limit", "set_groups", "uid")

    def __init__(self, uid: int, gid: int, *, set_groups: bool, limit: int | None) -> None:
        self.uid = uid
        self.gid = gid
        self.set_groups = set_groups
        """False in a user namespace made by an ordinary user, where supplementary groups cannot be changed."""
        self.limit = limit
        """RLIMIT_NPROC, or None to leave it. It counts a user's processes in one user namespace (Linux 5.14)."""


def spawn(message: Message, fds: list[int], identity: Identity | None) -> int:
    """Start the process that a `run` message describes; its process id. Raises OSError as `execve` does.

    `fds`: where its output goes, then its gate (if it has one), then its framed log (if it has one). They are closed here.
    """
    failed, report = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            os.close(failed)
            _become(message, fds, report, identity)
    finally:
        os.close(report)
        for fd in fds:
            os.close(fd)
    try:
        number = os.read(failed, 16)
    finally:
        os.close(failed)
    if number:
        os.waitpid(pid, 0)
        raise OSError(int(number), os.strerror(int(number)))
    return pid


def _become(message: Message, fds: list[int], report: int, identity: Identity | None) -> NoReturn:
    """In the child. An error's number goes into `report`, which otherwise closes when the program starts."""
    try:
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
        _run(message, fds, identity)
    except OSError as error:
        os.write(report, str(error.errno or errno.EIO).encode())
    except ValueError:  # an argument or a variable with a NUL in it, or with half a surrogate pair
        os.write(report, str(errno.EINVAL).encode())
    finally:
        os._exit(127)


def _run(message: Message, fds: list[int], identity: Identity | None) -> NoReturn:
    os.setsid()
    _arrange(message, fds)
    if identity is not None:
        # /dev/stdout is opened anew through /proc, and then the pipe's owner matters.
        for fd in (1, *((GATE_FD,) if message["gate"] else ()), *((LOG_FD,) if message["log"] else ())):
            os.fchown(fd, identity.uid, identity.gid)
        if identity.limit is not None:
            resource.setrlimit(resource.RLIMIT_NPROC, (identity.limit, identity.limit))
        if identity.set_groups:
            os.setgroups([])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    elif sys.platform == "linux":
        from . import syscalls

        # There is no PID namespace that would end with its first process.
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    for number in RESET:
        signal.signal(number, signal.SIG_DFL)
    os.chdir(message["cwd"])
    env = dict(message["env"])
    if message["log"]:
        env["_LAMBDA_TELEMETRY_LOG_FD"] = str(LOG_FD)
    os.execve(message["argv"][0], message["argv"], env)  # noqa: S606 - no shell is wanted


def _arrange(message: Message, fds: list[int]) -> None:
    """Put the process's descriptors where it expects them. All others close on exec, as everything that Python opens does."""
    wanted = {0: os.open(os.devnull, os.O_RDONLY), 1: fds[0], 2: fds[0]}
    rest = iter(fds[1:])
    if message["gate"]:
        wanted[GATE_FD] = next(rest)
    if message["log"]:
        wanted[LOG_FD] = next(rest)
    away = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for number, fd in wanted.items()}
    for number, fd in away.items():
        os.dup2(fd, number, inheritable=True)
