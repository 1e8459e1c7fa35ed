"""The system calls that Python does not have: one thin function each, and one way to fail.

Constants are spelled as in the kernel's headers. Numbers of calls that glibc has no function for are the same on every architecture
that Linux got since 2019 (x86-64 and aarch64 among them); the calls that need them came in Linux 5.2 (`open_tree`, `move_mount`),
5.3 (`clone3`) and 5.12 (`mount_setattr`).
"""

from __future__ import annotations

import ctypes
import errno
import os

NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_CLONE3 = 435
NR_MOUNT_SETATTR = 442

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x100000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

# PyDLL keeps the interpreter's lock during a call: there is no other thread to let in, and a `clone3` must not return twice into a
# half-released lock.
libc = ctypes.PyDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class MountAttr(ctypes.Structure):
    """`struct mount_attr` of <linux/mount.h>."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class CloneArgs(ctypes.Structure):
    """`struct clone_args` of <linux/sched.h>, as first published (CLONE_ARGS_SIZE_VER0)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64) for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls")
    )


_HINTS = {
    "clone3": "it needs Linux 5.3 or newer, and a container must allow it",
    "mount_setattr": "it needs Linux 5.12 or newer",
    "open_tree": "it needs Linux 5.2 or newer",
    "move_mount": "it needs Linux 5.2 or newer",
}


def oserror(call: str, what: str = "") -> OSError:
    """The error of the call that just failed, saying which one it was and, where it can be known, what it takes."""
    number = ctypes.get_errno()
    text = f"{call}: {os.strerror(number)}"
    if number == errno.ENOSYS and call in _HINTS:
        text += f" ({_HINTS[call]})"
    return OSError(number, text, what) if what else OSError(number, text)


def unshare(flags: int) -> None:
    """Leave namespaces for new ones."""
    if libc.unshare(flags) < 0:
        raise oserror("unshare")


def setns(fd: int, kind: int) -> None:
    """Enter the namespace that `fd` stands for."""
    if libc.setns(fd, kind) < 0:
        raise oserror("setns")


def clone3(flags: int, exit_signal: int) -> int:
    """Fork with new namespaces; 0 in the child.

    All namespaces in one call, because a PID namespace must belong to the user namespace that mounts its /proc. Unlike `os.fork` it
    tells the interpreter nothing, so it is for a process with one thread only.
    """
    args = CloneArgs(flags=flags, exit_signal=exit_signal)
    pid: int = libc.syscall(NR_CLONE3, ctypes.byref(args), ctypes.c_size_t(ctypes.sizeof(args)))
    if pid < 0:
        raise oserror("clone3")
    return pid


def prctl(option: int, argument: int) -> None:
    if libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) < 0:
        raise oserror(f"prctl {option}")


def sethostname(name: str) -> None:
    raw = name.encode()
    if libc.sethostname(raw, ctypes.c_size_t(len(raw))) < 0:
        raise oserror("sethostname")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    if libc.mount(source.encode(), os.fsencode(target), kind.encode() if kind else None, ctypes.c_ulong(flags), os.fsencode(data)) < 0:
        raise oserror("mount", target)


def umount2(target: str, flags: int) -> None:
    if libc.umount2(os.fsencode(target), flags) < 0:
        raise oserror("umount2", target)


def pivot_root(new_root: str, put_old: str) -> None:
    if libc.pivot_root(os.fsencode(new_root), os.fsencode(put_old)) < 0:
        raise oserror("pivot_root", new_root)


def open_tree(path: str) -> int:
    """A detached copy of what is mounted at and below `path`; the caller closes the descriptor."""
    flags = ctypes.c_uint(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)
    fd: int = libc.syscall(NR_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags)
    if fd < 0:
        raise oserror("open_tree", path)
    return fd


def move_mount(fd: int, target: str) -> None:
    """Attach a detached mount at `target`."""
    if libc.syscall(NR_MOVE_MOUNT, fd, b"", AT_FDCWD, os.fsencode(target), ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH)) < 0:
        raise oserror("move_mount", target)


def mount_setattr(fd: int, path: str, *, attributes: int, userns_fd: int = 0, recursive: bool = True) -> None:
    """Add attributes to a mount and what is mounted below it; what is set already stays set.

    Everything given is read by the kernel in one go: either all mounts change, or none.
    """
    attr = MountAttr(attr_set=attributes, userns_fd=userns_fd)
    flags = ctypes.c_uint((AT_RECURSIVE if recursive else 0) | (AT_EMPTY_PATH if not path else 0))
    if libc.syscall(NR_MOUNT_SETATTR, fd, os.fsencode(path), flags, ctypes.byref(attr), ctypes.c_size_t(ctypes.sizeof(attr))) < 0:
        raise oserror("mount_setattr", path)
