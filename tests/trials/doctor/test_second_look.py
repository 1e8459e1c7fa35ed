"""What may have been the machine's slowness is tried again, and nothing else."""

from __future__ import annotations

from msgspec.structs import replace

from frostline.trials.doctor.plan import Cell
from frostline.trials.doctor.second_look import MOST_CELLS, doubtful
from frostline.trials.doctor.verdict import Outcome
from tests.trials.doctor.examples import outcome_of

FINE = outcome_of(Cell(destination=None, happening="survive", gap_s=6.0))


def failed(count: int, *, of_time: bool = True) -> Outcome:
    cell = Cell(destination="redis.local:6379", happening="blackhole", gap_s=351.0)
    return replace(outcome_of(cell, failed=count, trials=2), ran_out_of_time=of_time)


def test_where_time_limits_are_all_that_failed_they_are_tried_again() -> None:
    assert doubtful([FINE, failed(2), FINE, failed(1)]) == {1: 2, 3: 4}
    assert doubtful([FINE]) == {}


def test_what_failed_of_something_else_decides_by_itself() -> None:
    assert doubtful([failed(1), failed(1, of_time=False)]) == {}


def test_many_failures_need_no_second_look() -> None:
    assert len(doubtful([failed(2)] * MOST_CELLS)) == MOST_CELLS
    assert doubtful([failed(2)] * (MOST_CELLS + 1)) == {}
