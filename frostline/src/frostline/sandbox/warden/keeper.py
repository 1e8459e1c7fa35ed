"""The head of an environment without namespaces: an ordinary process whose descendants are the environment.

It cannot hide anything from them or keep anything from them; it starts, stops and ends them, all of them. On Linux orphans come back to it
(it is their subreaper). macOS has no such thing, and there a process that leaves its parent *and* its process group is lost sight of.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from . import net, proc, protocol
from .copies import copy_merged
from .serve import Head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .protocol import Message


class Descendants:
    """Every process below this one."""

    def __init__(self) -> None:
        self._groups: set[int] = set()

    def send(self, signum: int) -> None:
        """Signal them all. To stop or kill, ask `stopped` or `alive` and repeat: a process may fork while the list is read."""
        for entry in self._below():
            if signum != signal.SIGSTOP or entry.state not in "TZX":
                try:
                    os.kill(entry.pid, signum)
                except OSError:  # it has just ended
                    continue

    def stopped(self) -> bool:
        # A stopped process does not fork. A dying one can hand over its children while the list is read, so the list is read again.
        first = self._below()
        return proc.all_stopped(first) and {entry.pid for entry in self._below()} <= {entry.pid for entry in first}

    def alive(self) -> bool:
        return bool(self._below())

    def _below(self) -> list[proc.Entry]:
        me = os.getpid()
        if sys.platform == "linux":
            try:
                return list(proc.below(me))
            except FileNotFoundError:  # such a kernel is rare
                pass
        entries = {entry.pid: entry for entry in proc.table()}
        ours = {me}
        while more := {pid for pid, entry in entries.items() if pid not in ours and (entry.parent in ours or entry.group in self._groups)}:
            ours |= more
            # Each process that the head starts leads a group of its own; by it, orphans are found again where there is no subreaper.
            self._groups |= {pid for pid in more if entries[pid].parent == me and entries[pid].group == pid}
        self._groups &= {entry.group for entry in entries.values()}
        return [entries[pid] for pid in ours - {me}]


def run(sock_fd: int, leash: int, blueprint: Message) -> NoReturn:
    """The life of a keeper, from the moment after `fork`. It ends when the other end of `leash` closes."""
    status = 1
    try:
        gc.disable()
        os.setsid()
        if sys.platform == "linux":
            from . import syscalls

            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        for fd in range(3, 1 + max(int(name) for name in os.listdir("/dev/fd"))):
            if fd not in (sock_fd, leash):
                _close(fd)
        _live(socket.socket(fileno=sock_fd), leash, blueprint)
        status = 0
    finally:
        os._exit(status)


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return


def _live(sock: socket.socket, leash: int, blueprint: Message) -> None:
    try:
        os.makedirs(f"{blueprint['home']}/tmp", mode=0o700, exist_ok=True)  # noqa: S108 - in our own run directory
        if blueprint["merge"]:
            copy_merged(blueprint["merge"], f"{blueprint['home']}/opt")
        listener = net.listen("127.0.0.1", 0)
    except OSError as error:
        reason = f"{error.strerror} {error.filename or ''}".strip() if error.strerror else str(error)
        protocol.send(sock, {"op": "failed", "reason": reason})
        return
    protocol.send(sock, {"op": "ready"}, [listener.fileno()])
    listener.close()
    tree = Descendants()
    head = Head(sock, tree, None, leash)
    try:
        head.serve()
    finally:
        head.end()
