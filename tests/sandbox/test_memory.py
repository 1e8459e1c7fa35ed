"""Holding processes to their limit by cgroup v2's files, which are played here by ordinary ones; v1's are in test_namespaces, for real."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from frostline.sandbox.freezer import KernelEvents
from frostline.sandbox.memory import LEAST_STEP, MIB, CgroupGauge

LIMIT = 64 * MIB
HEAD = 1 << 23
"""A process that cannot be: the kernel numbers them up to 1 << 22."""


class PlayedEvents(KernelEvents):
    """Changes are told by the test."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None

    def watch(self, fd: int, changed: Callable[[], None], kind: int = 0) -> None:
        del fd, kind
        self.changed = changed

    def forget(self, fd: int) -> None:
        del fd
        self.changed = lambda: None


@pytest.fixture
def group(tmp_path: Path) -> Path:
    for name, text in {
        "memory.current": "0\n",
        "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
        "memory.stat": "anon 0\nfile 0\n",
        "memory.peak": "1048577\n",
        "memory.high": "max\n",
        "cgroup.procs": "",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def use(group: Path, events: PlayedEvents, *, usage: int, files: int) -> None:
    (group / "memory.current").write_text(f"{usage}\n")
    (group / "memory.stat").write_text(f"anon {usage - files}\nfile {files}\n")
    events.changed()


def high(group: Path) -> int:
    return int((group / "memory.high").read_text().split()[0])


async def test_files_raise_the_level_and_processes_do_not(group: Path) -> None:
    events = PlayedEvents()
    gauge = CgroupGauge(str(group), 2, head=HEAD, limit=LIMIT, events=events)
    assert high(group) == LIMIT
    (group / "memory.high").write_text("")
    use(group, events, usage=LIMIT + 4096, files=40 * MIB)
    assert high(group) == LIMIT + 4096 + 40 * MIB - 4096
    (group / "memory.high").write_text("")
    gauge.reset()
    assert high(group) == LIMIT
    gauge.close()


@pytest.fixture
def two_processes() -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """A small one and a large one, both up."""
    command = [sys.executable, "-c", "import sys, time; x = bytearray(int(sys.argv[1])); print(flush=True); time.sleep(1000)"]
    small, large = (subprocess.Popen([*command, size], stdout=subprocess.PIPE) for size in ("1", str(32 * MIB)))
    with small, large:
        for process in (small, large):
            assert process.stdout is not None
            process.stdout.readline()
        yield small, large
        for process in (small, large):
            process.kill()


async def test_processes_over_the_limit_lose_the_largest_of_them(
    group: Path, two_processes: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]
) -> None:
    small, large = two_processes
    (group / "cgroup.procs").write_text(f"{HEAD}\n{small.pid}\n{large.pid}\n")
    events = PlayedEvents()
    gauge = CgroupGauge(str(group), 2, head=HEAD, limit=LIMIT, events=events)
    assert not gauge.ran_out()
    use(group, events, usage=LIMIT + 8 * MIB, files=8 * MIB)
    assert large.wait(10) == -signal.SIGKILL and small.poll() is None
    assert gauge.ran_out() and not gauge.ran_out()
    gauge.close()


async def test_the_kernels_own_kills_count(group: Path) -> None:
    events = PlayedEvents()
    gauge = CgroupGauge(str(group), 2, head=HEAD, limit=LIMIT, events=events)
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 0\noom 1\noom_kill 1\n")
    assert gauge.ran_out() and not gauge.ran_out()
    gauge.close()


async def test_the_peak_is_rounded_up_and_never_above_the_limit(group: Path) -> None:
    gauge = CgroupGauge(str(group), 2, head=HEAD, limit=LIMIT, events=PlayedEvents())
    assert gauge.peak_mb() == 2
    (group / "memory.peak").write_text(f"{LIMIT * 2}\n")
    gauge._asked_at = asyncio.get_running_loop().time() + 1000
    assert gauge.peak_mb() == 2, "asked again within 100 ms"
    gauge._asked_at = 0
    assert gauge.peak_mb() == 64
    gauge.close()
    assert LEAST_STEP < LIMIT
