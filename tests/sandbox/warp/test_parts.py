"""The parts of the time warp that need no sandbox: the clock file, ELF, the detour in the vDSO, the compiled library."""

from __future__ import annotations

import ctypes
import errno
import io
import mmap
import platform
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.sandbox.warp import build, clockfile, vdso
from frostline.sandbox.warp.elf import Elf

pytestmark = pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="clocks are moved on Linux, on x86-64")

GAP_NS = 6 * 3600 * 10**9 + 999_999_999


@given(gaps=st.lists(st.integers(1, 10**16), max_size=5))
def test_a_clock_file_adds_up_what_it_was_moved_by(tmp_path_factory: pytest.TempPathFactory, gaps: list[int]) -> None:
    path = str(tmp_path_factory.mktemp("clock") / "clock")
    clockfile.make(path)
    for gap in gaps:
        clockfile.move(path, gap)
    assert clockfile.read(path) == (len(gaps), sum(gaps))


def _vdso() -> bytes:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("[vdso]"):
            start, end = (int(word, 16) for word in line.split()[0].split("-"))
            return ctypes.string_at(start, end - start)
    raise AssertionError("no vDSO")


def test_elf_of_the_vdso() -> None:
    elf = Elf(io.BytesIO(_vdso()))
    symbol = elf.symbol(vdso.FUNCTION)
    assert symbol is not None and 0 < symbol[0] < elf.end <= len(_vdso())
    assert elf.symbol(b"no_such_function") is None
    assert elf.interpreter() is None and elf.has_section(b".dynsym") and not elf.has_section(b".go.buildinfo")


@given(damage=st.lists(st.tuples(st.integers(0, 0x2000), st.binary(min_size=1, max_size=8)), max_size=8), length=st.integers(0, 0x2000))
def test_a_damaged_elf_file_is_refused_and_nothing_worse(damage: list[tuple[int, bytes]], length: int) -> None:
    image = bytearray(_vdso())
    for place, data in damage:
        image[place : place + len(data)] = data
    try:
        elf = Elf(io.BytesIO(bytes(image[:length])))
        elf.symbol(vdso.FUNCTION)
        elf.has_section(b".go.buildinfo")
        elf.interpreter()
    except ValueError:
        return


# push rbp; mov rbp, rsp; push r14; then the kernel's own clock_gettime and the way back.
WITH_PROLOGUE = b"\x55\x48\x89\xe5\x41\x56" + b"\xb8\xe4\x00\x00\x00\x0f\x05" + b"\x41\x5e\x5d\xc3"
# endbr64; mov eax, 228; syscall; ret: `mov eax` is not known to be movable, although it is.
WITHOUT = b"\xf3\x0f\x1e\xfa" + b"\xb8\xe4\x00\x00\x00\x0f\x05\xc3"

ClockGettime = Callable[[int, "ctypes.Array[ctypes.c_int64]"], int]


def _machine_clock(clock: int) -> int | None:
    try:
        return time.clock_gettime_ns(clock)
    except OSError:  # there is no such clock, or not on this machine
        return None


@pytest.mark.parametrize("function", [WITH_PROLOGUE, WITHOUT], ids=["moved", "asked-anew"])
def test_a_detour_adds_its_offset_to_clocks_and_to_nothing_else(function: bytes) -> None:
    entry, head = 64, 512
    image = bytes(entry) + function + bytes(head - entry - len(function))
    code = vdso.detour(image, entry, head + 16, head)
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[: len(image)] = image
    call: ClockGettime = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64 * 2)(start + entry)
    result = (ctypes.c_int64 * 2)()
    assert call(time.CLOCK_MONOTONIC, result) == 0
    before = result[0] * 10**9 + result[1]

    memory[head : head + 16 + len(code)] = struct.pack("<QQ", 0, GAP_NS) + code
    memory[entry : entry + 5] = struct.pack("<Bi", 0xE9, head + 16 - (entry + 5))
    for clock in (*range(12), 16, -6):
        result[:] = [0, 0]
        status = call(clock, result)
        machine = _machine_clock(clock)
        if machine is None:
            assert status == -errno.EINVAL and result[:] == [0, 0]
            continue
        assert status == 0 and 0 <= result[1] < 10**9
        moved = result[0] * 10**9 + result[1] - machine
        assert moved == pytest.approx(GAP_NS if clock in (0, 1, 4, 5, 6, 7, 8, 9, 11) else 0, abs=10**9)
    assert call(time.CLOCK_MONOTONIC, result) == 0
    assert result[0] * 10**9 + result[1] - GAP_NS >= before


def test_the_library_compiles_without_a_warning(tmp_path: Path) -> None:
    command = ["cc", *build.FLAGS, "-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror", "-o", str(tmp_path / "warp.so")]
    compiled = subprocess.run([*command, str(build.SOURCE), "-ldl"], capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr


def test_the_library_is_compiled_once(tmp_path: Path) -> None:
    made = build.shim(tmp_path)
    written = made.stat().st_mtime_ns
    assert build.shim(tmp_path) == made and made.stat().st_mtime_ns == written
    assert list(tmp_path.iterdir()) == [made]


def test_programs_work_with_the_library_where_there_is_no_clock_file(tmp_path: Path) -> None:
    script = "import time, threading; t = time.monotonic(); threading.Event().wait(0.05); print(time.monotonic() - t >= 0.05, abs(time.time() - {}) < 30)"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", script.format(time.time())],
        env={"LD_PRELOAD": str(build.shim(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("True True\n", "")


def _compiler(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'shim.c:18:10: fatal error: dlfcn.h: No such file or directory' >&2; exit 1", "sudo apt-get install libc6-dev"),
        ("echo 'ld: error: out of luck' >&2; exit 1", "out of luck"),
        ("exit 3", "it said nothing"),
    ],
)
def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    monkeypatch.setattr(build, "COMPILERS", (_compiler(tmp_path / "cc", script),))
    with pytest.raises(build.NoWarpError, match="clocks cannot be moved") as caught:
        build.shim(tmp_path / "cache")
    assert said in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(build.NoWarpError, match="XDG_CACHE_HOME"):
        build.shim(tmp_path / "file" / "cache")


def test_other_machines_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(build.NoWarpError, match="this is riscv64"):
        build.shim(tmp_path)
