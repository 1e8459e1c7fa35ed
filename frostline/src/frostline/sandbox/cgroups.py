"""Control groups: where this process may make some, and making, limiting, killing and removing them.

Environments need three things of them: a freezer, a memory limit, a limit for the number of processes. Cgroup v2 has all three in one
directory; v1 has a hierarchy for each; a machine with both may have the freezer in v2 and the limits in v1. So a run has one or more
*homes*, directories named after the run, and an environment has one directory in each home.

The warden imports this module: standard library only, and little of it (see `warden`).
Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{freezer-subsystem,memory,pids}.rst.
"""

from __future__ import annotations

import errno
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFIX = "frostline-"
CONTROLLERS = ("memory", "pids")
"""What is asked for beside the freezer, which every v2 cgroup has (Linux 5.2)."""


class Home:
    """A directory of ours in one hierarchy, in which each environment gets a directory."""

    __slots__ = ("offers", "path", "version")

    def __init__(self, version: int, path: str, offers: Iterable[str]) -> None:
        self.version = version
        self.path = path
        self.offers = tuple(sorted(offers))
        """Of `freezer`, `memory`, `pids`."""

    def as_json(self) -> list[object]:
        return [self.version, self.path, list(self.offers)]

    @classmethod
    def from_json(cls, value: Sequence[object]) -> Home:
        version, path, offers = value
        assert isinstance(version, int) and isinstance(path, str) and isinstance(offers, list)
        return cls(version, path, offers)


class Mounted:
    """A hierarchy as this process sees it: its mount point, and the directory this process itself is in."""

    __slots__ = ("controllers", "own", "point", "version")

    def __init__(self, version: int, point: str, own: str, controllers: Iterable[str]) -> None:
        self.version = version
        self.point = point
        self.own = own
        self.controllers = frozenset(controllers)


def mounted(mountinfo: str, membership: str) -> list[Mounted]:
    """The hierarchies in the text of /proc/self/mountinfo, with our places from the text of /proc/self/cgroup.

    A hierarchy can be mounted anywhere (v2 is often at /sys/fs/cgroup/unified on machines that still use v1).
    """
    places: dict[str, str] = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            places[name] = path
    found: list[Mounted] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        root, point = (_unescape(field) for field in left.split()[3:5])
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2" and "" in places:
            found.append(Mounted(2, point, _below(point, root, places[""]), ()))
        elif kind == "cgroup":
            controllers_here = set(options.split(",")) & {"freezer", *CONTROLLERS}
            if controllers_here and (known := controllers_here & places.keys()):
                found.append(Mounted(1, point, _below(point, root, places[min(known)]), controllers_here))
    return found


