"""A story for a terminal: what it is, what was found, then the timeline. Rich's objects, which whoever prints them turns into text.

With three invocations everything is shown; with three thousand a summary and what failed, with what was before and after it. Plain text (no terminal, NO_COLOR)
loses nothing: every colour is also a character of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..diagnose.finding import Finding
from ..story.timeline import Connection, Invocation
from .head import head
from .terminal_lanes import Lanes
from .view import Lane, View, choose, choose_lanes, concern
from .words import SHORT_ID, became, carried, clean, duration, number, outcome, short, size

LANES = 40
"""Most environments in one picture, unless all are asked for."""
FEW = 3
"""So many environments, and the invocations of each are listed; of more, those of environments where something went wrong."""
LISTS = 10
"""Most environments of which invocations are listed."""
ROWS = 24
"""A lane with more invocations is summed up."""
CONNECTIONS = 8
"""Most connections of one environment."""
FINDINGS = 20

SEVERITIES = {"failure": "bold red", "risk": "bold yellow", "cost": "bold blue"}


def terminal(view: View, *, width: int, everything: bool = False, scale: bool = False) -> RenderableType:
    """The story, `width` characters wide. `everything`: every environment, invocation and connection; `scale`: time is not shortened."""
    parts: list[RenderableType] = [*_head(view), *_findings(view, everything=everything)]
    chosen = view.lanes if everything else choose_lanes(view.lanes, LANES)
    if chosen:
        parts += [Text(), *_lanes(view, chosen, width, everything=everything, scale=scale)]
    if len(chosen) < len(view.lanes):
        left_out = number(len(view.lanes) - len(chosen), "more environment")
        parts += [Text(), Text(f"{left_out} not drawn; --all draws them, --environment ID one of them.", style="bright_black")]
    listed = chosen if everything or len(chosen) <= FEW else choose_lanes([lane for lane in chosen if lane.trouble], LISTS)
    for lane in listed:
        parts += [Text(), *_list(view, lane, everything=everything)]
    troubled = sum(lane.trouble > 0 for lane in view.lanes)
    if len(listed) < troubled:
        parts += [
            Text(),
            Text(f"... and {troubled - len(listed):,} more with failures or findings; --all lists them", style="bright_black"),
        ]
    parts += _elsewhere(view)
    return Group(*parts)


def _head(view: View) -> list[RenderableType]:
    told = head(view)
    facts = ". ".join(fact[0].upper() + fact[1:] for fact in told.facts)
    return [Text(told.title, style="bold"), Text(f"{facts}."), *(Text(warning, style="yellow") for warning in told.warnings)]


# Findings --------------------------------------------------------------------------------------------------------------------------------


def _findings(view: View, *, everything: bool) -> list[RenderableType]:
    shown = view.findings if everything else view.findings[:FINDINGS]
    parts: list[RenderableType] = []
    for index, finding in enumerate(shown, 1):
        parts += [Text(), *_finding(view, index, finding)]
    if len(shown) < len(view.findings):
        parts += [Text(), Text(f"{number(len(view.findings) - len(shown), 'more finding')}; --all shows them.", style="bright_black")]
    return parts


def _finding(view: View, index: int, finding: Finding) -> Iterator[RenderableType]:
    often = f", {finding.times} times" if finding.times > 1 else ""
    yield Text.assemble((f"{index}  {clean(finding.rule)}", SEVERITIES[finding.severity]), (f"  {finding.severity}{often}", "bright_black"))
    yield Padding(Text(clean(finding.claim)), (0, 0, 0, 3))
    proof = Table.grid(padding=(0, 2, 0, 0))
    proof.add_column(justify="right", no_wrap=True, style="bright_black", min_width=11)
    proof.add_column()
    for one in finding.proof:
        proof.add_row(_since(view, one.at), Text(clean(one.text)))
    yield Padding(proof, (0, 0, 0, 3))
    for request_id in dict.fromkeys(finding.requests):
        count = f"  request {view.numbers[request_id]}" if request_id in view.numbers else ""
        yield Text.assemble("   in    ", clean(request_id), (count, "bright_black"))
    for cure in finding.cures:
        said = Text.assemble(("cure  ", "green"), (clean(cure.client), "bold"), "  ", (clean(cure.setting), "bold green"))
        said.append(f"  {clean(cure.why)}")
        yield Padding(said, (0, 0, 0, 3))


def _since(view: View, at: float) -> str:
    return f"{at - view.timeline.begin:.4f} s"


# The timeline ----------------------------------------------------------------------------------------------------------------------------


def _lanes(view: View, chosen: Sequence[Lane], width: int, *, everything: bool, scale: bool) -> Iterator[RenderableType]:
    lanes = Lanes(view, width, scale=scale)
    yield lanes.axis()
    for lane in chosen:
        yield from lanes.lane(lane)
        yield from lanes.connections(lane, len(lane.connections) if everything else CONNECTIONS)
    yield from lanes.legend(width)
    if not scale:
        yield Text("Time is not to scale: long stretches are shortened (--to-scale draws them as they were).", style="bright_black")


def _list(view: View, lane: Lane, *, everything: bool) -> Iterator[RenderableType]:
    """An environment's invocations with the gaps between them, then its connections."""
    yield Text.assemble((lane.life.short, "bold"), f"  {clean(lane.life.function)}  ", (_life(view, lane), "bright_black"))
    listed = _chosen(lane, everything=everything)
    for together, group in groupby(listed, key=lambda one: isinstance(one, Invocation)):
        if together:
            yield from _rows(view, lane, [one for one in group if isinstance(one, Invocation)])
        else:
            yield from (Text(f"  {_summed_up(one)}", style="bright_black") for one in group if not isinstance(one, Invocation))
    yield from _connections(view, lane, everything=everything)


