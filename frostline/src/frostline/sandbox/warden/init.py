"""Process 1 of an environment with namespaces of its own.

It builds the environment from the inside, gives its listener and its network namespace to Frostline, and then serves (`serve`). It keeps
the privileges it has in its namespaces; what it starts has none.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import socket

from . import mounts, net, proc, protocol
from . import syscalls as sc
from .serve import Head
from .spawn import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .protocol import Message

GO_FD = 3
HIGHEST_FD = 1 << 20


class PidNamespace:
    """All other processes of this PID namespace."""

    def send(self, signum: int) -> None:
        """One call for all: -1 means everybody but process 1 and the caller, and the kernel makes it one moment with respect to forks.

        (A fork that has not finished when the signal comes is started over after it, kernel/fork.c, `copy_process`.)
        """
        try:
            os.kill(-1, signum)
        except ProcessLookupError:
            return

    def stopped(self) -> bool:
        return proc.all_stopped(self._others())

    def alive(self) -> bool:
        return bool(self._others())

    def _others(self) -> list[proc.Entry]:
        return [entry for entry in proc.table() if entry.pid != 1]


def run(sock_fd: int, go: int, stage: str, base: str, *, mapped: bool) -> NoReturn:
    """The life of a process 1, from the moment after `clone3`. `mapped`: in a user namespace of an ordinary user."""
    status = 1
    try:
        gc.disable()  # collecting would touch, and so copy, every page that is shared with the warden
        sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
        sock = _only(sock_fd, go)
        if os.read(GO_FD, 1):  # otherwise the warden died before it could do its part
            os.close(GO_FD)
            _live(sock, stage, base, mapped=mapped)
            status = 0
    finally:
        os._exit(status)


def _only(sock_fd: int, go: int) -> socket.socket:
    """Close everything that was the warden's: its socket held open here would hide its death."""
    away = fcntl.fcntl(go, fcntl.F_DUPFD_CLOEXEC, 16), fcntl.fcntl(sock_fd, fcntl.F_DUPFD_CLOEXEC, 16)
    for number, fd in zip((GO_FD, GO_FD + 1), away, strict=True):
        os.dup2(fd, number, inheritable=False)
    os.closerange(GO_FD + 2, HIGHEST_FD)
    return socket.socket(fileno=GO_FD + 1)


def _live(sock: socket.socket, stage: str, base: str, *, mapped: bool) -> None:
    try:
        os.umask(0o022)
        sc.sethostname("sandbox")
        net.loopback_up()
        listener = net.listen(net.API_HOST, net.API_PORT)
        # Early, so that the router can do its part while this goes on.
        network = os.open("/proc/self/ns/net", os.O_RDONLY)
        protocol.send(sock, {"op": "network"}, [network])
        os.close(network)
        mounts.make_root(stage, base)
        _give_up_privileges()
        request, fds = _request(sock)
        mounts.furnish(request["trees"], fds, request["tmp_mb"])
    except OSError as error:
        protocol.send(sock, {"op": "failed", "reason": f"{error.strerror or error} {error.filename or ''}".strip()})
        return
    for fd in fds:
        os.close(fd)
    protocol.send(sock, {"op": "ready"}, [listener.fileno()])
    listener.close()
    Head(sock, PidNamespace(), _identity(request, mapped=mapped)).serve()


def _request(sock: socket.socket) -> tuple[Message, list[int]]:
    """The first message: whose environment this becomes, with the mounts for it."""
    decoder = protocol.Decoder()
    while True:
        data, fds = protocol.receive(sock)
        for message, mine in decoder.feed(data, fds):
            return message, mine
        if not data:
            os._exit(0)  # never used


def _give_up_privileges() -> None:
    """Bound what any program started from here can ever have; what this process has itself is not affected."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for capability in range(last + 1):
        sc.prctl(sc.PR_CAPBSET_DROP, capability)
    sc.prctl(sc.PR_SET_NO_NEW_PRIVS, 1)


def _identity(request: Message, *, mapped: bool) -> Identity:
    # In its own user namespace, counting this process too. Without one, uid 993 is one user for all environments, and cgroups bound it.
    return Identity(mounts.UID, mounts.GID, set_groups=not mapped, limit=request["processes"] + 1 if mapped else None)