def _unescape(field: str) -> str:
    """Undo mountinfo's octal escapes for blanks and backslashes."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


def _below(point: str, root: str, path: str) -> str:
    """Where cgroup `path` is found under a mount whose root is cgroup `root`; the mount point when it is not below it."""
    if path.startswith("/.."):  # outside of our cgroup namespace
        return point
    if root != "/":
        if not (path + "/").startswith(root + "/"):
            return point
        path = path[len(root) :]
    return os.path.normpath(point + "/" + path)


class Plan:
    """The homes of one run, and what had to be done to have them."""

    def __init__(self, homes: Sequence[Home] = (), notes: Sequence[str] = (), moved: str | None = None) -> None:
        self.homes = list(homes)
        self.notes = list(notes)
        """Sentences about what could not be had."""
        self.moved = moved
        """The cgroup this process left to make room, or None (see `_make_room`)."""

    def home(self, offer: str) -> Home | None:
        """The home that offers `freezer`, `memory` or `pids`."""
        return next((home for home in self.homes if offer in home.offers), None)

    def directories(self) -> list[str]:
        """Everything to remove at the end, in order."""
        paths = [home.path for home in self.homes]
        return [*paths, *([_room(self.moved, self.homes[0].path)] if self.moved and self.homes else [])]


def plan(run: str, *, freezer: int | None = None, controllers: Sequence[str] = CONTROLLERS) -> Plan:
    """Make homes named after `run` in the best places there are. `freezer`: insist on the freezer of this version.

    v2 is preferred. What v2 does not offer is taken from v1.
    """
    try:
        with open("/proc/self/mountinfo") as info, open("/proc/self/cgroup") as membership:
            there = mounted(info.read(), membership.read())
    except OSError:
        return Plan(notes=["this machine has no control groups"])
    made = Plan()
    reasons: list[str] = []
    v2 = next((one for one in there if one.version == 2), None)
    if v2 is not None:
        home = _home_v2(v2, run, controllers, made, reasons, use_freezer=freezer != 1)
        if home is not None:
            made.homes.append(home)
    for offer in ("freezer", *CONTROLLERS):
        if made.home(offer) is not None or (offer == "freezer" and freezer == 2):
            continue
        hierarchy = next((one for one in there if one.version == 1 and offer in one.controllers), None)
        if hierarchy is None:
            continue
        # Controllers can be mounted together, and then have one directory together.
        offers = [name for name in hierarchy.controllers if made.home(name) is None and not (name == "freezer" and freezer == 2)]
        home = _home_v1(hierarchy, run, offers, reasons)
        if home is not None:
            made.homes.append(home)
    if not made.homes:
        made.notes += dict.fromkeys(reasons) or ["this machine has no control groups"]
    return made


def _home_v2(there: Mounted, run: str, controllers: Sequence[str], made: Plan, reasons: list[str], *, use_freezer: bool) -> Home | None:
    """The best of our own cgroup and the hierarchy's root: the one that offers most, ours when they are equal."""
    best: Home | None = None
    for parent in dict.fromkeys((there.own, there.point)):
        try:
            home = _try_v2(parent, f"{parent}/{PREFIX}{run}", controllers, made, ours=parent == there.own, use_freezer=use_freezer)
        except OSError as error:
            reasons.append(_why(error))
            continue
        if len(home.offers) <= (0 if best is None else len(best.offers)):
            _rmdir(home.path)
            continue
        if best is not None:
            _rmdir(best.path)
        best = home
        if len(best.offers) == len(controllers) + use_freezer:
            break
    return best


def _try_v2(parent: str, path: str, controllers: Sequence[str], made: Plan, *, ours: bool, use_freezer: bool) -> Home:
    # A process is moved by whoever may write to the common ancestor of both places, so a directory of our own is not enough.
    if not os.access(f"{parent}/cgroup.procs", os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), parent)
    os.mkdir(path)
    wanted = [name for name in controllers if name in _words(f"{parent}/cgroup.controllers")]
    _enable(parent, wanted)
    missing = [name for name in wanted if name not in _words(f"{path}/cgroup.controllers")]
    if ours and missing and _make_room(parent, path):
        made.moved = parent
        _enable(parent, missing)
    _enable(path, wanted)
    offers = [name for name in _words(f"{path}/cgroup.subtree_control") if name in controllers]
    if use_freezer and os.path.exists(f"{path}/cgroup.freeze"):
        offers.append("freezer")
    return Home(2, path, offers)


def _enable(directory: str, controllers: Sequence[str]) -> None:
    """Let child groups use controllers; what the kernel refuses stays off, and is found out by looking."""
    for name in controllers:
        try:
            write(f"{directory}/cgroup.subtree_control", f"+{name}")
        except OSError:
            continue


def _room(parent: str, home: str) -> str:
    return f"{parent}/{os.path.basename(home)}.main"


def _make_room(parent: str, home: str) -> bool:
    """Move this process from `parent` to a group of its own when it is the only one there.

    A v2 group that has processes cannot give controllers to its children, and `systemd-run --scope` puts us into exactly such a group.
    """
    if procs(parent) != [os.getpid()]:
        return False
    try:
        os.mkdir(_room(parent, home))
        write(f"{_room(parent, home)}/cgroup.procs", "0")
    except OSError:
        _rmdir(_room(parent, home))
        return False
    return True


