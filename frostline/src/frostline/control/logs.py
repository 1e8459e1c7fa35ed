"""The log store: what CloudWatch would hold, the latest of it, in memory. A log group per function, a log stream per environment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

MAX_LINES = 20_000
"""Lines kept per log group: at 256 bytes a line some 5 MB."""

MAX_CHARACTERS = 32 * 1024 * 1024
"""And how much text: a line can have a quarter of a megabyte, and what a function writes must not take the machine's memory."""


class LogLine(Struct, frozen=True, kw_only=True):
    """One line of a function's log."""

    time: float
    """Epoch seconds."""
    function: str
    log_stream: str
    environment: str
    request_id: str | None
    type: str
    """The Telemetry API's: `function`, `extension`, `platform.start`, ..."""
    text: str


class _Group:
    """The lines of one function."""

    __slots__ = ("characters", "lines")

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque()
        self.characters = 0

    def add(self, line: LogLine) -> None:
        self.lines.append(line)
        self.characters += len(line.text)
        while len(self.lines) > MAX_LINES or self.characters > MAX_CHARACTERS:
            self.characters -= len(self.lines.popleft().text)


class LogStore:
    """All log groups, bounded, and whoever follows them."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._followers: dict[int, Callable[[LogLine], None]] = {}
        self._next = 0

    def add(self, line: LogLine) -> None:
        """A new line; the oldest of its group goes when the group is full."""
        group = self._groups.get(line.function)
        if group is None:
            group = self._groups[line.function] = _Group()
        group.add(line)
        for follower in tuple(self._followers.values()):
            follower(line)

    def lines(self, function: str | None = None) -> list[LogLine]:
        """The kept lines of one function, or of all in the order of time."""
        if function is not None:
            group = self._groups.get(function)
            return list(group.lines) if group is not None else []
        return sorted((line for group in self._groups.values() for line in group.lines), key=lambda line: line.time)

    def follow(self, follower: Callable[[LogLine], None]) -> Callable[[], None]:
        """Call `follower` for every new line, until the returned function is called."""
        key = self._next
        self._next += 1
        self._followers[key] = follower

        def stop() -> None:
            self._followers.pop(key, None)

        return stop
