"""Stopping and continuing all processes of an environment.

Writing to `cgroup.freeze` is a request; `frozen 1` in `cgroup.events` is the fact, and only the fact is reported. Measured for an idle
process from the one to the other: 0.1 ms, and 0.2 ms for the way back (more when all CPUs are busy).
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from .channel import Channel
from .warden.protocol import Message

FREEZE_LIMIT_S = 5.0
"""A process that waits in the kernel for a dead disk never freezes; after this long the freeze is called off and said to have failed."""

V1_POLL_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01)
"""How long to wait before each look at v1's `freezer.state`, which nobody announces; the last one repeats."""


class Answers(Struct, frozen=True):
    """Whom a freezer tells, always from the event loop and never from within `freeze` or `thaw`."""

    frozen: Callable[[], None]
    failed: Callable[[str], None]
    thawed: Callable[[], None]


class Freezer(Protocol):
    """One environment's. A `thaw` calls off a `freeze` that is under way, whose answer then never comes."""

    def freeze(self) -> None:
        """Ask for it. Answer: `frozen` or `failed`; after `failed` the environment runs."""

    def thaw(self) -> None:
        """Ask for it. Answer: `thawed`."""

    def release(self) -> None:
        """Everything in it has been killed: what starts next runs. No answer, to this or to anything before."""

    def close(self) -> None:
        """Forget it: no answer comes any more."""


class KernelEvents:
    """Tells when files of the kernel change that say so with POLLPRI: `cgroup.events`, `memory.events`.

    Such a file always counts as readable, so an event loop that watches for that would spin. Here a private epoll watches for POLLPRI
    alone, and the loop watches the epoll.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}
        self._loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, fd: int, changed: Callable[[], None], kind: int = select.EPOLLPRI) -> None:
        """Call `changed` at each change from now on; it has to read the file, or the next change is not told."""
        self._watched[fd] = changed
        self._epoll.register(fd, kind | select.EPOLLET)

    def forget(self, fd: int) -> None:
        """To be called before `fd` is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _ready(self) -> None:
        for fd, _ in self._epoll.poll(0, 64):
            if (changed := self._watched.get(fd)) is not None:
                changed()


class _Pending:
    """What was asked for last and is not answered yet, with the time limit of a freeze."""

    def __init__(self, answers: Answers) -> None:
        self.loop = asyncio.get_running_loop()
        self.answers = answers
        self.asked: Literal["freeze", "thaw"] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, what: Literal["freeze", "thaw"], late: Callable[[], None] | None = None) -> None:
        self.settle()
        self.asked = what
        if late is not None:
            self._timer = self.loop.call_later(FREEZE_LIMIT_S, late)

    def settle(self) -> None:
        self.asked = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class CgroupV2Freezer:
    """`cgroup.freeze` and `cgroup.events`, both kept open."""

    def __init__(self, directory: str, events: KernelEvents, answers: Answers) -> None:
        """Raises OSError."""
        self._pending = _Pending(answers)
        self._events = events
        self._directory = directory
        self._freeze_fd = os.open(f"{directory}/cgroup.freeze", os.O_WRONLY)
        self._events_fd = os.open(f"{directory}/cgroup.events", os.O_RDONLY)
        events.watch(self._events_fd, self._look)

    def freeze(self) -> None:
        self._pending.ask("freeze", self._late)
        os.write(self._freeze_fd, b"1")
        self._pending.loop.call_soon(self._look)

    def thaw(self) -> None:
        # A thaw cannot fail: when the write returns, every process is runnable. Waiting until the kernel counted them all (`frozen 0`) would only
        # make the invocation that waits later, by 0.1 ms at the median.
        self._pending.ask("thaw")
        os.write(self._freeze_fd, b"0")
        self._pending.loop.call_soon(self._runnable)

    def release(self) -> None:
        self._pending.settle()
        os.write(self._freeze_fd, b"0")

    def close(self) -> None:
        if self._freeze_fd >= 0:
            self._pending.settle()
            self._events.forget(self._events_fd)
            os.close(self._freeze_fd)
            os.close(self._events_fd)
            self._freeze_fd = self._events_fd = -1

    def _runnable(self) -> None:
        if self._events_fd >= 0 and self._pending.asked == "thaw":
            self._pending.settle()
            self._pending.answers.thawed()

    def _look(self) -> None:
        if self._events_fd < 0:
            return
        try:
            frozen = b"frozen 1" in os.pread(self._events_fd, 256, 0)
        except OSError:  # the group is being removed
            return
        if frozen and self._pending.asked == "freeze":
            self._pending.settle()
            self._pending.answers.frozen()

    def _late(self) -> None:
        os.write(self._freeze_fd, b"0")
        self._pending.settle()
        self._pending.answers.failed(_stuck(self._directory))


