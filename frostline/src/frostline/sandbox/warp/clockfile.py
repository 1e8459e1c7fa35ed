"""The clock file: how far an environment's clocks are ahead of the machine's. Its processes map it read-only (`struct clock_file` in shim.c).

Written while they are frozen only. The offset is one number all the same, because a process may be frozen between reading two.
"""

from __future__ import annotations

import os
import struct

PATH = "/etc/frostline/clock"
"""Where an environment's processes see it."""

_LAYOUT = struct.Struct("<QQq")
_MAGIC = 0x4B434F4C43545346


def make(path: str) -> None:
    """A new one that everybody may read; the clocks are the machine's."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, _LAYOUT.pack(_MAGIC, 0, 0))
    finally:
        os.close(fd)


def read(path: str) -> tuple[int, int]:
    """How often the clocks were moved, and how far they are ahead, in nanoseconds. Raises OSError."""
    with open(path, "rb") as file:
        _, generation, ahead = _LAYOUT.unpack(file.read(_LAYOUT.size))
    return generation, ahead


def move(path: str, gap_ns: int) -> None:
    """Move the clocks on. Raises OSError."""
    generation, ahead = read(path)
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, _LAYOUT.pack(_MAGIC, generation + 1, ahead + gap_ns))
    finally:
        os.close(fd)
