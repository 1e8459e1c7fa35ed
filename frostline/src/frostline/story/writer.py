"""Appends to a story, line by line, without ever holding up the control plane for long.

Lines are collected and written in blocks: at most `BLOCK_BYTES` are in memory, and `flush` (called by the control plane every now and then, and at its
end) writes what there is. A disk that is full ends the recording with one clear sentence, never the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import msgspec

from ..core.effects import Effect
from ..core.events import Event
from .records import SCHEMA, Header, Line, encoder

BLOCK_BYTES = 64 * 1024


class StoryWriter:
    """Writes one story. `failed` holds the reason when it could not go on."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._block = bytearray()
        self._seq = 0
        self.failed: str | None = None

    @classmethod
    def create(cls, path: Path, *, version: str, started_at: float, level: dict[str, object]) -> StoryWriter:
        """Begin a story in a new file. Raises OSError, with the path in it, when it cannot be created."""
        writer = cls(path.open("wb"), str(path))
        header = Header(schema=SCHEMA, version=version, started_at=started_at, level=level)
        writer._append(encoder.encode(header))
        writer.flush()
        return writer

    def record(self, event: Event, effects: list[Effect], now: float) -> None:
        """Record what happened and what followed from it."""
        if self.failed is not None:
            return
        self._seq += 1
        cause = self._seq
        self._append(encoder.encode(Line(seq=cause, at=now, event=event)))
        for effect in effects:
            self._seq += 1
            self._append(encoder.encode(Line(seq=self._seq, at=now, cause=cause, effect=effect)))
        if len(self._block) >= BLOCK_BYTES:
            self.flush()

    def _append(self, line: bytes) -> None:
        self._block += line
        self._block += b"\n"

    def flush(self) -> None:
        """Write what is collected."""
        if not self._block or self.failed is not None:
            return
        try:
            self._file.write(self._block)
            self._file.flush()
        except OSError as error:
            self.failed = f"the story {self._name} could not be written any further: {error.strerror or error}"
        self._block.clear()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        self._file.close()


def level_record(level: msgspec.Struct) -> dict[str, object]:
    """A `sandbox.port.Level` as the header holds it (`story` must not import `sandbox`)."""
    record: dict[str, object] = msgspec.to_builtins(level)
    return record
