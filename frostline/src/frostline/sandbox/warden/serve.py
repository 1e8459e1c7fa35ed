"""What the head of an environment does for Frostline: start processes, signal them, say when they end, stop them where there is no freezer.

The head is process 1 of a PID namespace (`init`) or of a tree of ordinary processes (`keeper`); what differs is how all processes are
reached at once, and that is a `Tree`.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time

from . import protocol
from .spawn import Identity, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from .protocol import Message

    class Tree(Protocol):
        """All processes of the environment but its head."""

        def send(self, signum: int) -> None:
            """Signal them all."""

        def stopped(self) -> bool:
            """Whether each of them is stopped (or dead)."""

        def alive(self) -> bool:
            """Whether there is any, unreaped ones included."""


STOP_LIMIT_S = 5.0
"""How long processes may take to stop: one that waits for a dead network disk does not stop at all."""
RECHECK_MS = 1


class Head:
    """The loop. It ends when Frostline hangs up or the leash is let go of, with nothing running any more."""

    def __init__(self, sock: socket.socket, tree: Tree, identity: Identity | None, leash: int | None = None) -> None:
        self._sock = sock
        self._tree = tree
        self._identity = identity
        self._leash = leash
        self._decoder = protocol.Decoder()
        self._names: dict[int, str] = {}
        self._waiting: list[tuple[Message, list[int]]] = []
        self._killing = False
        self._stopping: tuple[int, float] | None = None
        """Number and time limit of the stop under way."""
        wake, self._wake_write = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wake_write, False)
        self._wake = wake
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        poll = select.poll()
        for fd in (self._sock.fileno(), self._wake, *(() if self._leash is None else (self._leash,))):
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in poll.poll(RECHECK_MS if self._stopping or self._killing else None):
                if fd == self._wake:
                    os.read(self._wake, 4096)
                elif fd == self._leash or not self._receive():
                    return
            self._reap()
            self._check_stop()

    def end(self) -> None:
        """Kill everything and wait for it: the last act."""
        while self._tree.alive():
            self._tree.send(signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)

    def _receive(self) -> bool:
        """Take what has arrived; False when nobody is there any more."""
        try:
            data, fds = protocol.receive(self._sock)
        except ConnectionError:
            return False
        for message, mine in self._decoder.feed(data, fds):
            self._waiting.append((message, mine))
        self._work()
        return bool(data)

    def _work(self) -> None:
        while self._waiting and not self._killing:
            message, fds = self._waiting.pop(0)
            match message["op"]:
                case "run":
                    self._run(message, fds)
                case "signal":
                    self._signal(message["process"], message["signal"])
                case "socket":
                    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
                        self._tell({"op": "socket"}, [made.fileno()])
                case "kill":
                    self._stopping = None
                    self._killing = True
                    self._tree.send(signal.SIGKILL)
                case "freeze":
                    self._tree.send(signal.SIGSTOP)
                    self._stopping = message["number"], time.monotonic() + STOP_LIMIT_S
                case "thaw":
                    self._stopping = None
                    self._tree.send(signal.SIGCONT)
                    self._tell({"op": "thawed", "number": message["number"]})

    def _run(self, message: Message, fds: list[int]) -> None:
        try:
            pid = spawn(message, fds, self._identity)
        except OSError as error:
            text = (error.strerror or str(error)).lower()
            self._tell({"op": "exited", "process": message["process"], "error": f"fork/exec {message['argv'][0]}: {text}"})
        else:
            self._names[pid] = message["process"]

    def _signal(self, process: str, signum: int) -> None:
        for pid, name in self._names.items():
            if name == process:
                try:
                    os.killpg(pid, signum)
                except OSError:  # it has just ended
                    return

    def _reap(self) -> None:
        """Collect the dead: the function's processes, and the orphans that have come to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                break
            name = self._names.pop(pid, None)
            if name is not None:
                code = os.waitstatus_to_exitcode(status)
                end = {"status": code} if code >= 0 else {"signal": -code}
                self._tell({"op": "exited", "process": name, **end})
        if self._killing:
            if self._tree.alive():
                self._tree.send(signal.SIGKILL)
            else:
                self._killing = False
                self._tell({"op": "killed"})
                self._work()

    def _check_stop(self) -> None:
        if self._stopping is None:
            return
        number, limit = self._stopping
        if self._tree.stopped():
            self._stopping = None
            self._tell({"op": "frozen", "number": number})
        elif time.monotonic() > limit:
            self._stopping = None
            self._tree.send(signal.SIGCONT)
            reason = (
                f"a process did not stop within {STOP_LIMIT_S:g} s of SIGSTOP: it waits in the kernel, for a disk or a network file system"
            )
            self._tell({"op": "freeze_failed", "number": number, "reason": reason})
        else:
            self._tree.send(signal.SIGSTOP)

    def _tell(self, message: Message, fds: Sequence[int] = ()) -> None:
        try:
            protocol.send(self._sock, message, fds)
        except ConnectionError:  # the next read finds out, and ends it
            return