def _home_v1(there: Mounted, run: str, offers: Sequence[str], reasons: list[str]) -> Home | None:
    for parent in dict.fromkeys((there.own, there.point)):
        path = f"{parent}/{PREFIX}{run}"
        try:
            os.mkdir(path)
        except OSError as error:
            reasons.append(_why(error))
            continue
        return Home(1, path, offers)
    return None


def _why(error: OSError) -> str:
    """Why no group can be made, in one breath; where it was is of no use to a person who may not write there."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "none here is this user's to write to"
    if error.errno == errno.EROFS:
        return "they are mounted read-only here"
    return f"{error.strerror} in making one at {error.filename}"


def make(homes: Sequence[Home], name: str) -> list[str]:
    """An environment's directories, one in each home."""
    made: list[str] = []
    try:
        for home in homes:
            os.mkdir(f"{home.path}/{name}")
            made.append(f"{home.path}/{name}")
    except OSError:
        remove(made)
        raise
    return made


def attach(directories: Sequence[str], pid: int) -> None:
    """Move a process; its later children are born there.

    The first move after a pause takes 5 to 14 ms (measured on Linux 6.18): the kernel waits for an RCU grace period.
    """
    for directory in directories:
        write(f"{directory}/cgroup.procs", str(pid))


def limit(homes: Sequence[Home], name: str, *, memory: int | None, processes: int) -> None:
    """Bound an environment's memory (bytes) and number of processes and threads, as far as its homes offer it."""
    for home in homes:
        directory = f"{home.path}/{name}"
        if "pids" in home.offers:
            write(f"{directory}/pids.max", str(processes))
        if "memory" in home.offers and memory is not None:
            first, second = (
                ("memory.max", "memory.swap.max") if home.version == 2 else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            )
            write(f"{directory}/{first}", str(memory))
            if os.path.exists(f"{directory}/{second}"):  # swap is not accounted for everywhere
                write(f"{directory}/{second}", "0" if home.version == 2 else str(memory))


def procs(directory: str) -> list[int]:
    """The processes in a group; none when the group is gone. Those of other PID namespaces are left out."""
    try:
        return [int(word) for word in _words(f"{directory}/cgroup.procs") if word != "0"]
    except OSError:
        return []


def kill(directories: Sequence[str]) -> None:
    """SIGKILL every process in these groups, frozen or not, without letting any of them run on."""
    for directory in directories:
        if os.path.exists(f"{directory}/cgroup.kill"):
            _try_write(f"{directory}/cgroup.kill", "1")
    for directory in directories:
        for pid in procs(directory):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
    # The v1 freezer holds back even SIGKILL; by now every process has one waiting for it.
    for directory in directories:
        if os.path.exists(f"{directory}/freezer.state"):
            _try_write(f"{directory}/freezer.state", "THAWED")


def remove(directories: Sequence[str], patience_s: float = 0.0) -> list[str]:
    """Remove empty groups; returns those that are still there. A group stays busy until its last process is reaped."""
    left = list(directories)
    end = time.monotonic() + patience_s
    while True:
        left = [directory for directory in left if not _rmdir(directory)]
        if not left or time.monotonic() >= end:
            return left
        time.sleep(0.002)


def clear(home: str) -> list[str]:
    """Kill and remove a home with everything in it; what could not be removed."""
    try:
        children = [entry.path for entry in os.scandir(home) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    kill([*children, home])
    return [*remove(children, 1.0), *remove([home], 0.1)]


def go_back(moved: str, home: str) -> None:
    """Undo `_make_room`, for the calling process."""
    for name in _words(f"{moved}/cgroup.subtree_control"):
        _try_write(f"{moved}/cgroup.subtree_control", f"-{name}")
    _try_write(f"{moved}/cgroup.procs", "0")
    _rmdir(_room(moved, home))


def write(path: str, text: str) -> None:
    """One write to a control file. Raises OSError with the path in it: the kernel's answer is about the content as often as the file."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, f"writing {text} to {path}: {error.strerror}") from None


def _try_write(path: str, text: str) -> None:
    try:
        write(path, text)
    except OSError:
        return


def _words(path: str) -> list[str]:
    with open(path) as file:
        return file.read().split()


def _rmdir(directory: str) -> bool:
    """True when it is gone."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
