"""What thawsafe costs where nothing froze: processor time of a request over the bare client, memory that stays behind, and importing it.

    .venv/bin/python bench/thaw_hot_path.py                 a table
    .venv/bin/python bench/thaw_hot_path.py --json          one object
    .venv/bin/python bench/thaw_hot_path.py --client redis  one client; repeatable

Requests follow one another on a connection in use, inside a marked invocation that has a deadline, to a server on the loopback in another process. Batches
without and with `thawsafe.install()` take turns in one process, so that a machine that grows slower is slow for both.

What is measured is the process's own processor time. Whatever disturbs a request only adds to it, so a batch is as fast as its fastest tenth. Each batch is
compared with the one beside it: `added_us` is the median of these differences, and `error_us` how far off that can be (half of its 95 % confidence interval, by
the ranks of the differences, which need no distribution). `calls` and `builtins` are what thawsafe's code calls during a request: the same on every machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import thawsafe
from thaw.cells import CLIENTS, Client
from thaw.counting import Calls, calls
from thaw.lives import FUNCTIONS
from thaw.loopback import on_loopback
from thawsafe._install.installer import uninstall

BATCH = 60
"""Requests that are measured together."""
WARM = 30
"""Requests before them: Python's interpreter adapts to the classes that were changed."""
COUNTED = 20
"""Requests whose calls are counted; the least of them is told, since now and then one comes so late that its connection is looked at."""
GROWTH_REQUESTS = 2000
LIBRARY = str(Path(thawsafe.__file__).parent)
_T = TypeVar("_T")
IMPORTS = 20

IMPORTING = """
import sys, time
before = set(sys.modules)
began = time.perf_counter()
import thawsafe
took = time.perf_counter() - began
print(took * 1000, sorted({name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names) - {"thawsafe"}))
"""


class Context:
    """Lambda's, as far as thawsafe asks it."""

    aws_request_id = "hot-path"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 900_000


class Subject:
    """One client, without and with thawsafe."""

    def __init__(self, client: Client, peer: str) -> None:
        self._module: Any = import_module(client.module)
        self._number = 0
        self._bare = self._module.connect(peer)
        self._request(self._bare)
        thawsafe.install()
        self._safe = self._module.connect(peer)
        self._request(self._safe)
        uninstall()

    def _request(self, held: Any) -> None:
        self._number += 1
        self._module.request(held, f"key-{self._number % 100}", idempotent=True)

    def bare(self, requests: int = BATCH) -> list[int]:
        """Nanoseconds of each request, without thawsafe."""
        return _invoke({"do": lambda: self._timed(self._bare, requests)}, Context())

    def safe(self, requests: int = BATCH) -> list[int]:
        """The same with it."""
        thawsafe.install()
        try:
            return _invoke({"do": lambda: self._timed(self._safe, requests)}, Context())
        finally:
            uninstall()

    def counted(self) -> Calls:
        """What thawsafe's code calls during a request."""
        thawsafe.install()
        try:
            return _invoke({"do": self._counted}, Context())
        finally:
            uninstall()

    def _counted(self) -> Calls:
        for _ in range(WARM):
            self._request(self._safe)
        return min(calls(LIBRARY, lambda: self._request(self._safe)) for _ in range(COUNTED))

    def _timed(self, held: Any, requests: int) -> list[int]:
        for _ in range(WARM):
            self._request(held)
        took = []
        for _ in range(requests):
            began = time.process_time_ns()
            self._request(held)
            took.append(time.process_time_ns() - began)
        return took

    def close(self) -> None:
        """Both clients."""
        self._module.close(self._bare)
        self._module.close(self._safe)


@thawsafe.handler
def _invoke(event: dict[str, Callable[[], _T]], context: Context) -> _T:  # noqa: ARG001 - the decorator reads it
    """As a function is invoked: what is judged knows of the invocation and of its deadline."""
    return event["do"]()


