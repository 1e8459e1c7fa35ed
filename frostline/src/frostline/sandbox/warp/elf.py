"""As much of ELF (elf(5), 64 bits, little-endian) as it takes to tell programs apart and to find a function in a library's image."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_IDENT = 16
_HEADER = struct.Struct("<HHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")

PT_LOAD, PT_INTERP = 1, 3
SHT_DYNSYM = 11
EM_X86_64 = 62

LARGEST = 1 << 24
"""Bytes of anything that is read in one piece."""


class Elf:
    """An ELF file or image. Its methods raise ValueError where it is cut off or makes no sense."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises ValueError for what is no 64-bit little-endian ELF file."""
        self._file = file
        if self._bytes(0, _IDENT)[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit ELF file")
        fields = self._unpack(_HEADER, _IDENT)
        self.machine: int = fields[1]
        self._segments_at, self._sections_at = fields[4], fields[5]
        self._segment_count, self._section_count, self._names_index = fields[9], fields[11], fields[12]

    @property
    def end(self) -> int:
        """Where the section headers end: in an image made by the kernel's build, the end of everything."""
        return int(self._sections_at + self._section_count * _SECTION.size)

    def interpreter(self) -> str | None:
        """The dynamic loader that the program asks for; None when it is statically linked."""
        for kind, _, offset, _, _, size, _, _ in self._segments():
            if kind == PT_INTERP:
                return self._bytes(offset, size).rstrip(b"\0").decode(errors="replace")
        return None

    def has_section(self, name: bytes) -> bool:
        sections = list(self._sections())
        if self._names_index >= len(sections):
            return False
        names = self._bytes(sections[self._names_index][4], sections[self._names_index][5])
        return any(names[section[0] : names.find(b"\0", section[0])] == name for section in sections)

    def symbol(self, name: bytes) -> tuple[int, int] | None:
        """Address and size of a dynamic symbol that is defined here."""
        sections = list(self._sections())
        for section in sections:
            if section[1] != SHT_DYNSYM:
                continue
            strings = self._bytes(sections[section[6]][4], sections[section[6]][5])
            for at in range(section[4], section[4] + section[5], _SYMBOL.size):
                named, _, _, defined, value, size = self._unpack(_SYMBOL, at)
                if defined and strings[named : strings.find(b"\0", named)] == name:
                    return value, size
        return None

    def first_load_address(self) -> int:
        """The virtual address that the start of the file is linked at."""
        return min((segment[3] - segment[2] for segment in self._segments() if segment[0] == PT_LOAD), default=0)

    def _segments(self) -> Iterator[tuple[int, ...]]:
        for number in range(self._segment_count):
            yield self._unpack(_SEGMENT, self._segments_at + number * _SEGMENT.size)

    def _sections(self) -> Iterator[tuple[int, ...]]:
        for number in range(self._section_count):
            yield self._unpack(_SECTION, self._sections_at + number * _SECTION.size)

    def _unpack(self, layout: struct.Struct, at: int) -> tuple[int, ...]:
        return layout.unpack(self._bytes(at, layout.size))

    def _bytes(self, at: int, size: int) -> bytes:
        if size > LARGEST or at >= 1 << 63:  # whoever wrote it does not mean well
            raise ValueError("the ELF file makes no sense")
        self._file.seek(at)
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError("the ELF file is cut off")
        return data
