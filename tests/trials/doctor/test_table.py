"""The verdict's table."""

from __future__ import annotations

from frostline.trials.doctor.plan import Cell
from frostline.trials.doctor.table import Table, table, told
from frostline.trials.doctor.verdict import Outcome, verdict
from tests.trials.doctor.examples import healthy, outcome_of

REDIS, API = "redis.local:6379", "api.local:443"


def drawn(*outcomes: Outcome, connections: tuple[str, ...] = (REDIS, API)) -> Table:
    return table(verdict("orders", healthy(*connections), outcomes, [], invocations=1, took_s=1.0))


def test_destinations_one_by_one_and_then_together() -> None:
    made = drawn(
        outcome_of(Cell(destination=None, happening="survive", gap_s=6.0)),
        outcome_of(Cell(destination=None, happening="lost", gap_s=61.0), slow=1),
        outcome_of(Cell(destination=API, happening="lost", gap_s=61.0), failed=1),
        outcome_of(Cell(destination=REDIS, happening="lost", gap_s=61.0), failed=2),
        outcome_of(Cell(destination=REDIS, happening="blackhole", gap_s=61.0), trials=0),
    )
    assert made.gaps == ("6s", "61s")
    assert [(group.title, [(row.label, [mark.text for mark in row.marks]) for row in group.rows]) for group in made.groups] == [
        ("every connection", [("nothing is lost", ["ok", ""])]),
        (REDIS, [("the server closes, FIN is lost", ["", "fails"]), ("the path falls silent", ["", "?"])]),
        (API, [("the server closes, FIN is lost", ["", "1/2"])]),
        ("all of them together", [("the server closes, FIN is lost", ["", "5.0s"])]),
    ]


def test_bad_moments_stand_by_themselves() -> None:
    made = drawn(
        outcome_of(Cell(destination=None, happening="survive", gap_s=6.0)),
        outcome_of(Cell(destination=None, happening="survive", gap_s=21.0, moment="lingering"), failed=2),
        outcome_of(Cell(destination=None, happening="lost", gap_s=2400.0, moment="after_init")),
    )
    assert made.gaps == ("6s",)
    assert [(label, mark.text) for label, mark in made.moments] == [
        ("kept awake, then with a ping on its way, for 21s", "fails"),
        ("before its first invocation, and the server closes, FIN is lost, for 40m", "ok"),
    ]


def test_a_mark_leads_to_its_cell() -> None:
    cell = Cell(destination=REDIS, happening="lost", gap_s=6.0)
    (group,) = drawn(outcome_of(cell)).groups
    assert group.rows[0].marks[0].cell == cell.name == "redis.local:6379 lost 6s"


def test_a_cell_in_words() -> None:
    assert told(Cell(destination=REDIS, happening="lost", gap_s=61.0)) == "redis.local:6379, the server closes, FIN is lost, for 61s"
    assert told(Cell(destination=None, happening="survive", gap_s=61.0)) == "nothing is lost, for 61s"
