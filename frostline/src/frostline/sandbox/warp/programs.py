"""The processes of an environment, as far as their clocks are concerned."""

from __future__ import annotations

import os

from .elf import EM_X86_64, Elf

SHIM = "/etc/frostline/warp.so"
"""Where an environment's processes see the shim."""


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

    def places(self) -> list[int]:
        """Where each of its threads goes on."""
        found = []
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{thread}/syscall") as file:
                    found.append(int(file.read().split()[-1], 16))
            except (FileNotFoundError, ProcessLookupError, ValueError):
                continue
        return found

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
