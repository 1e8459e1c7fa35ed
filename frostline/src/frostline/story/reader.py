"""Reads a story back, also one that was cut off in the middle, and says clearly when a file is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from .records import SCHEMA, Header, Line, decode_header, decode_line

LONGEST_HEADER = 1 << 20
"""Bytes. What has no line's end by then is no story."""


class StoryError(Exception):
    """A file that is not a story, or not one that this version reads. The message is for a person."""


class Story:
    """An opened story: `header` at once, lines as they are asked for.

    A recording that was cut off (its writer was killed, the disk was full) ends at its last whole line; `truncated` then says so.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self.truncated = False
        first = file.readline(LONGEST_HEADER)
        if not first:
            raise StoryError(f"{name} is not a Frostline story: it is empty.")
        try:
            self.header: Header = decode_header(first)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoryError(f"{name} is not a Frostline story: its first line is not a story's header ({error}).") from error
        if self.header.schema != SCHEMA:
            raise StoryError(
                f"{name} was written with schema {self.header.schema} (Frostline {self.header.version}); this version reads schema {SCHEMA}."
            )

    @classmethod
    def open(cls, path: Path) -> Story:
        """Raises StoryError."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise StoryError(f"the story {path} cannot be opened: {error.strerror}") from error
        try:
            return cls(file, str(path))
        except StoryError:
            file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Line]:
        number = 1
        for data in self._file:
            number += 1
            if not data.endswith(b"\n"):
                self.truncated = True
                return
            try:
                yield decode_line(data)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise StoryError(f"{self._name}, line {number}: not a line of a story ({error}).") from error
