#!/usr/bin/env python3
"""Draws docs/states.md from the state table in `frostline.core.states`, so that the picture cannot disagree with the code.

.venv/bin/python scripts/draw_states.py writes the file; tests/core/test_states.py holds it to the table.
"""

from __future__ import annotations

from pathlib import Path

from frostline.core.states import TRANSITIONS, State

PAGE = Path(__file__).parents[1] / "docs" / "states.md"

_TEXT = """\
# The states of an execution environment

Drawn by `scripts/draw_states.py` from the table in `frostline/src/frostline/core/states.py`. Change the table, not this page.

`freezing` and `thawing` are states because the kernel answers later: a freeze is a request, and `frozen` is the fact. An invocation that arrives while
an environment is freezing is assigned to it at once, the freeze is called off, and the invocation is delivered when the kernel says that the environment
runs again. It is never lost: if the environment crashes on the way, the invocation goes back to the head of its function's queue.

```mermaid
{diagram}
```

| from | because of | to |
|---|---|---|
{rows}
"""


def mermaid() -> str:
    """The table as a Mermaid state diagram: one arrow for each pair of states, with all its causes."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.STARTING.value}"]
    for state, ways in TRANSITIONS.items():
        causes: dict[State, list[str]] = {}
        for cause, following in ways.items():
            causes.setdefault(following, []).append(cause.value.replace(": ", " says "))  # a colon ends a label in Mermaid
        lines += [f"    {state.value} --> {following.value}: {' / '.join(labels)}" for following, labels in causes.items()]
        lines += [f"    {state.value} --> [*]"] if not ways else []
    return "\n".join(lines)


def page() -> str:
    """The whole of docs/states.md."""
    rows = (
        f"| {state.value} | {cause.value} | {following.value} |" for state, ways in TRANSITIONS.items() for cause, following in ways.items()
    )
    return _TEXT.format(diagram=mermaid(), rows="\n".join(rows))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