def measure(client: Client, peer: str, pairs: int) -> dict[str, Any]:
    """The figures of one client."""
    subject = Subject(client, peer)
    bare, safe = [], []
    gc.collect()
    gc.disable()
    try:
        for number in range(pairs):
            if number % 2:
                safe.append(subject.safe())
                bare.append(subject.bare())
            else:
                bare.append(subject.bare())
                safe.append(subject.safe())
            gc.collect()
        grown = _grown(subject.safe) - _grown(subject.bare)
        counted = subject.counted()
    finally:
        gc.enable()
        subject.close()
    added, error = difference(bare, safe)
    return {
        "client": client.name,
        "bare_us": round(statistics.median(undisturbed(batch) for batch in bare), 2),
        "safe_us": round(statistics.median(undisturbed(batch) for batch in safe), 2),
        "added_us": round(added, 2),
        "error_us": round(error, 2),
        "calls": counted.python,
        "builtins": counted.builtin,
        "blocks_kept": grown,
    }


def undisturbed(batch: Sequence[int]) -> float:
    """Microseconds of a request that nothing disturbed: what the fastest tenth stays below."""
    return statistics.quantiles(batch, n=10)[0] / 1000


def difference(bare: Sequence[Sequence[int]], safe: Sequence[Sequence[int]]) -> tuple[float, float]:
    """The median of what each batch took longer than the one beside it, and half of its 95 % confidence interval. Microseconds."""
    differences = sorted(undisturbed(slow) - undisturbed(fast) for fast, slow in zip(bare, safe, strict=True))
    count = len(differences)
    rank = max(math.floor(count / 2 - 0.98 * math.sqrt(count)), 0)
    return statistics.median(differences), (differences[count - 1 - rank] - differences[rank]) / 2


def _grown(batch: Callable[[int], list[int]]) -> int:
    """Blocks of memory that are left of `GROWTH_REQUESTS` requests."""
    batch(GROWTH_REQUESTS // 2)
    gc.collect()
    before = sys.getallocatedblocks()
    batch(GROWTH_REQUESTS)
    gc.collect()
    return sys.getallocatedblocks() - before


def importing() -> dict[str, Any]:
    """What `import thawsafe` costs a fresh interpreter, and which modules it brings that are not the standard library's."""
    took, foreign = [], ""
    for _ in range(IMPORTS):
        said = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=True).stdout
        milliseconds, _, foreign = said.strip().partition(" ")
        took.append(float(milliseconds))
    return {"median_ms": round(statistics.median(took), 3), "slowest_ms": round(max(took), 3), "foreign_modules": foreign.strip("[]")}


def table(result: dict[str, Any]) -> str:
    """The figures for a person."""
    told = result["import"]
    lines = [f"import thawsafe: {told['median_ms']:.2f} ms; beyond the standard library: {told['foreign_modules'] or 'nothing'}", ""]
    lines.append(
        f"{'client':<20}{'bare':>10}{'thawsafe':>10}{'added':>8}{'+-':>7}  us a request{'calls':>8}{'builtins':>10}    blocks kept of {GROWTH_REQUESTS}"
    )
    for row in result["hot_path"]:
        figures = f"{row['bare_us']:>10.1f}{row['safe_us']:>10.1f}{row['added_us']:>8.2f}{row['error_us']:>7.2f}"
        counted = f"{row['calls']:>22}{row['builtins']:>10}{row['blocks_kept']:>20}"
        lines.append(f"{row['client']:<20}{figures}{counted}")
    return "\n".join(lines)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    names = [client.name for client in CLIENTS]
    parser.add_argument("--client", action="append", choices=names, metavar="CLIENT", help=f"only this one; repeatable: {', '.join(names)}")
    parser.add_argument("--pairs", type=int, default=60, help="batches of each (default %(default)s)")
    arguments = parser.parse_args()
    os.environ["THAWSAFE_ENVIRONMENT"] = "lambda"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        os.environ[name] = "us-east-1"
    sys.path.append(str(FUNCTIONS))
    clients = [client for client in CLIENTS if client.name in (arguments.client or names)]
    try:
        with on_loopback([client.server for client in clients]) as peers:
            rows = [measure(client, peers[client.server], max(arguments.pairs, 4)) for client in clients]
    except OSError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    result = {"import": importing(), "hot_path": rows}
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
