"""The cells for a person."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from frostline.core.durations import spoken

from .cells import Cell, reached, within_a_connection

LEGEND = (
    "Each cell: first requests after the thaw that succeeded, bare → with thawsafe, and what they took longer than a warm request with thawsafe "
    "(the median). Red: one failed with thawsafe, or the server saw one twice. Yellow: longer than one new connection."
)


def show(cells: Sequence[Cell], notes: Sequence[str], console: Console) -> None:
    """Print everything."""
    for client in dict.fromkeys(cell.client for cell in cells):
        console.print(_of_client([cell for cell in cells if cell.client == client]))
    if cells:
        console.print(Text(LEGEND, style="dim"))
        console.print(Text(_gaps(cells), style="dim"))
        console.print(_summary(cells))
    for note in notes:
        console.print(Text(note, style="yellow"))


def _of_client(cells: Sequence[Cell]) -> RenderableType:
    idles = list(dict.fromkeys(cell.idle_s for cell in cells))
    table = Table(title=_title(cells), title_justify="left", title_style="bold")
    for name in ("fate", "method", *map(spoken, idles)):
        table.add_column(name)
    rows = dict.fromkeys((cell.fate, cell.method) for cell in cells)
    by_place = {(cell.fate, cell.method, cell.idle_s): cell for cell in cells}
    for fate, method in rows:
        table.add_row(fate, method.replace("_", " "), *(_cell(by_place.get((fate, method, idle))) for idle in idles))
    errors = [
        Text(f"  {cell.fate}, {cell.method.replace('_', ' ')}, {spoken(cell.idle_s)}: {times} x {error.splitlines()[0]}", style="red")
        for cell in cells
        for error, times in cell.errors.items()
    ]
    return Group(table, *errors, Text())


def _title(cells: Sequence[Cell]) -> str:
    connect = cells[0].connect_ms
    return cells[0].client + ("" if connect is None else f"  (a new connection after a thaw: {connect:.0f} ms)")


def _cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text("not tried", style="dim")
    rates = f"{cell.bare_ok}/{cell.trials} → {cell.safe_ok}/{cell.trials}"
    if cell.seen_twice:
        rates += f", {cell.seen_twice} seen twice"
    if cell.extra_ms is not None:
        rates += f"  {cell.extra_ms:+.0f} ms"
    if cell.safe_ok < cell.trials or cell.seen_twice:
        return Text(rates, style="red")
    late = cell.connect_ms is not None and not within_a_connection(cell)
    return Text(rates, style="yellow" if late else "")


def _gaps(cells: Sequence[Cell]) -> str:
    waited = {cell.idle_s: cell.waited for cell in cells}
    said = [f"{spoken(idle)}: {'waited for' if count else 'clocks moved'}{_partly(cells, idle)}" for idle, count in sorted(waited.items())]
    return f"Gaps. {'; '.join(said)}."


def _partly(cells: Sequence[Cell], idle: float) -> str:
    """Where only some trials waited."""
    cell = next(cell for cell in cells if cell.idle_s == idle)
    return f" in {cell.waited} of {cell.trials} trials, clocks moved in the others" if 0 < cell.waited < cell.trials else ""


def _summary(cells: Sequence[Cell]) -> RenderableType:
    """What the table comes to, for all and for each client."""
    table = Table(title="In all", title_justify="left", title_style="bold")
    table.add_column("client")
    for name in ("cells", "all ok, bare", "all ok, thawsafe", "seen twice", "extra, median", "new connection", "at most that"):
        table.add_column(name, justify="right")
    clients = list(dict.fromkeys(cell.client for cell in cells))
    for client in clients:
        _add(table, client, [cell for cell in cells if cell.client == client])
    if len(clients) > 1:
        table.add_section()
        _add(table, "all", cells)
    return table


def _add(table: Table, name: str, cells: Sequence[Cell]) -> None:
    counted = reached(cells)
    extras = [cell.extra_ms for cell in cells if cell.extra_ms is not None]
    connects = [cell.connect_ms for cell in cells if cell.connect_ms is not None]
    table.add_row(
        name,
        str(counted.cells),
        str(counted.bare_all_ok),
        Text(str(counted.safe_all_ok), style="" if counted.safe_all_ok == counted.cells else "red"),
        Text(str(counted.seen_twice), style="red" if counted.seen_twice else ""),
        f"{statistics.median(extras):.1f} ms" if extras else "",
        f"{statistics.median(connects):.1f} ms" if connects else "",
        f"{counted.within_a_connection} of {counted.timed}",
    )
