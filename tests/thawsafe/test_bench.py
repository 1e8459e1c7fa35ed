"""The table of bench/thaw_table.py: how trials are counted and shown, and one small table made on Frostline."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.thaw.cells import CLIENTS, Cell, Observation, Question, Variant, as_json, cells, conditions, reached
from bench.thaw.servers import peer, serving
from bench.thaw.table import show

REPOSITORY = Path(__file__).parents[2]
LOST = Question("urllib3", "lost", "not_idempotent", 60.0)
RESET = "ConnectionResetError"


def trial(number: int, variant: Variant, first_ms: float | None, question: Question = LOST) -> Observation:
    name = f"{variant}-{number}"
    return Observation(
        question=question,
        variant=variant,
        waited=number == 0,
        request_id=name,
        key=name,
        warm_ms=1.0,
        first_ms=first_ms,
        error=RESET if first_ms is None else None,
    )


def two_trials() -> list[Cell]:
    observed = [trial(0, "bare", None), trial(1, "bare", 3.0), trial(0, "safe", 4.0), trial(1, "safe", 8.0)]
    return cells(observed, connects={"urllib3": [2.0, 3.0, 9.0]}, opened={"safe-0": 1, "safe-1": 2}, seen_twice=["safe-1", "another"])


def test_trials_are_counted() -> None:
    [cell] = two_trials()

    assert (cell.trials, cell.waited) == (2, 1)
    assert (cell.bare_ok, cell.safe_ok) == (1, 2)
    assert (cell.seen_twice, cell.bare_seen_twice) == (1, 0)
    assert (cell.extra_ms, cell.bare_extra_ms, cell.connect_ms) == (5.0, 2.0, 3.0)
    assert (cell.opened, cell.bare_opened) == (1.5, 0.0)
    assert (cell.errors, cell.bare_errors) == ({}, {RESET: 1})


def test_an_extra_time_that_nobody_measured_is_none() -> None:
    [cell] = cells([trial(0, "bare", None), trial(0, "safe", None)], connects={}, opened={}, seen_twice=[])

    assert cell.extra_ms is None
    assert cell.connect_ms is None
    assert reached([cell]).timed == 0


def test_what_the_table_comes_to() -> None:
    counted = reached(two_trials())

    assert (counted.cells, counted.safe_all_ok, counted.bare_all_ok, counted.seen_twice) == (1, 1, 0, 1)
    assert (counted.timed, counted.within_a_connection) == (1, 1), "5 ms is 3 ms, as far as can be told"


def test_a_cell_has_the_fields_that_are_promised() -> None:
    promised = {"client", "fate", "method", "idle_s", "trials", "bare_ok", "safe_ok", "seen_twice", "extra_ms"}

    assert promised <= json.loads(json.dumps(as_json(two_trials())))[0].keys()


def test_failures_are_shown() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    show(two_trials(), ["A note."], console)
    shown = console.export_text()

    assert "1/2 → 2/2, 1 seen twice  +5 ms" in shown
    assert "1m: waited for in 1 of 2 trials, clocks moved in the others" in shown.replace("60s", "1m")
    assert "A note." in shown


def test_a_peer_ends_a_connection_within_the_gap_where_its_end_matters() -> None:
    for fate, ends in (("fin_delivered", True), ("lost", True), ("blackhole", False), ("survive", False)):
        met = conditions(Question("urllib3", fate, "idempotent", 10.0))  # type: ignore[arg-type]
        assert met.fates.default == fate
        assert (met.middleboxes.default is not None) == ends


def test_each_cell_has_a_server_of_its_own_name() -> None:
    with serving(["http1", "redis", "http1"], 2) as servers:
        names = [upstream.name for upstream in servers.upstreams]

    assert names == [peer("http1", 0), peer("http1", 1), peer("redis", 0), peer("redis", 1)]


def test_every_client_has_its_module() -> None:
    for client in CLIENTS:
        assert (REPOSITORY / "bench" / "thaw" / "functions" / f"{client.module}.py").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_a_small_table() -> None:
    wanted = ["--client", "urllib3", "--client", "redis", "--fate", "lost", "--idle", "60s", "--trials", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "bench/thaw_table.py", *wanted], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    made = {(cell["client"], cell["method"]): cell for cell in json.loads(done.stdout)}
    assert len(made) == 4, done.stderr
    assert made["urllib3", "not_idempotent"]["bare_ok"] == 0, "a POST is not repeated by anybody"
    for cell in made.values():
        assert (cell["safe_ok"], cell["seen_twice"]) == (1, 0), cell


def test_a_client_that_there_is_not_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "bench/thaw_table.py", "--client", "telnet"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "urllib3" in done.stderr
