"""The shim, compiled on the machine that it runs on: once for each version of it and of libc, into the user's cache."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O2", "-std=gnu11", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-delete-null-pointer-checks")
MACHINES = ("x86_64",)
"""Where environments can be warped. The shim compiles on aarch64, too, but waits that are under way cannot be ended there yet."""

COMPILE_LIMIT_S = 60.0


class NoWarpError(Exception):
    """Clocks cannot be moved on this machine. The text says what is missing, and what it would take."""


def shim(cache: Path | None = None) -> Path:
    """The compiled shim, made now if it is not there. Safe against others who make it at the same time. Raises NoWarpError."""
    library = _libc()
    target = (cache or _cache()) / f"{_key(library)}.so"
    if target.is_file():
        return target
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise NoWarpError(
            "clocks cannot be moved: the time warp's library has to be compiled once, and there is no C compiler (looked for cc, gcc and clang on "
            "PATH); on Debian and Ubuntu: sudo apt-get install gcc libc6-dev"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as directory:
            made = Path(directory) / target.name
            _compile(compiler, made)
            made.chmod(0o755)
            made.rename(target)
    except OSError as error:
        raise NoWarpError(
            f"clocks cannot be moved: {target.parent}, where the time warp's library is kept, cannot be written to ({error.strerror}); "
            "set XDG_CACHE_HOME to a writable directory"
        ) from None
    return target


def _libc() -> str:
    """The C library that programs use here, `glibc 2.36`. Raises NoWarpError where it is another kind, or the machine is."""
    if sys.platform != "linux":
        raise NoWarpError(f"clocks cannot be moved: the time warp is made for Linux, and this is {sys.platform}")
    if platform.machine() not in MACHINES:
        raise NoWarpError(f"clocks cannot be moved: the time warp is made for {' and '.join(MACHINES)}, and this is {platform.machine()}")
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "glibc"
    except ValueError:
        raise NoWarpError(
            "clocks cannot be moved: the time warp is made for glibc, and this system has another C library (Alpine's is musl); "
            "a Debian, Ubuntu or Fedora has glibc"
        ) from None


def _key(library: str) -> str:
    content = SOURCE.read_bytes() + " ".join((*FLAGS, library, platform.machine())).encode()
    return f"warp-{hashlib.sha256(content).hexdigest()[:16]}"


def _compile(compiler: str, target: Path) -> None:
    command = [compiler, *FLAGS, "-o", str(target), str(SOURCE), "-ldl"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=COMPILE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise NoWarpError(f"clocks cannot be moved: {compiler} did not compile {SOURCE} within {COMPILE_LIMIT_S:g} s") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines() or ["it said nothing"]
        hint = "; the C library's headers are missing (on Debian and Ubuntu: sudo apt-get install libc6-dev)" if ".h:" in lines[0] else ""
        raise NoWarpError(f"clocks cannot be moved: {compiler} could not compile {SOURCE}: {lines[0].strip()}{hint}")


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "frostline" / "warp"
