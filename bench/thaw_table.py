"""Which first requests after a thaw succeed, bare and with thawsafe, and what they cost: client x fate x method x idle time, on Frostline.

    .venv/bin/python bench/thaw_table.py                                    a table
    .venv/bin/python bench/thaw_table.py --json --trials 3                  a list of cells
    .venv/bin/python bench/thaw_table.py --client redis --fate blackhole    a part of it

A function makes requests with one client, whose connection is kept from one invocation to the next. Its environment freezes; in the gap its connection
meets its fate; the first request after the thaw is what counts. With thawsafe it is the same function: the layer and AWS_LAMBDA_EXEC_WRAPPER are added,
and no line of it changes. Short gaps are waited for in one trial of each cell, all others are made to pass by moving clocks (docs/time-warp.md).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from frostline.core.durations import parse_duration, spoken
from frostline.core.fates import Fate
from frostline.project import ProjectError
from frostline.sandbox.port import SandboxError
from frostline.trials.doctor.fix import NoFix
from frostline.trials.trial import TrialError
from thaw.cells import CLIENTS, FATES, IDLES_S, as_json
from thaw.lives import Told, Wanted, carry_out
from thaw.table import show

DEFAULT_TRIALS = 2


def main() -> int:
    """The command line; returns the exit status."""
    arguments = _arguments()
    wanted = Wanted(
        clients=tuple(client for client in CLIENTS if client.name in (arguments.client or [each.name for each in CLIENTS])),
        fates=tuple(fate for fate in FATES if fate in (arguments.fate or FATES)),
        idles=tuple(sorted(set(arguments.idle or IDLES_S))),
        trials=arguments.trials,
    )
    try:
        told = _make(wanted, Console(stderr=True))
    except (SandboxError, ProjectError, NoFix, TrialError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(as_json(told.cells), indent=2))
        for note in told.notes:
            print(f"bench: {note}", file=sys.stderr)
    else:
        console = Console()
        show(told.cells, told.notes, console if console.is_terminal else Console(width=160))
    return 0


def _make(wanted: Wanted, errors: Console) -> Told:
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory(prefix="frostline-thaw-") as folder, Progress(*columns, console=errors) as progress:
        task = progress.add_task("environments")
        return _run(
            wanted,
            Path(folder),
            lambda count: progress.update(task, total=count),
            lambda _: progress.advance(task),
        )


def _run(wanted: Wanted, folder: Path, on_plan: Callable[[int], None], on_trial: Callable[[str], None]) -> Told:
    try:
        import uvloop

        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        loop_factory = None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(carry_out(wanted, folder, on_plan, on_trial))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print a list of cells")
    parser.add_argument("--trials", type=_count, default=DEFAULT_TRIALS, help="of each cell, bare and with thawsafe (default %(default)s)")
    names = [client.name for client in CLIENTS]
    parser.add_argument("--client", action="append", choices=names, metavar="CLIENT", help=f"only this one; repeatable: {', '.join(names)}")
    parser.add_argument("--fate", action="append", choices=get_args(Fate), help="only this one; repeatable")
    parser.add_argument(
        "--idle", action="append", type=_idle, metavar="TIME", help=f"instead of {', '.join(map(spoken, IDLES_S))}; repeatable"
    )
    return parser.parse_args()


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of trials: 1 to 1000")
    return int(text)


def _idle(text: str) -> float:
    seconds = parse_duration(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time above zero: 10s, 6m, 6h")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
