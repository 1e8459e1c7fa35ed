"""Reads from /proc what a server and its descendants cost."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def descendants(ancestor: int) -> list[int]:
    """The processes below one process, without itself."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # pid (name, which may hold anything) state ppid
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children[int(fields[1])].append(int(entry.name))
    found: list[int] = []
    ahead = [ancestor]
    while ahead:
        below = children[ahead.pop()]
        found += below
        ahead += below
    return found


def runs_a_function(pid: int) -> bool:
    """Whether a process is one of a function's: only those have Lambda's variables."""
    try:
        return b"AWS_LAMBDA_FUNCTION_NAME=" in (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False


def memory_bytes(pids: list[int]) -> int:
    """What these processes hold together: a page that several share is counted once (PSS). Resident pages where that cannot be read."""
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            try:
                pss = re.search(r"^Pss:\s+(\d+) kB", (PROC / str(pid) / "smaps_rollup").read_text(), re.MULTILINE)
                total += int(pss[1]) * 1024 if pss else 0
            except PermissionError:
                total += int((PROC / str(pid) / "statm").read_text().split()[1]) * 4096
    return total


def cpu_seconds(pids: list[int]) -> float:
    """The processor time that these processes have used so far, all threads, to the nanosecond."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                with suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def available_bytes() -> int:
    """The memory that the whole machine could still give away: its change has the kernel's part in it, and whatever else goes on."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", (PROC / "meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
