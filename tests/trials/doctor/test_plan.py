"""Which trials a function gets."""

from __future__ import annotations

from frostline.core.middlebox import MIDDLEBOXES
from frostline.trials.doctor.plan import GAPS_S, Cell, conditions, plan
from tests.trials.doctor.examples import destination, healthy


def test_each_destination_alone_and_all_together() -> None:
    made = plan(healthy("redis.local:6379", "api.local:443"), trials=2, warps=True)
    asked = {(cell.destination, cell.happening) for cell in made.cells if cell.moment == "idle"}
    for scope in ("redis.local:6379", "api.local:443", None):
        assert {(scope, happening) for happening in ("fin_delivered", "lost", "blackhole", "nat-gateway", "alb")} <= asked
    assert made.untried == ()


def test_one_destination_is_not_asked_about_twice() -> None:
    made = plan(healthy("redis.local:6379"), trials=2, warps=True)
    assert all(cell.destination == "redis.local:6379" for cell in made.cells if cell.happening != "survive")


def test_a_middlebox_is_tried_where_it_does_something() -> None:
    made = plan(healthy("redis.local:6379"), trials=1, warps=True)
    for name in ("nat-gateway", "alb"):
        gaps = [cell.gap_s for cell in made.cells if cell.happening == name]
        assert gaps == [gap for gap in GAPS_S if gap > MIDDLEBOXES[name].idle_s]


def test_without_a_connection_only_time_passes() -> None:
    made = plan(healthy(), trials=1, warps=True)
    assert {cell.happening for cell in made.cells} == {"survive"}
    assert [cell.gap_s for cell in made.cells] == list(GAPS_S)


def test_gaps_that_nobody_would_wait_for_are_said_to_be_untried() -> None:
    made = plan(healthy("redis.local:6379"), trials=1, warps=False)
    assert {cell.gap_s for cell in made.cells} == {1.0, 6.0}
    (untried,) = made.untried
    assert untried.what == "gaps of 61s, 351s, 40m, 6h"


def test_the_number_of_invocations_is_known_before() -> None:
    made = plan(healthy("redis.local:6379"), trials=3, warps=True, gaps=(1.0,))
    # Four happenings, and one frozen in mid-answer.
    assert made.invocations == 3 * (4 * 4 + 5)


def test_the_chosen_destination_meets_it_and_the_others_survive() -> None:
    found = [destination("redis.local:6379"), destination("api.local:443")]
    met = conditions(Cell(destination="redis.local:6379", happening="lost", gap_s=61.0), found)
    assert met.fates.of(["redis.local"], 6379) == "lost"
    assert met.fates.of(["api.local"], 443) == "survive"
    peer = met.middleboxes.of(["redis.local"], 6379)
    assert peer is not None and peer.idle_s < 61.0 and peer.then == "fin"
    assert met.middleboxes.of(["api.local"], 443) is None


def test_a_nat_gateway_forgets_while_both_ends_live() -> None:
    met = conditions(Cell(destination=None, happening="nat-gateway", gap_s=351.0), [destination()])
    assert met.fates.of(["redis.local"], 6379) == "survive"
    assert met.middleboxes.of(["redis.local"], 6379) == MIDDLEBOXES["nat-gateway"]
