"""One connection as a ladder: above, the environment's end; below, its peer's; between them what went over it.

The two ends are drawn apart because a freeze takes them apart: what the peer sends stops half way and waits (or is lost), and the environment's end
goes on long after the peer's has ended.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.events import ConnectionClosed, ConnectionTraffic, FirstWriteAnswered
from ..story.timeline import Connection, EnvironmentLife
from .svg_parts import LEFT, PLOT, Room, element, length, line, path, rect, text, wrapped
from .view import concern, ends, spoiled, thaw_after
from .words import became, duration, peer, size

HEIGHT = 66
NEAR, MIDDLE, FAR = 12.0, 29.0, 46.0
"""The rails, and where a freeze stops what the peer sends."""

SLANT = 5.0
HEAD = 4.0
CLOSE = 12.0
"""Pixels: an arrow down and the one up that are nearer to each other than this are moved apart."""
THICK = 4.0
"""Pixels from one burst to the next that is drawn, at least: what is nearer cannot be told from it."""

Place = Callable[[float], float]
"""A moment's x in the picture."""


class Ladder:
    """Draws one connection, its top at `top`."""

    def __init__(self, connection: Connection, life: EnvironmentLife, x: Place, top: float, low: float, high: float) -> None:
        self._connection, self._life, self._x, self._top = connection, life, x, top
        self._low, self._high = low, high
        self._marks: list[str] = []
        self._words: list[tuple[int, float, str, str, str]] = []
        """Rank, x, words, kind, hover text: written last, the most important first, as far as there is room."""
        self._last_burst = -THICK

    def draw(self) -> list[str]:
        """The elements."""
        rails = self._rails()
        for burst in self._connection.traffic:
            if burst.until >= self._low and burst.at <= self._high:
                self._burst(burst)
        for event in self._connection.closed:
            if self._low <= event.at <= self._high:
                self._closed(event)
        for first in spoiled(self._connection):
            if self._low <= first.at <= self._high:
                self._first_write(first)
        self._taken_away()
        return [*self._name(), *rails, *self._marks, *self._written()]

    def _name(self) -> list[str]:
        connection = self._connection
        said = f"{connection.number}: {became(connection)}"
        parts = [text(12, self._top + 15, peer(connection.name, 24), "ink small bold", title=connection.name)]
        for number, words in enumerate(wrapped(said, 9.5, LEFT - 14)[:3]):
            kind = "failed" if concern(connection, ()) > 1 else "dim"
            parts.append(text(12, self._top + 28 + 11.5 * number, words, f"{kind} tiny"))
        return parts

    def _rails(self) -> list[str]:
        near, far = ends(self._connection, self._life, min(self._life.ended, self._high))
        opened = self._x(self._connection.opened.at)
        parts = [
            line(opened, self._top + NEAR, self._x(near), self._top + NEAR, "rail s-dim"),
            line(opened, self._top + FAR, self._x(far), self._top + FAR, "rail s-dim"),
        ]
        if self._connection.opened.at >= self._low:
            title = f"connection {self._connection.number} opened to {self._connection.name}"
            parts.append(line(opened, self._top + NEAR, opened, self._top + FAR, "rail s-dim"))
            parts.append(element("circle", kind="paper rail s-dim", cx=opened, cy=self._top + NEAR, r=3, title=title))
            parts.append(element("circle", kind="paper rail s-dim", cx=opened, cy=self._top + FAR, r=3, title=title))
        return parts

    # What went over it -------------------------------------------------------------------------------------------------------------------

    def _burst(self, burst: ConnectionTraffic) -> None:
        begin, end = self._x(burst.at), self._x(burst.until)
        if burst.while_frozen:
            kind = "ping" if burst.kind != "data" else "received"
            self._waits(begin, end, kind)
            said = {"ping_ack": "PONG", "ping": "PING", "data": size(burst.received)}[burst.kind]
            waited = duration(burst.until - burst.at)
            self._say(0, (begin + end) / 2, f"{said} waits {waited}", kind, f"{said} came while frozen and waited {waited}")
        elif burst.kind != "data":
            self._ping(burst, begin)
        elif begin - self._last_burst >= THICK:
            self._last_burst = begin
            self._data(burst, begin, end)

    def _ping(self, burst: ConnectionTraffic, x: float) -> None:
        said = "PING" if burst.kind == "ping" else "PONG"
        down = burst.sent > 0
        self._arrow(x, "ping", down=down)
        self._say(1, x + (SLANT if down else -SLANT), said, "ping", f"{said} {'to' if down else 'from'} the peer")

    def _data(self, burst: ConnectionTraffic, begin: float, end: float) -> None:
        title = f"{size(burst.sent)} sent, {size(burst.received)} received in {duration(burst.until - burst.at)}"
        if burst.sent and burst.received and end - begin < CLOSE:
            end = begin + CLOSE
        if end - begin > CLOSE:
            band = rect(begin, self._top + NEAR, end - begin, FAR - NEAR, "line", opacity=0.25, title=title)
            self._marks.append(band)
        said = []
        if burst.sent:
            self._arrow(begin, "sent", down=True, title=title)
            said.append(f"↓ {size(burst.sent)}")
        if burst.received:
            self._arrow(end if burst.sent else begin, "received", down=False, title=title)
            said.append(f"↑ {size(burst.received)}")
        self._say(3, (begin + end) / 2, " ".join(said), "dim", title)

    def _waits(self, begin: float, end: float, kind: str) -> None:
        """Something that the peer sends while the environment is frozen, and that arrives after the thaw."""
        top = self._top
        self._marks += [
            path(f"M{begin - SLANT / 2:.1f} {top + FAR}L{begin:.1f} {top + MIDDLE}", f"arrow s-{kind}"),
            element("circle", kind=kind, cx=begin, cy=top + MIDDLE, r=3),
            line(begin, top + MIDDLE, end, top + MIDDLE, f"arrow dash s-{kind}"),
            path(f"M{end:.1f} {top + MIDDLE}L{end + 2:.1f} {top + NEAR + HEAD}", f"arrow s-{kind}"),
            _head(end + 2, top + NEAR, kind, down=False),
        ]

    def _arrow(self, x: float, kind: str, *, down: bool, title: str = "") -> None:
        """From rail to rail. `x` is where it leaves the upper one, or reaches it."""
        near, far = self._top + NEAR, self._top + FAR
        if down:
            shaft = f"M{x:.1f} {near}L{x + SLANT:.1f} {far - HEAD}"
            self._marks += [path(shaft, f"arrow s-{kind}", title=title), _head(x + SLANT, far, kind, down=True)]
        else:
            shaft = f"M{x - SLANT:.1f} {far}L{x:.1f} {near + HEAD}"
            self._marks += [path(shaft, f"arrow s-{kind}", title=title), _head(x, near, kind, down=False)]

    # Ends --------------------------------------------------------------------------------------------------------------------------------

    def _closed(self, event: ConnectionClosed) -> None:
        x = self._x(event.at)
        flag = event.how.upper()
        kind = "failed" if event.how == "rst" or event.reached == "never" else "dim"
        if event.by == "environment":
            self._arrow(x, kind, down=True)
            self._say(1, x + SLANT, flag, kind, f"{flag} from the environment")
        elif event.reached == "at_once":
            self._arrow(x, kind, down=False)
            self._say(1, x - SLANT, flag, kind, f"{flag} from the {event.by}")
        elif event.reached == "after_thaw":
            self._waits(x, self._x(thaw_after(self._life, event.at)), kind)
            self._say(1, x + 34, f"{flag} waits", kind, f"{flag} came while frozen; the environment saw it after the thaw")
        else:
            self._stops(x, kind)
            self._say(0, x, f"{flag} lost", kind, f"{flag} came while frozen and was lost: the environment was never told")

    def _stops(self, x: float, kind: str) -> None:
        """Something of the peer's that never arrives."""
        top = self._top
        self._marks += [
            path(f"M{x - SLANT / 2:.1f} {top + FAR}L{x:.1f} {top + MIDDLE}", f"arrow s-{kind}"),
            _cross(x, top + MIDDLE, kind),
        ]

    def _first_write(self, first: FirstWriteAnswered) -> None:
        top, x = self._top, self._x(first.at)
        wrote = self._x(first.at - (first.after_s or 0.0))
        lost = f" ({size(first.sent)}, which nobody took)" if first.sent else ""
        self._marks.append(path(f"M{wrote:.1f} {top + NEAR}L{wrote + 3:.1f} {top + MIDDLE}", "arrow s-sent"))
        if first.answer == "nothing":
            self._marks.append(_cross(wrote + 3, top + MIDDLE, "failed"))
            self._say(0, x, "no answer", "failed", f"the first write after the thaw{lost} was not answered")
            return
        back = max(x, wrote + 9)
        flag = first.answer.upper()
        self._marks += [
            path(f"M{wrote + 3:.1f} {top + MIDDLE}L{back:.1f} {top + NEAR + HEAD}", "arrow s-failed"),
            _head(back, top + NEAR, "failed", down=False),
        ]
        after = f" after {duration(first.after_s)}" if first.after_s is not None else ""
        self._say(0, back, flag, "failed", f"the first write after the thaw{lost} was answered by {flag}{after}")

    def _taken_away(self) -> None:
        lost, expired = self._connection.lost, self._connection.expired
        if lost is not None and lost.fate == "blackhole" and self._low <= lost.at <= self._high:
            x = self._x(lost.at)
            self._marks.append(_cross(x, self._top + MIDDLE, "failed"))
            self._say(0, x, "black hole", "failed", "from here on nothing passes, and nobody is told")
        if expired is not None and self._low <= expired.at <= self._high:
            x = self._x(expired.at)
            self._marks.append(_cross(x, self._top + MIDDLE, "risk"))
            said = f"{expired.middlebox} forgets it"
            self._say(
                0, x, said, "risk", f"{expired.middlebox} forgot the connection, idle for {duration(expired.idle_s)}; then: {expired.then}"
            )

    # Words -------------------------------------------------------------------------------------------------------------------------------

    def _say(self, rank: int, x: float, words: str, kind: str, title: str) -> None:
        self._words.append((rank, x, words, kind, title))

    def _written(self) -> list[str]:
        parts = []
        room = Room(LEFT, LEFT + PLOT)
        for _, x, words, kind, title in sorted(self._words, key=lambda said: said[:2]):
            left = room.place(x, length(words, 10), gap=4)
            if left is not None:
                parts.append(text(left, self._top + FAR + 13, words, f"{kind} tiny", title=title))
        return parts


def _head(x: float, y: float, kind: str, *, down: bool) -> str:
    """An arrow's head, its point at a place."""
    back = y - HEAD - 1 if down else y + HEAD + 1
    return path(f"M{x:.1f} {y:.1f}L{x - 3.2:.1f} {back:.1f}L{x + 3.2:.1f} {back:.1f}Z", kind)


def _cross(x: float, y: float, kind: str) -> str:
    return path(f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8", f"arrow s-{kind}", stroke_width=2)
