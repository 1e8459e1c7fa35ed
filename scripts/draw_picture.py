#!/usr/bin/env python3
"""Draws docs/background-timer.svg, the README's picture, from two recordings of examples/background-timer.

Record four invocations, three seconds apart, with `frostline up examples/background-timer --story frozen.story.jsonl`, and four more with `--freeze off`
and another file; then run `scripts/draw_picture.py frozen.story.jsonl free.story.jsonl`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from frostline.render.lanes import Lane, Served, lanes
from frostline.render.timeline import timeline_svg
from frostline.story.reader import Story

PICTURE = Path(__file__).parents[1] / "docs" / "background-timer.svg"
TITLE = "Seconds since init, by the clock and by a timer in the background"


def served_lane(path: Path) -> Lane:
    """The environment that served the invocations; the one that was only prepared has nothing to show."""
    with Story.open(path) as story:
        lane = max(lanes(story), key=lambda lane: len(lane.served))
    lane.segments = [segment for segment in lane.segments if segment.state not in ("starting", "prepared")]
    return lane


def label(served: Served) -> str:
    """What the function returned."""
    answer = json.loads(served.response)
    return f"clock {answer['calculated']} s, timer {answer['counted']} s"


def main(arguments: list[str]) -> int:
    """Draw."""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    frozen, free = (served_lane(Path(argument)) for argument in arguments)
    rows = [("frozen between invocations, as on Lambda", frozen), ("never frozen, as other local tools have it", free)]
    PICTURE.write_text(timeline_svg(rows, title=TITLE, label=label), encoding="utf-8")
    print(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
