"""Pieces of SVG as text: elements, lengths of words, and labels that do not run into each other."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Any

from .palette import COLOURS
from .words import clean

WIDTH = 1000
LEFT, RIGHT = 148, 18
"""The column of names, and the margin."""
PLOT = WIDTH - LEFT - RIGHT

GLYPHS = {
    **dict.fromkeys("fijlrtI.,:;'!|()[]/- ", 0.36),
    **dict.fromkeys("mwMW@%→…", 0.9),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ_0123456789", 0.64),
}
GLYPH = 0.58
"""Widths of letters in parts of the type size, in the widest of the fonts that `style` names; and of the others."""


def style() -> str:
    """The picture's style sheet. Classes begin with `f-`: a page may hold the picture among others."""
    light = "".join(_rules(name, colours[0]) for name, colours in COLOURS.items())
    dark = "".join(_rules(name, colours[1]) for name, colours in COLOURS.items())
    shapes = (
        '.f-text{font:13px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}.f-small{font-size:11px}.f-tiny{font-size:10px}'
        ".f-bold{font-weight:600}.f-mono{font-family:ui-monospace,SFMono-Regular,Menlo,monospace}"
        ".f-rail{stroke-width:1.5;fill:none}.f-arrow{stroke-width:1.5;fill:none}.f-dash{stroke-dasharray:2 3}.f-band{opacity:.38}"
        ".f-halo{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}"
    )
    return f"{shapes}{light}@media (prefers-color-scheme:dark){{{dark}}}"


def _rules(name: str, colour: str) -> str:
    return f".f-{name}{{fill:{colour}}}.f-s-{name}{{stroke:{colour}}}"


def element(name: str, /, content: str = "", *, title: str = "", **attributes: Any) -> str:
    """One element. `kind` is its classes, without their prefix; underscores in names stand for hyphens; numbers have one decimal."""
    written = []
    for key, value in attributes.items():
        if key == "kind":
            written.append(f' class="{" ".join("f-" + one for one in str(value).split())}"')
        else:
            number = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(str(value))
            written.append(f' {key.replace("_", "-")}="{number}"')
    inner = (f"<title>{escape(clean(title, 600))}</title>" if title else "") + content
    return f"<{name}{''.join(written)}>{inner}</{name}>" if inner else f"<{name}{''.join(written)}/>"


def rect(x: float, y: float, width: float, height: float, kind: str, *, title: str = "", **attributes: Any) -> str:
    """A rectangle."""
    return element("rect", kind=kind, x=float(x), y=float(y), width=float(width), height=float(height), title=title, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, kind: str, **attributes: Any) -> str:
    """A line."""
    return element("line", kind=kind, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def path(d: str, kind: str, **attributes: Any) -> str:
    """A path."""
    return element("path", kind=kind, d=d, **attributes)


def text(x: float, y: float, content: str, kind: str = "ink", **attributes: Any) -> str:
    """Words; they are cleaned and escaped here."""
    return element("text", escape(clean(content)), kind=f"text {kind}", x=float(x), y=float(y), **attributes)


def badge(x: float, y: float, index: int, kind: str) -> list[str]:
    """A finding's number in a circle."""
    return [
        element("circle", kind=kind, cx=float(x), cy=float(y), r=8.5),
        text(x, y + 4, str(index), "paper small bold", text_anchor="middle"),
    ]


def cut(x: float, y: float, reach: float) -> str:
    """The mark of a stretch that was shortened: two strokes through what runs across, which is hidden between them."""
    slope = reach / 2
    gap = f"M{x - 2 - slope:.1f} {y + reach:.1f}l{2 * slope:.1f} {-2 * reach:.1f}h4l{-2 * slope:.1f} {2 * reach:.1f}z"
    strokes = f"M{x - 2 - slope:.1f} {y + reach:.1f}l{2 * slope:.1f} {-2 * reach:.1f}m4 0l{-2 * slope:.1f} {2 * reach:.1f}"
    return path(gap, "paper") + path(strokes, "arrow s-dim", stroke_width=1.2)


def length(content: str, size: float) -> float:
    """About how many pixels long words are."""
    return sum(GLYPHS.get(character, GLYPH) for character in content) * size


def wrapped(content: str, size: float, room: float) -> list[str]:
    """Words in lines of at most so many pixels."""
    return textwrap.wrap(clean(content), max(20, int(room / (size * 0.55))))


class Room:
    """One row of labels: keeps what was written apart from what is to be written."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._taken: list[tuple[float, float]] = []

    def place(self, centre: float, width: float, gap: float = 8, *, aside: bool = True) -> float | None:
        """The left end for words of this width about a centre, moved into the picture, and `aside` by up to half of them where others are in the way.

        None where that is not enough.
        """
        for part in (0.0, 0.17, -0.17, 0.33, -0.33, 0.5, -0.5) if aside else (0.0,):
            left = min(max(centre + width * (part - 0.5), self._low), self._high - width)
            if left >= self._low and not any(left < end + gap and begin < left + width + gap for begin, end in self._taken):
                self._taken.append((left, left + width))
                return left
        return None
