"""Lanes as an SVG timeline: when an environment ran, and when it stood still. Self-contained, readable in light and dark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from .lanes import Lane, Served

WIDTH = 900
LEFT, RIGHT, TOP = 16, 16, 46
LANE_HEIGHT, BAR = 74, 26

_CLASSES = {
    "starting": "init",
    "prepared": "init",
    "initializing": "init",
    "busy": "busy",
    "idle": "idle",
    "freezing": "idle",
    "thawing": "idle",
    "frozen": "frozen",
    "resetting": "ends",
    "stopping": "ends",
}
LEGEND = (("init", "init"), ("busy", "invocation"), ("idle", "running, idle"), ("frozen", "frozen"))

_STYLE = """
svg{font:13px system-ui,-apple-system,"Segoe UI",sans-serif}.paper{fill:#fff}.text{fill:#1f2933}.dim{fill:#52606d}.axis{stroke:#9aa5b1}
.init{fill:#f0b429}.busy{fill:#27ab83}.idle{fill:#cbd2d9}.frozen{fill:#bfe3f7}.ends{fill:#9aa5b1}.failed{fill:#cf1124}
@media (prefers-color-scheme:dark){.paper{fill:#12161c}.text{fill:#e4e7eb}.dim{fill:#9aa5b1}.axis{stroke:#52606d}.idle{fill:#52606d}.frozen{fill:#1d4f6e}}
"""

SHORTEST = 2.0
"""Pixels that a stretch has at least, so that an invocation of a millisecond can be seen among minutes."""


def timeline_svg(lanes: Sequence[tuple[str, Lane]], *, title: str, label: Callable[[Served], str] = lambda served: "") -> str:
    """Draw named lanes on one time axis, each from its own beginning. `label` is written above each invocation."""
    length = max((lane.segments[-1].end - lane.segments[0].begin for _, lane in lanes if lane.segments), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / max(length, 0.001)
    height = TOP + LANE_HEIGHT * len(lanes) + 54
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE.strip()}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
        f'<text class="text" x="{LEFT}" y="26" font-weight="600">{escape(title)}</text>',
    ]
    for number, (name, lane) in enumerate(lanes):
        parts += _lane(name, lane, TOP + number * LANE_HEIGHT, scale, label)
    parts += _axis(TOP + LANE_HEIGHT * len(lanes) + 2, length, scale)
    parts += _legend(height - 14)
    return "\n".join([*parts, "</svg>", ""])


def _lane(name: str, lane: Lane, top: float, scale: float, label: Callable[[Served], str]) -> list[str]:
    if not lane.segments:
        return []
    begin = lane.segments[0].begin
    bar = top + 36
    parts = [f'<text class="text" x="{LEFT}" y="{top + 14}">{escape(name)}</text>']
    # Short stretches are drawn over the long ones beside them, and invocations over all.
    for segment in sorted(lane.segments, key=lambda s: (s.state == "busy", s.begin - s.end)):
        x = LEFT + (segment.begin - begin) * scale
        width = max((segment.end - segment.begin) * scale, SHORTEST)
        kind = _CLASSES.get(segment.state, "idle")
        height = BAR if kind in ("busy", "init") else BAR - 8
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{bar + (BAR - height) / 2:.1f}" width="{width:.1f}" height="{height}"/>')
    for served in lane.served:
        x = LEFT + (served.at - begin) * scale
        kind = "failed" if served.failed else "dim"
        anchor = "start" if x < WIDTH / 8 else "end" if x > WIDTH * 7 / 8 else "middle"
        parts.append(f'<text class="{kind}" x="{x:.1f}" y="{bar - 5}" text-anchor="{anchor}" font-size="11">{escape(label(served))}</text>')
    return parts


def _axis(top: float, length: float, scale: float) -> list[str]:
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600, 86400) if length / step <= 12 or step == 86400)
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top}" y2="{top}"/>']
    for number in range(int(length / step) + 1):
        x = LEFT + number * step * scale
        parts.append(f'<text class="dim" x="{x:.1f}" y="{top + 15}" font-size="11">{number * step:g} s</text>')
    return parts


def _legend(y: float) -> list[str]:
    parts = []
    x = LEFT
    for kind, meaning in LEGEND:
        parts.append(f'<rect class="{kind}" x="{x}" y="{y - 10}" width="12" height="12" rx="2"/>')
        parts.append(f'<text class="dim" x="{x + 18}" y="{y}" font-size="12">{meaning}</text>')
        x += 46 + 7 * len(meaning)
    return parts
