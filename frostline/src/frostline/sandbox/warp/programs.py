"""The processes of an environment, as far as their clocks are concerned."""

from __future__ import annotations

import errno
import os
import time

from .elf import EM_X86_64, Elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHIM = "/etc/frostline/warp.so"
"""Where an environment's processes see the shim."""


STAND_LIMIT_S = 2.0
"""How long a frozen thread may take to be found asleep: it needs a processor once, which others may keep busy."""


class Thread:
    """A thread that stands still: proc_pid_syscall(5)."""

    __slots__ = ("arguments", "call", "number", "place")

    def __init__(self, number: int, words: Sequence[str]) -> None:
        self.number = number
        self.call = int(words[0])
        """The system call that it is in; -1 for none."""
        self.arguments = [int(word, 16) for word in words[1:-2]]
        self.place = int(words[-1], 16)
        """Where it goes on."""


class Process:
    """A frozen process. Raises OSError when it is gone, or may not be looked into."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            self.name = file.read().rstrip("\n")
        self.shim = 0
        """Where the shim is mapped; 0 when it is not."""
        self.vdso = (0, 0)
        """Where the vDSO begins and ends."""
        with open(f"/proc/{pid}/maps", errors="replace") as file:
            for line in file:
                words = line.split(None, 5)
                path = words[5].rstrip("\n") if len(words) > 5 else ""
                if path == SHIM and not self.shim:
                    self.shim = int(words[0].partition("-")[0], 16)
                elif path == "[vdso]":
                    start, _, end = words[0].partition("-")
                    self.vdso = int(start, 16), int(end, 16)
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._memory)

    def read(self, address: int, size: int) -> bytes:
        """What is there; nothing where nothing is mapped."""
        try:
            return os.pread(self._memory, size, address)
        except (OSError, OverflowError):
            return b""

    def write(self, address: int, data: bytes) -> None:
        """Also where the process itself may not write. Raises OSError."""
        if os.pwrite(self._memory, data, address) != len(data):
            raise OSError(f"only a part could be written into the memory of process {self.pid}")

    def threads(self) -> Iterator[Thread]:
        """Each of them, as it stands. Raises OSError when one does not come to stand still."""
        for name in os.listdir(f"/proc/{self.pid}/task"):
            try:
                yield self._thread(int(name))
            except (FileNotFoundError, ProcessLookupError):  # it is dead
                continue

    def _thread(self, number: int) -> Thread:
        limit = time.monotonic() + STAND_LIMIT_S
        while True:
            with open(f"/proc/{self.pid}/task/{number}/syscall") as file:
                words = file.read().split()
            if words != ["running"]:
                return Thread(number, words)
            # The kernel counts a thread as frozen that was woken for a moment, by a thaw that was followed by a freeze at once, and has yet to get a processor
            # to find that out.
            if time.monotonic() > limit:
                raise OSError(errno.ETIMEDOUT, f"thread {number} did not come to stand still within {STAND_LIMIT_S:g} s")
            time.sleep(0.0002)

    def is_go(self) -> bool:
        """Whether the Go compiler made it: Go writes how a program was built into a section, also in stripped ones (debug/buildinfo)."""
        try:
            with open(f"/proc/{self.pid}/exe", "rb") as file:
                return Elf(file).has_section(b".go.buildinfo")
        except (OSError, ValueError):
            return False

    def why_without_shim(self) -> str:
        """Why the shim is not in it, in words."""
        try:
            with open(f"/proc/{self.pid}/exe", "rb") as file:
                program = Elf(file)
                interpreter = program.interpreter()
        except OSError:
            return "its program cannot be read"
        except ValueError:
            return "it is not a 64-bit program"
        if program.machine != EM_X86_64:
            return "it is made for another processor"
        if interpreter is None:
            return "it is statically linked, and not a Go program"
        if "musl" in interpreter:
            return "it uses musl; clocks are moved in programs that use glibc"
        return f"its dynamic loader, {interpreter}, did not load {SHIM} into it"
