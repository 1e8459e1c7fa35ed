"""The process table, as far as stopping and ending processes needs it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Entry:
    """One process."""

    __slots__ = ("group", "parent", "pid", "state")

    def __init__(self, pid: int, parent: int, group: int, state: str) -> None:
        self.pid = pid
        self.parent = parent
        self.group = group
        self.state = state
        """As in proc(5): R running, S sleeping, D sleeping and deaf to signals, T stopped, t traced, Z dead and not reaped, X dead."""


def read(pid: int | str) -> Entry:
    """Linux: one process, from /proc as it is mounted here. Raises OSError when it has ended."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        state, parent, group = file.read().rpartition(b") ")[2].split(b" ", 3)[:3]
    return Entry(int(pid), int(parent), int(group), state.decode())


def table() -> Iterator[Entry]:
    """Every process that can be seen."""
    if sys.platform == "linux":
        for name in os.listdir("/proc"):
            if name.isdecimal():
                try:
                    yield read(name)
                except OSError:  # it has ended meanwhile
                    continue
    else:
        for line in _ask_ps():
            pid, parent, group, state = line.split(None, 3)
            yield Entry(int(pid), int(parent), int(group), state[0])


def _ask_ps() -> list[str]:
    """The table that ps prints, without ps itself."""
    read_end, write_end = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1)]
        ps = os.posix_spawn("/bin/ps", ["ps", "-A", "-o", "pid=,ppid=,pgid=,state="], {"PATH": "/bin:/usr/bin"}, file_actions=actions)
    finally:
        os.close(write_end)
    with open(read_end) as pipe:
        text = pipe.read()
    os.waitpid(ps, 0)
    return [line for line in text.splitlines() if line.split(None, 1)[0] != str(ps)]


def below(pid: int) -> Iterator[Entry]:
    """Linux: the descendants of a process, by the kernel's own lists. Raises FileNotFoundError where the kernel was built without them."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            children = file.read().split()
        for child in children:
            try:
                yield read(child)
                yield from below(int(child))
            except OSError:  # it has ended meanwhile, and its children are somebody else's
                continue


def all_stopped(entries: Iterable[Entry]) -> bool:
    """Whether none of these processes, each of which has been sent SIGSTOP, executes anything any more.

    A process that called vfork is deaf to signals until its child has executed a program. If the child was stopped before that, the parent
    cannot go on either, and never shows state T.
    """
    known = list(entries)
    with_stopped_child = {entry.parent for entry in known if entry.state in "Tt"}
    return all(entry.state in "TtZX" or (entry.state == "D" and entry.pid in with_stopped_child) for entry in known)
