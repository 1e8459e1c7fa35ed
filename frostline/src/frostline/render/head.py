"""What stands above every picture: what was recorded, on what, how it went, and what the recording does not have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from .view import View
from .words import clean, duration, number

CHANGES = 3
"""Most changes of conditions that are told."""
LONGEST_CHANGE = 240


class Head(Struct, frozen=True):
    """Sentences for a person."""

    title: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    """What is missing, and what to keep in mind."""


def head(view: View) -> Head:
    """The head of a view's picture."""
    invocations = view.invocations
    failures = sum(one.outcome != "succeeded" and one.outcome != "unfinished" for one in invocations)
    names = list(dict.fromkeys(lane.life.function for lane in view.lanes)) or list(view.timeline.functions)
    told = f"{number(len(invocations), 'invocation')} in {number(len(view.lanes), 'environment')}"
    title = f"{told}, {f'{failures:,} failed' if failures else 'none failed'}" if invocations else "no invocations"
    if names:
        title = f"{clean(', '.join(names[:3]), 80)}{f' and {len(names) - 3} more' if len(names) > 3 else ''}: {title}"
    if not view.timeline.environments and not invocations:
        title = "Nothing happened in this story"
    header = view.timeline.header
    began = datetime.fromtimestamp(header.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    seconds = view.timeline.end - view.timeline.begin
    facts = [f"recorded {began}{f', for {duration(seconds)}' if seconds else ''}", level(header.level)]
    if view.invocations:
        facts.append(_connections(view))
    return Head(title, tuple(facts), tuple(_warnings(view)))


def _connections(view: View) -> str:
    connections = [one for lane in view.lanes for one in lane.connections]
    lost = sum(one.lost is not None for one in connections)
    freezes = sum(freeze.begin <= view.end and freeze.end >= view.begin for lane in view.lanes for freeze in lane.life.freezes)
    said = f"{number(freezes, 'freeze')}, {number(len(connections), 'connection')}"
    return f"{said}, {lost:,} of them lost" if lost else said


def level(recorded: dict[str, object]) -> str:
    """What was frozen, from a header's `level`."""
    freezer = recorded.get("freezer")
    processes = f"processes ({clean(str(freezer), 40)})" if freezer not in (None, "off") else ""
    network = "the network" if recorded.get("network_freezes") else ""
    frozen = " and ".join(part for part in (network, processes) if part)
    return f"freezes {frozen}" if frozen else "nothing was frozen"


def _warnings(view: View) -> list[str]:
    timeline = view.timeline
    said = []
    if timeline.truncated:
        said.append("The recording was cut off in the middle; this is what there is of it.")
    if not view.whole:
        begin, end = view.begin - timeline.begin, view.end - timeline.begin
        said.append(
            f"A part of the story: {number(len(view.lanes), 'environment')} of {len(timeline.environments) - view.unused:,}, "
            f"from {begin:.3f} s to {end:.3f} s after its beginning."
        )
    said += _chosen(view)
    freezes = [one for lane in view.lanes for one in lane.life.freezes if one.begin <= view.end and one.end >= view.begin]
    if moved := sum(freeze.moved_s > 0 for freeze in freezes):
        said.append(
            f"Clocks were moved on in {number(moved, 'freeze')}: times are those that an environment lived, and cannot be compared between two."
        )
    unrecorded = sum(lane.life.unrecorded for lane in view.lanes)
    if unrecorded:
        said.append(f"More happened than was recorded: {number(unrecorded, 'event')} of connections were left out.")
    if view.unused:
        said.append(f"{number(view.unused, 'environment')} kept ready and never used: not drawn.")
    return said


def _chosen(view: View) -> Iterator[str]:
    """What was chosen while functions ran: connections met that from then on."""
    for one in view.conditions[:CHANGES]:
        whose = f"environment {one.environment[:6]}" if one.environment else "all environments"
        if one.conditions is None:
            met = "what all others meet"
        else:
            boxes = one.conditions.middleboxes.texts()
            met = ", ".join(one.conditions.fates.texts()) + (f"; middleboxes {', '.join(boxes)}" if boxes else "")
        yield clean(f"From {one.at - view.timeline.begin:.3f} s on, connections of {whose} met {met}.", LONGEST_CHANGE)
    if (more := len(view.conditions) - CHANGES) > 0:
        yield f"That was changed {number(more, 'more time')}."