class CgroupV1Freezer:
    """`freezer.state`, which has to be asked until it says FROZEN."""

    def __init__(self, directory: str, answers: Answers) -> None:
        """Raises OSError."""
        self._pending = _Pending(answers)
        self._directory = directory
        self._fd = os.open(f"{directory}/freezer.state", os.O_RDWR)
        self._looks = 0

    def freeze(self) -> None:
        self._pending.ask("freeze", self._late)
        os.pwrite(self._fd, b"FROZEN", 0)
        self._looks = 0
        self._pending.loop.call_soon(self._look)

    def thaw(self) -> None:
        self._pending.ask("thaw")
        os.pwrite(self._fd, b"THAWED", 0)
        self._pending.loop.call_soon(self._look)

    def release(self) -> None:
        self._pending.settle()
        os.pwrite(self._fd, b"THAWED", 0)

    def close(self) -> None:
        if self._fd >= 0:
            self._pending.settle()
            os.close(self._fd)
            self._fd = -1

    def _look(self) -> None:
        if self._fd < 0 or self._pending.asked is None:
            return
        try:
            state = os.pread(self._fd, 32, 0).strip()
        except OSError:  # the group is being removed
            return
        match self._pending.asked:
            case "freeze" if state == b"FROZEN":
                self._pending.settle()
                self._pending.answers.frozen()
            case "thaw" if state == b"THAWED":
                self._pending.settle()
                self._pending.answers.thawed()
            case asked:
                # A process that went to sleep in vfork just after it was asked is not frozen until it is asked again (seen on Linux 6.18).
                if asked == "freeze" and self._looks:
                    os.pwrite(self._fd, b"FROZEN", 0)
                self._pending.loop.call_later(V1_POLL_S[min(self._looks, len(V1_POLL_S) - 1)], self._look)
                self._looks += 1

    def _late(self) -> None:
        os.pwrite(self._fd, b"THAWED", 0)
        self._pending.settle()
        self._pending.answers.failed(_stuck(self._directory))


class SignalFreezer:
    """SIGSTOP and SIGCONT, sent by the environment's head, which is not stopped itself and checks what came of it."""

    def __init__(self, head: Channel, answers: Answers) -> None:
        self._pending = _Pending(answers)
        self._head = head
        self._number = 0

    def freeze(self) -> None:
        self._ask("freeze")

    def thaw(self) -> None:
        self._ask("thaw")

    def release(self) -> None:
        self._pending.settle()

    def close(self) -> None:
        self._pending.settle()

    def answered(self, message: Message) -> None:
        """The head's `frozen`, `freeze_failed` or `thawed`. An answer to what was called off meanwhile carries an old number."""
        if message["number"] != self._number or self._pending.asked is None:
            return
        self._pending.settle()
        match message["op"]:
            case "frozen":
                self._pending.answers.frozen()
            case "freeze_failed":
                self._pending.answers.failed(message["reason"])
            case "thawed":
                self._pending.answers.thawed()

    def _ask(self, what: Literal["freeze", "thaw"]) -> None:
        self._pending.ask(what)
        self._number += 1
        self._head.send({"op": what, "number": self._number})


class NoFreezer:
    """Freezing is off: every answer is yes, and nothing is stopped. For comparison, and chosen only when asked for."""

    def __init__(self, answers: Answers) -> None:
        self._pending = _Pending(answers)

    def freeze(self) -> None:
        self._ask("freeze", self._pending.answers.frozen)

    def thaw(self) -> None:
        self._ask("thaw", self._pending.answers.thawed)

    def release(self) -> None:
        self._pending.settle()

    def close(self) -> None:
        self._pending.settle()

    def _ask(self, what: Literal["freeze", "thaw"], answer: Callable[[], None]) -> None:
        self._pending.ask(what)

        def say() -> None:
            if self._pending.asked == what:
                self._pending.settle()
                answer()

        self._pending.loop.call_soon(say)


def _stuck(directory: str) -> str:
    """Why a freeze did not come about, with the processes that still run."""
    running: list[str] = []
    try:
        with open(f"{directory}/cgroup.procs") as file:
            pids = file.read().split()
        for pid in pids:
            with open(f"/proc/{pid}/stat") as stat:
                name, _, rest = stat.read().partition("(")[2].rpartition(") ")
            if rest[0] == "D":
                running.append(f"{name} (pid {pid})")
    except OSError:
        pass
    which = f": {', '.join(running)} waits in the kernel for a disk or a network file system" if running else ""
    return f"not every process stood still within {FREEZE_LIMIT_S:g} s{which}"
