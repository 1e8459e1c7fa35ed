#!/usr/bin/env python3
"""Draws docs/background-timer.svg, the README's picture, from two recordings of examples/background-timer.

Record four invocations, three seconds apart, with `frostline up examples/background-timer --story frozen.story.jsonl`, and four more with `--freeze off`
and another file; then run `scripts/draw_picture.py frozen.story.jsonl free.story.jsonl`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from msgspec.structs import replace

from frostline.render.svg import svg
from frostline.render.view import select
from frostline.story.reader import Story
from frostline.story.timeline import EnvironmentLife, Invocation, Timeline, timeline

PICTURE = Path(__file__).parents[1] / "docs" / "background-timer.svg"
TITLE = "Seconds since init, by the clock and by a timer in the background"
NAMES = (("frozen", "as on Lambda"), ("never", "as other tools do"))


def read(path: Path) -> Timeline:
    """A recording, put together."""
    with Story.open(path) as story:
        return timeline(story.header, story)


def served(told: Timeline, name: str, function: str) -> EnvironmentLife:
    """The environment that served the invocations, from its init on, with its beginning at 0. The one that was only prepared has nothing to show."""
    life = max(told.environments.values(), key=lambda life: len(life.invocations))
    phases = [phase for phase in life.phases if phase.state not in ("starting", "prepared")]
    begin = phases[0].begin

    def moved(one: Invocation) -> Invocation:
        times = {field: at - begin for field in ("arrived", "started", "finished") if (at := getattr(one, field)) is not None}
        return replace(one, request_id=f"{name} {one.request_id}", **times)

    return EnvironmentLife(
        name,
        function,
        0.0,
        phases=[replace(phase, begin=phase.begin - begin, end=phase.end - begin) for phase in phases],
        invocations=[moved(one) for one in life.invocations],
    )


def label(one: Invocation) -> str:
    """What the function returned."""
    answer = json.loads(one.response)
    return f"clock {answer['calculated']} s, timer {answer['counted']} s"


def main(arguments: list[str]) -> int:
    """Draw."""
    if len(arguments) != len(NAMES):
        print(__doc__)
        return 2
    stories = [read(Path(argument)) for argument in arguments]
    lives = [served(told, *names) for told, names in zip(stories, NAMES, strict=True)]
    # Side by side in one story: request 1 of each is its first.
    both = Timeline(stories[0].header, 0.0, max(life.ended for life in lives), environments={life.id: life for life in lives})
    view = select(both)
    view.numbers = {one.request_id: number for life in lives for number, one in enumerate(life.invocations, 1)}
    PICTURE.write_text(svg(view, scale=True, title=TITLE, label=label), encoding="utf-8")
    print(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
