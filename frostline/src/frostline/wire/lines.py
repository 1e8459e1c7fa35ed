"""Raw output of a process into log lines.

A process writes bytes when it likes: half a line, a thousand lines, half a character. One `LineSplitter` per stream puts lines together.
"""

from __future__ import annotations

MAX_LINE = 256 * 1024
"""CloudWatch Logs takes events of up to 256 KB and Lambda cuts longer lines there. Bytes."""


class LineSplitter:
    """Incremental: `feed` gives the lines that became complete, `flush` what is left when the stream ends.

    Lines end with LF (which is removed; a CR before it stays, as on AWS) and come as text, invalid UTF-8 replaced. A line longer than
    `limit` bytes is cut, between characters where it is UTF-8, so memory stays bounded.
    """

    __slots__ = ("_limit", "_partial")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[str]:
        lines: list[str] = []
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._partial += line
            self._cut(lines)
            lines += self.flush() or [""]
        self._partial += rest
        self._cut(lines)
        return lines

    def flush(self) -> list[str]:
        """The last line, when it had no end."""
        line = self._partial.decode("utf-8", "replace")
        self._partial.clear()
        return [line] if line else []

    def _cut(self, lines: list[str]) -> None:
        """Move what is over the limit to `lines`, piece by piece."""
        while len(self._partial) > self._limit:
            at = character_boundary(self._partial, self._limit)
            lines.append(self._partial[:at].decode("utf-8", "replace"))
            del self._partial[:at]


def character_boundary(data: bytes | bytearray, at: int) -> int:
    """The largest position up to `at` (at least 1) that does not split a UTF-8 character; `at` itself when what is there is not UTF-8."""
    for position in range(at, max(at - 4, 0), -1):
        if data[position] & 0xC0 != 0x80:
            return position
    return at
