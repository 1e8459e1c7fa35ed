"""`frostline demo`: the command. What it does is in `demo_run`, which is imported when it is called: other commands need none of it."""

from __future__ import annotations

from pathlib import Path

import click

INCIDENTS = ("pool", "keepalive")
"""Their names; what they are is in `trials.incidents`."""


@click.command()
@click.argument("incident", type=click.Choice(INCIDENTS))
@click.option("--trials", "-n", type=click.IntRange(1, 1000), default=5, show_default=True, help="Trials for each cell of the table.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: what failed, how often, and what was found.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="Where a failing trial's story and its picture are written. Default: here.",
)
def demo(incident: str, trials: int, as_json: bool, output: Path) -> None:
    """Show an incident that is known from production: how it fails, why, and what cures it.

    pool: the server closes an idle connection while the function is frozen, and the next POST goes into it. In Go (net/http) and in Python
    (requests, httpx, aiohttp).

    keepalive: a keep-alive PING is in flight when the function freezes, and times out at the thaw, before its answer is read. In Node (grpc-js).

    The functions' packages are fetched once, into the cache. Clients whose language is not on this machine are left out.
    """
    from .demo_run import demonstrate

    demonstrate(incident, trials, output, as_json=as_json)