def _life(view: View, lane: Lane) -> str:
    init = sum(phase.end - phase.begin for phase in lane.phases if phase.state == "initializing")
    frozen = sum(phase.end - phase.begin for phase in lane.phases if phase.state == "frozen")
    parts = [f"started at {_since(view, lane.life.started)}"]
    parts += [f"init {duration(init)}"] if init else []
    parts += [f"frozen {duration(frozen)} in all"] if frozen else []
    return ", ".join(parts)


def _rows(view: View, lane: Lane, invocations: list[Invocation]) -> Iterator[RenderableType]:
    gaps = {freeze.after: freeze for freeze in lane.life.freezes}
    digits = len(str(len(view.numbers)))
    for one in invocations:
        if (gap := gaps.get(one.request_id)) is not None:
            yield Text(f"  {'':{digits}}  frozen {duration(gap.gap_s)}", style="cyan")
        began, ended = one.started or one.arrived, one.finished
        took = duration(ended - began) if ended is not None else ""
        style = "red" if one.failed else "" if one.outcome == "succeeded" else "yellow"
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(min_width=digits, justify="right", no_wrap=True)
        row.add_column(min_width=SHORT_ID, no_wrap=True)
        row.add_column(min_width=11, justify="right", no_wrap=True)
        row.add_column(min_width=9, justify="right", no_wrap=True)
        row.add_column()
        row.add_row(str(view.numbers[one.request_id]), short(one.request_id), _since(view, began), took, Text(outcome(one), style=style))
        yield Padding(row, (0, 0, 0, 2))


def _chosen(lane: Lane, *, everything: bool) -> Iterator[Invocation | list[Invocation]]:
    """The invocations to list, and in between those that are summed up."""
    invocations = lane.invocations
    if everything or len(invocations) <= ROWS:
        yield from invocations
        return
    named = {request_id for finding in lane.findings for request_id in finding.requests}
    marked = [index for index, one in enumerate(invocations) if one.outcome != "succeeded" or one.request_id in named]
    listed = {near for index in marked[: ROWS // 3] for near in (index - 1, index, index + 1)}
    for is_listed, group in groupby(enumerate(invocations), key=lambda pair: pair[0] in listed):
        members = [one for _, one in group]
        if is_listed or len(members) == 1:
            yield from members
        else:
            yield members


def _summed_up(invocations: list[Invocation]) -> str:
    lengths = [one.finished - one.started for one in invocations if one.finished is not None and one.started is not None]
    bad = sum(one.outcome != "succeeded" for one in invocations)
    said = f"... {len(invocations):,} more, {f'{bad:,} of them not' if bad else 'all'} succeeded"
    return f"{said}; {duration(min(lengths))} to {duration(max(lengths))}, median {duration(median(lengths))}" if lengths else said


def _connections(view: View, lane: Lane, *, everything: bool) -> Iterator[RenderableType]:
    crowded = len(lane.connections) > CONNECTIONS and not everything
    chosen = [one for one in choose(lane, CONNECTIONS) if concern(one, lane.findings)] if crowded else lane.connections
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in chosen:
        table.add_row(*_connection(view, one))
    if chosen:
        yield Padding(table, (0, 0, 0, 2))
    if left := len(lane.connections) - len(chosen):
        yield Text(f"  {number(left, 'more connection' if chosen else 'connection')}; --all lists them", style="bright_black")
    for refused in lane.refused[: None if everything else CONNECTIONS]:
        name = clean(f"{refused.host or refused.address}:{refused.port}")
        yield Text(f"  connection to {name} refused at {_since(view, refused.at)}: {clean(refused.reason)}", style="red")


def _connection(view: View, one: Connection) -> tuple[Text, ...]:
    sent, received = carried(one)
    opened = f"opened at {_since(view, one.opened.at)}"
    if one.opened.request_id is not None:
        opened += f" in {short(one.opened.request_id)}"
    style = "red" if concern(one, ()) > 1 else ""
    return (
        Text(f"connection {one.number}", style="bright_black"),
        Text(clean(one.name)),
        Text(opened, style="bright_black"),
        Text(f"↓ {size(sent)} ↑ {size(received)}", style="bright_black"),
        Text(became(one), style=style),
    )


def _elsewhere(view: View) -> list[RenderableType]:
    """Invocations that no environment served."""
    homeless = [one for one in view.invocations if one.environment is None]
    if not homeless:
        return []
    parts: list[RenderableType] = [Text(), Text(f"{number(len(homeless), 'invocation')} that no environment served", style="bold")]
    parts += [
        Text(f"  {view.numbers[one.request_id]}  {short(one.request_id)}  {_since(view, one.arrived)}  {outcome(one)}")
        for one in homeless[:ROWS]
    ]
    if len(homeless) > ROWS:
        parts.append(Text(f"  ... {len(homeless) - ROWS:,} more", style="bright_black"))
    return parts
