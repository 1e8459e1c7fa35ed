"""AWS's framed log pipe: the descriptor that runtimes find in `_LAMBDA_TELEMETRY_LOG_FD`.

Frames let a message have several lines and a level. Big-endian (as in AWS's runtime clients for Python and Node.js, and their unit tests):

    frame type, 4 bytes | length, 4 bytes | timestamp, 8 bytes, microseconds since the epoch | message, `length` bytes

The type is `0xa55a0000` plus flags: 1 the message is text (else JSON), 2 a timestamp follows (older clients send none), and from the
third bit on the level: 1 TRACE, 2 DEBUG, 3 INFO, 4 WARN, 5 ERROR, 6 FATAL.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from .lines import MAX_LINE, LineSplitter, character_boundary

LogLevel = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]

_MAGIC = b"\xa5\x5a\x00"
_TEXT = 1
_TIMESTAMP = 2
_LEVELS: tuple[LogLevel | None, ...] = (None, "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class LogMessage(Struct, frozen=True):
    """One message, or part of one that is larger than the limit."""

    text: str
    """Without its last line end; invalid UTF-8 replaced."""
    level: LogLevel | None = None
    is_json: bool = False
    timestamp_us: int | None = None
    """Microseconds since the epoch, as the runtime client saw them."""


class FrameReader:
    """Incremental reader of one pipe: `feed` gives messages. Never raises.

    Bytes that are no frame (a function that writes to the descriptor itself) become messages without level or timestamp, up to where the
    next frame begins. A message larger than `limit` bytes comes in pieces, so a frame that announces 4 GB costs no memory.
    """

    __slots__ = ("_buffer", "_flags", "_left", "_limit", "_need", "_stray", "_timestamp")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._need = 1
        """With fewer bytes than this nothing new can be said."""
        self._left = 0
        """Bytes of the current frame's message that are still to come; 0 between frames."""
        self._flags = 0
        self._timestamp: int | None = None
        self._stray = LineSplitter(limit)

    def feed(self, data: bytes) -> list[LogMessage]:
        self._buffer += data
        if len(self._buffer) < self._need:
            return []
        buffer = bytes(self._buffer)
        at = 0
        messages: list[LogMessage] = []
        while True:
            taken = self._message(buffer, at, messages) if self._left else self._between(buffer, at, messages)
            if taken == 0:
                break
            at += taken
        self._buffer = bytearray(buffer[at:])
        return messages

    def flush(self) -> list[LogMessage]:
        """The pipe is closed: what an unfinished frame or line holds."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._left:
            self._left = 0
            return [self._logged(rest)] if rest else []
        return [LogMessage(line) for line in self._stray.feed(rest) + self._stray.flush()]

    # Each of these takes what it can from `buffer` at `at`, and says how many bytes; 0: it needs `_need` bytes from there.

    def _message(self, buffer: bytes, at: int, messages: list[LogMessage]) -> int:
        size = self._left
        self._need = min(size, self._limit + 1)
        if len(buffer) - at < self._need:
            return 0
        if size > self._limit:
            size = character_boundary(buffer[at : at + self._need], self._limit)
        messages.append(self._logged(buffer[at : at + size]))
        self._left -= size
        return size

    def _between(self, buffer: bytes, at: int, messages: list[LogMessage]) -> int:
        available = len(buffer) - at
        self._need = 1
        if available == 0:
            return 0
        if not buffer.startswith(_MAGIC[:available], at):
            size = _stray_size(buffer, at)
            messages += map(LogMessage, self._stray.feed(buffer[at : at + size]))
            return size
        self._need = 4 if available < 4 else 16 if buffer[at + 3] & _TIMESTAMP else 8
        if available < self._need:
            return 0
        messages += map(LogMessage, self._stray.flush())
        self._flags = buffer[at + 3]
        self._left = int.from_bytes(buffer[at + 4 : at + 8], "big")
        self._timestamp = int.from_bytes(buffer[at + 8 : at + 16], "big") if self._flags & _TIMESTAMP else None
        return self._need

    def _logged(self, data: bytes) -> LogMessage:
        level = self._flags >> 2
        text = data.decode("utf-8", "replace").removesuffix("\n")
        return LogMessage(text, _LEVELS[level] if level < len(_LEVELS) else None, not self._flags & _TEXT, self._timestamp)


def _stray_size(buffer: bytes, at: int) -> int:
    """How many bytes are no frame: up to the next magic, or what may be the beginning of one at the end."""
    found = buffer.find(_MAGIC, at)
    if found >= 0:
        return found - at
    for kept in (2, 1):
        if buffer.endswith(_MAGIC[:kept]):
            return len(buffer) - kept - at
    return len(buffer) - at
