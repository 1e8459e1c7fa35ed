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

from . import net, protocol
from .copies import copy_merged
from .serve import Head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from .protocol import Message


class Descendants:
    """Every process below this one."""

    def __init__(self) -> None:
        self._groups: set[int] = set()

    def send(self, signum: int) -> None:
        """Signal them all. To stop or kill, ask `stopped` or `alive` and repeat: a process may fork while the list is read."""
        for pid, state in self._below():
            if signum != signal.SIGSTOP or state not in "TZX":
                try:
                    os.kill(pid, signum)
                except OSError:  # it has just ended
                    continue

    def stopped(self) -> bool:
        # A stopped process does not fork. A dying one can hand over its children while the list is read, so the list is read again.
        first = self._below()
        return all(state in "TtZX" for _, state in first) and self._below() == first

    def alive(self) -> bool:
        return bool(self._below())

    def _below(self) -> list[tuple[int, str]]:
        me = os.getpid()
        if sys.platform == "linux" and os.path.exists(f"/proc/{me}/task/{me}/children"):
            return sorted(_children_of(me))
        table = {pid: (parent, group, state) for pid, parent, group, state in processes()}
        ours = {me}
        while True:
            more = {pid for pid, (parent, group, _) in table.items() if pid not in ours and (parent in ours or group in self._groups)}
            if not more:
                break
            ours |= more
            # Each process that the head starts leads a group of its own; by it, orphans are found again where there is no subreaper.
            self._groups |= {table[pid][1] for pid in more if table[pid][0] == me and table[pid][1] == pid}
        self._groups &= {group for _, group, _ in table.values()}
        return [(pid, table[pid][2]) for pid in sorted(ours - {me})]


def _children_of(pid: int) -> Iterator[tuple[int, str]]:
    """Processes below one, with their states, by the kernel's own lists (which it may have been built without)."""
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children = file.read().split()
            for child in map(int, children):
                with open(f"/proc/{child}/stat", "rb") as stat:
                    yield child, chr(stat.read().rpartition(b") ")[2][0])
                yield from _children_of(child)
    except OSError:  # it has ended meanwhile, and its children are somebody else's
        return


def processes() -> Iterator[tuple[int, int, int, str]]:
    """Process id, parent, group and state of every process that can be seen."""
    if sys.platform == "linux":
        for name in os.listdir("/proc"):
            if name.isdecimal():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        state, parent, group = file.read().rpartition(b") ")[2].split(b" ", 3)[:3]
                except OSError:  # it has ended meanwhile
                    continue
                yield int(name), int(parent), int(group), state.decode()
    else:
        for line in _ask_ps():
            pid, parent_, group_, state_ = line.split(None, 3)
            yield int(pid), int(parent_), int(group_), state_[0]


def _ask_ps() -> list[str]:
    """The table that ps prints, without ps itself."""
    read, write = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, write, 1)]
        ps = os.posix_spawn("/bin/ps", ["ps", "-A", "-o", "pid=,ppid=,pgid=,state="], {"PATH": "/bin:/usr/bin"}, file_actions=actions)
    finally:
        os.close(write)
    with open(read) as pipe:
        table = pipe.read()
    os.waitpid(ps, 0)
    return [line for line in table.splitlines() if line.split(None, 1)[0] != str(ps)]


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
