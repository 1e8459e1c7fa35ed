"""The warden's loop. See the package's docstring for what it is for.

Started by `frostline.sandbox.guard` with its end of the line to Frostline, and with the run directory's lock, which it only holds. Requests
are answered in order; a request names its answer. Whatever happens to Frostline, the line then ends, and so does this.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time

from .. import cgroups
from . import helpers, keeper, proc, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cage import Cage
    from .protocol import Message
    from .sources import Sources, Trees

SPARE_AFTER_MS = 25
"""A spare is made when nothing was asked for this long: made at once, it would slow down the environment that has just been asked for."""

LAST_WAIT_S = 5.0
"""How long the end waits for killed processes. One that hangs in the kernel for longer is left to the kernel."""


class Child:
    """A child process that stands for an environment."""

    __slots__ = ("clock", "copies", "directories", "dying", "leash", "pid")

    def __init__(self, pid: int, directories: Sequence[str], copies: str, leash: int | None = None) -> None:
        self.pid = pid
        """0 once it is dead and reaped."""
        self.directories = list(directories)
        self.copies = copies
        """A directory to remove with it, which may not exist."""
        self.leash = leash
        """For a keeper: closing it ends the environment."""
        self.dying = False
        """Frostline asked for its end."""
        self.clock = ""
        """Its clock file, if its clocks can be moved."""


class Warden:
    """All environments of one run of Frostline."""

    def __init__(self, line: socket.socket, run: str) -> None:
        self._line = line
        self._run = run
        self._decoder = protocol.Decoder()
        self._homes: list[cgroups.Home] = []
        self._moved: str | None = None
        self._mapped: bool | None = None
        """None while no namespaces were asked for."""
        self._sources: Sources | None = None
        self._children: dict[str, Child] = {}
        self._spare: Cage | None = None
        self._spares_wanted = False
        self._made = 0
        self._helpers: dict[int, int] = {}
        self._wake, wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until Frostline says `close` or is gone; then nothing is left."""
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        try:
            open_line = True
            while open_line:
                ready = dict(poll.poll(SPARE_AFTER_MS if self._wants_spare() else None))
                if not ready:
                    self._make_spare()
                if self._wake in ready:
                    os.read(self._wake, 4096)
                    self._reap()
                if self._line.fileno() in ready:
                    open_line = self._receive()
        finally:
            self._end()

    def _receive(self) -> bool:
        try:
            data, fds = protocol.receive(self._line)
        except ConnectionError:
            return False
        for message, mine in self._decoder.feed(data, fds):
            if message["op"] == "close":
                return False
            try:
                self._handle(message, mine)
            finally:
                for fd in mine:
                    os.close(fd)
        return bool(data)

    def _handle(self, message: Message, fds: list[int]) -> None:
        match message["op"]:
            case "open":
                self._homes = [cgroups.Home.from_json(home) for home in message["homes"]]
                self._moved = message["moved"]
                self._open(message["cage"])
            case "etc":
                self._write_etc(message["name"], message["text"])
            case "shim":
                self._set_shim(message["path"])
            case "start":
                self._start(message)
            case "keep":
                self._keep(message)
            case "warp":
                self._warp(message["environment"], message["gap_ns"])
            case "destroy":
                self._destroy(message["environment"])
            case "helper":
                self._helper(message, fds)

    def _open(self, kind: str) -> None:
        if kind == "namespaces":
            try:
                from . import cage, sources

                self._mapped = cage.settle(f"{self._run}/base")
                idmaps = None if self._mapped else cage.Idmaps()
                self._sources = sources.Sources(idmaps, overlay=cage.can_overlay(f"{self._run}/stage"))
            except OSError as error:
                self._tell({"op": "refused", "reason": error.strerror or str(error)})
                return
        elif sys.platform == "linux":
            from . import syscalls

            # If a keeper is killed, its processes come to us.
            syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        self._tell({"op": "opened", "mapped": self._mapped})

    def _write_etc(self, name: str, text: str) -> None:
        """A file that every environment has in /etc, from now on; also those that are there."""
        from .mounts import write_file

        write_file(f"{self._run}/base/etc/{name}", text.encode())

    def _set_shim(self, path: str) -> None:
        """What every program loads first, from now on (see ../warp)."""
        from . import mounts

        mounts.preload(f"{self._run}/base/etc", path)
        os.mkdir(f"{self._run}/clocks")

    # Environments ------------------------------------------------------------------------------------------------------------------------

    def _wants_spare(self) -> bool:
        return self._spares_wanted and self._spare is None

    def _make_spare(self) -> None:
        try:
            self._spare = self._make_cage()
        except OSError:  # whoever needs the next one is told why
            self._spares_wanted = False

    def _make_cage(self) -> Cage:
        from . import cage

        self._made += 1
        return cage.make(f"e{self._made}", self._homes, f"{self._run}/stage", f"{self._run}/base", mapped=bool(self._mapped))

    def _start(self, message: Message) -> None:
        environment = message["environment"]
        try:
            cage = self._spare or self._make_cage()
        except OSError as error:
            self._refuse(environment, f"no namespaces for it: {error.strerror or error}")
            return
        self._spare = None
        self._spares_wanted = True
        child = self._children[environment] = Child(cage.pid, cage.directories, f"{self._run}/copies/{cage.name}")
        fds: list[int] = []
        try:
            cgroups.limit(self._homes, cage.name, memory=message["memory"], processes=message["processes"] + 1)
            if message["warps"]:
                from ..warp import clockfile

                child.clock = message["clock"] = f"{self._run}/clocks/{cage.name}"
                clockfile.make(child.clock)
            message["trees"], fds = self._gather(message, child.copies)
            protocol.send(cage.sock, message, fds)
        except (OSError, ValueError) as error:
            self._refuse(environment, str(error.strerror if isinstance(error, OSError) else error))
        else:
            self._tell({"op": "cloned", "environment": environment, "pid": cage.pid, "directories": cage.directories}, [cage.sock.fileno()])
        finally:
            cage.sock.close()
            for fd in fds:
                os.close(fd)

    def _gather(self, message: Message, copies: str) -> tuple[Trees, list[int]]:
        assert self._sources is not None
        return self._sources.gather(message, copies)

    def _refuse(self, environment: str, reason: str) -> None:
        self._tell({"op": "start_failed", "environment": environment, "reason": reason})

    def _warp(self, environment: str, gap_ns: int) -> None:
        from ..warp import move

        child = self._children.get(environment)
        if child is None or not child.pid:
            return  # it is gone, and Frostline is told so
        pids = cgroups.procs(child.directories[0]) if child.directories else [entry.pid for entry in proc.below(child.pid)]
        answer = move.in_child([pid for pid in pids if pid != child.pid], child.clock, gap_ns)
        self._tell({"op": "warped", "environment": environment, **answer})

    def _keep(self, message: Message) -> None:
        """Start an environment without namespaces."""
        ours, theirs = socket.socketpair()
        held, leash = os.pipe()
        pid = os.fork()
        if pid == 0:
            keeper.run(theirs.fileno(), held, message)
        theirs.close()
        os.close(held)
        self._children[message["environment"]] = Child(pid, [], message["home"], leash)
        self._tell({"op": "cloned", "environment": message["environment"], "pid": pid, "directories": []}, [ours.fileno()])
        ours.close()

    def _destroy(self, environment: str) -> None:
        child = self._children.get(environment)
        if child is None:
            self._tell({"op": "gone", "environment": environment})
            return
        child.dying = True
        self._kill(child)
        if child.pid == 0:
            self._bury(environment, child)

    def _kill(self, child: Child) -> None:
        if child.leash is not None:
            os.close(child.leash)
            child.leash = None
        elif child.pid:
            # The namespace's first process takes the others with it. It comes first, so that none sees another die.
            os.kill(child.pid, signal.SIGKILL)
            cgroups.kill(child.directories)

    def _bury(self, environment: str, child: Child) -> None:
        del self._children[environment]
        cgroups.remove(child.directories, 0.5)
        _remove_tree(child.copies)
        if child.clock:
            os.unlink(child.clock)
        self._tell({"op": "gone", "environment": environment})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (helper := self._helpers.pop(pid, None)) is not None:
                self._tell({"op": "helper_exited", "id": helper, "status": os.waitstatus_to_exitcode(status)})
            elif self._spare is not None and self._spare.pid == pid:
                self._spare.sock.close()
                cgroups.remove(self._spare.directories, 0.1)
                self._spare, self._spares_wanted = None, False
            else:
                self._reaped(pid)

    def _reaped(self, pid: int) -> None:
        for environment, child in list(self._children.items()):
            if child.pid == pid:
                child.pid = 0
                if child.leash is not None:
                    self._kill_orphans()
                if child.dying:
                    self._bury(environment, child)
                return

    def _kill_orphans(self) -> None:
        """A keeper died of something else than us: what it kept is ours now."""
        mine = {child.pid for child in self._children.values()} | self._helpers.keys()
        for entry in list(proc.table()):
            if entry.parent == os.getpid() and entry.pid not in mine:
                os.kill(entry.pid, signal.SIGKILL)

    # For the lab -------------------------------------------------------------------------------------------------------------------------

    def _helper(self, message: Message, fds: list[int]) -> None:
        try:
            pid = helpers.start(message, fds)
        except OSError as error:
            self._tell({"op": "helper_failed", "id": message["id"], "reason": error.strerror or str(error)})
        else:
            self._helpers[pid] = message["id"]
            self._tell({"op": "helper_started", "id": message["id"], "pid": pid})

    def _tell(self, message: Message, fds: Sequence[int] = ()) -> None:
        try:
            protocol.send(self._line, message, fds)
        except ConnectionError:  # the next read finds out, and ends it
            return

    # The end -----------------------------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._spare is not None:
            self._children["(spare)"] = Child(self._spare.pid, self._spare.directories, "")
        for child in self._children.values():
            self._kill(child)
        for pid in self._helpers:
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + LAST_WAIT_S
        while time.monotonic() < end:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.001)
            except ChildProcessError:
                break
        for home in self._homes:
            cgroups.clear(home.path)
        if self._moved is not None and self._homes:
            cgroups.go_back(self._moved, self._homes[0].path)
        self._remove_run()

    def _remove_run(self) -> None:
        if self._mapped is not None:
            from . import syscalls as sc

            sc.umount2(f"{self._run}/base", sc.MNT_DETACH)
        _remove_tree(self._run)
        with contextlib.suppress(OSError):  # another run is there
            os.rmdir(os.path.dirname(self._run))


def _remove_tree(path: str) -> None:
    if path and os.path.isdir(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """Entry point; the arguments are the run directory and the descriptor of the line to Frostline."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    line = socket.socket(fileno=int(sys.argv[2]))
    line.set_inheritable(False)
    Warden(line, sys.argv[1]).serve()


if __name__ == "__main__":
    main()
