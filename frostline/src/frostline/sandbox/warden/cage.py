"""Cages: children with namespaces of their own, and what only their parent can do for them."""

from __future__ import annotations

import os
import signal
import socket

from .. import cgroups
from . import init, mounts
from . import syscalls as sc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACES = sc.CLONE_NEWPID | sc.CLONE_NEWNS | sc.CLONE_NEWNET | sc.CLONE_NEWIPC | sc.CLONE_NEWUTS


def settle(base: str) -> bool:
    """Prepare the calling process to make cages: mounts of its own, with the base in them. Whether it had to become root of its own.

    With privileges a mount namespace is enough; an ordinary user needs a user namespace, in which it is root (and nobody else exists).
    Raises OSError with a hint where the system does not allow that.
    """
    mapped = not _privileged()
    try:
        if mapped:
            uid, gid = os.geteuid(), os.getegid()
            sc.unshare(sc.CLONE_NEWUSER | sc.CLONE_NEWNS)
            map_ids("self", uid=(0, uid), gid=(0, gid), groups=False)
        else:
            sc.unshare(sc.CLONE_NEWNS)
        sc.mount("none", "/", None, sc.MS_REC | sc.MS_PRIVATE)
        mounts.make_base(base)
    except OSError as error:
        raise OSError(error.errno, f"namespaces are refused ({error.strerror}){_hint(mapped)}") from error
    return mapped


def can_overlay(stage: str) -> bool:
    """Whether directories can be laid over each other, found out by doing it: an ordinary user needs Linux 5.11 and a loaded module."""
    try:
        sc.mount("tmpfs", stage, "tmpfs", 0, "mode=755,size=64k")
    except OSError:
        return False
    try:
        for name in ("one", "two", "both"):
            os.mkdir(f"{stage}/{name}")
        os.chdir(stage)
        mounts.merge(["one", "two"], "both")
    except OSError:
        return False
    else:
        return True
    finally:
        os.chdir("/")
        sc.umount2(stage, sc.MNT_DETACH)


def _privileged() -> bool:
    """Root, with the environment's user to switch to, and allowed to make namespaces."""
    if os.geteuid() != 0 or not _is_mapped("/proc/self/uid_map", mounts.UID) or not _is_mapped("/proc/self/gid_map", mounts.GID):
        return False
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return bool(effective >> 21 & 1)  # CAP_SYS_ADMIN


def _is_mapped(path: str, number: int) -> bool:
    with open(path) as file:
        ranges = [[int(word) for word in line.split()] for line in file]
    return any(first <= number < first + count for first, _, count in ranges)


def _hint(mapped: bool) -> str:
    if not mapped:
        return ""
    for name, needed in (
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "1"),
    ):
        try:
            with open(name) as file:
                if file.read().strip() != needed:
                    return f"; allow them with `sysctl {name[10:].replace('/', '.')}={needed}`, or run as root"
        except OSError:
            continue
    return "; run as root, and in a container with `--privileged`"


def map_ids(pid: int | str, *, uid: tuple[int, int], gid: tuple[int, int], groups: bool) -> None:
    """Give a user namespace its only user and group: `(inside, outside)`."""
    if not groups:  # demanded of those who may not set groups anyway: user_namespaces(7)
        cgroups.write(f"/proc/{pid}/setgroups", "deny")
    cgroups.write(f"/proc/{pid}/uid_map", f"{uid[0]} {uid[1]} 1")
    cgroups.write(f"/proc/{pid}/gid_map", f"{gid[0]} {gid[1]} 1")


class Cage:
    """One environment, seen from its parent."""

    __slots__ = ("directories", "name", "pid", "sock")

    def __init__(self, name: str, pid: int, directories: Sequence[str], sock: socket.socket) -> None:
        self.name = name
        """What its cgroups are called."""
        self.pid = pid
        self.directories = list(directories)
        self.sock = sock
        """Frostline's end of the line to the environment's process 1."""


def make(name: str, homes: Sequence[cgroups.Home], stage: str, base: str, *, mapped: bool) -> Cage:
    """A cage in its cgroups, which prepares itself for a blueprint. Raises OSError."""
    directories = cgroups.make(homes, name)
    ours, theirs = socket.socketpair()
    go_read, go_write = os.pipe()
    try:
        pid = _clone(theirs.fileno(), go_read, stage, base, mapped=mapped)
        try:
            if mapped:
                map_ids(pid, uid=(mounts.UID, 0), gid=(mounts.GID, 0), groups=False)
            os.write(go_write, b".")
            # Slow on a quiet machine (see `attach`), so it is done while the child works; nothing of the function's can run yet.
            cgroups.attach(directories, pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    except OSError:
        ours.close()
        cgroups.remove(directories, 0.1)
        raise
    finally:
        theirs.close()
        os.close(go_read)
        os.close(go_write)
    return Cage(name, pid, directories, ours)


def _clone(sock: int, go: int, stage: str, base: str, *, mapped: bool) -> int:
    pid = sc.clone3(NAMESPACES | (sc.CLONE_NEWUSER if mapped else 0), signal.SIGCHLD)
    if pid == 0:
        init.run(sock, go, stage, base, mapped=mapped)
    return pid


class Idmaps:
    """User namespaces that turn the owner of a directory into the environment's user, one for each owner met.

    Root may run Frostline on directories that only their owner may read (each `mkdtemp` is one). Such a directory is shown through a mount
    with these ids exchanged; see mount_setattr(2), MOUNT_ATTR_IDMAP.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], int] = {}

    def get(self, path: str) -> int | None:
        """A descriptor that stays ours, or None when the path is the environment's user's already. Raises OSError."""
        found = os.stat(path)
        owner = found.st_uid, found.st_gid
        if owner == (mounts.UID, mounts.GID):
            return None
        if owner not in self._known:
            self._known[owner] = _user_namespace(*owner)
        return self._known[owner]


def _user_namespace(uid: int, gid: int) -> int:
    """A user namespace in which `uid` on disk is the environment's user; its descriptor. It needs a process only until it is open."""
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sc.unshare(sc.CLONE_NEWUSER)
            os.write(ready_write, b".")
            os.close(done_write)
            os.read(done_read, 1)
        finally:
            os._exit(0)
    try:
        os.close(ready_write)
        ready_write = -1
        if not os.read(ready_read, 1):
            raise OSError("no user namespace can be made for an idmapped mount")
        map_ids(pid, uid=(uid, mounts.UID), gid=(gid, mounts.GID), groups=True)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    finally:
        for fd in (ready_read, done_read, done_write, *(() if ready_write < 0 else (ready_write,))):
            os.close(fd)
        os.waitpid(pid, 0)
