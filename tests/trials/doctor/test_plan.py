"""Which trials a function gets."""

from __future__ import annotations

from frostline.core.middlebox import MIDDLEBOXES
from frostline.core.upstream import parse
from frostline.trials.doctor.limits import server
from frostline.trials.doctor.plan import GAPS_S, HAPPENINGS, LINGERING_GAPS_S, Cell, Plan, conditions, plan
from tests.trials.doctor.examples import destination, healthy

REDIS, API = "redis.local:6379", "api.local:443"


def gaps_of(made: Plan, happening: str, to: str | None) -> list[float]:
    return [cell.gap_s for cell in made.cells if (cell.happening, cell.destination, cell.moment) == (happening, to, "idle")]


def test_each_destination_alone_and_those_together_to_which_it_can_happen() -> None:
    made = plan(healthy(REDIS, API), trials=2, warps=True)
    assert gaps_of(made, "lost", API) == [6.0, 61.0, 351.0, 2400.0, 21600.0]
    assert gaps_of(made, "lost", REDIS) == gaps_of(made, "lost", None) == [351.0, 2400.0, 21600.0]
    assert made.untried == ()


def test_one_destination_is_not_asked_about_twice() -> None:
    made = plan(healthy(REDIS), trials=2, warps=True)
    assert all(cell.destination == REDIS for cell in made.cells if cell.happening != "survive")


def test_nothing_is_tried_that_cannot_happen_in_so_short_a_time() -> None:
    made = plan(healthy(API), trials=1, warps=True)
    for name in ("nat-gateway", "alb"):
        assert gaps_of(made, name, API) == [gap for gap in GAPS_S if gap > MIDDLEBOXES[name].idle_s]
    assert gaps_of(made, "blackhole", API) == [351.0, 2400.0, 21600.0]
    assert gaps_of(made, "survive", None) == list(GAPS_S)
    assert gaps_of(plan(healthy(REDIS), trials=1, warps=True), "alb", REDIS) == []


def test_a_stand_in_closes_when_it_says_so() -> None:
    stand_ins = parse(["a.local:80=http1,idle=60", "b.local:80=http1,idle=never"])
    found = [destination(f"{name}.local:80", server(f"{name}.local", 80, stand_ins, http2=False)) for name in "ab"]
    made = plan(healthy(*found), trials=1, warps=True)
    assert gaps_of(made, "lost", "a.local:80") == [61.0, 351.0, 2400.0, 21600.0]
    assert gaps_of(made, "lost", "b.local:80") == []


def test_without_a_connection_only_time_passes() -> None:
    made = plan(healthy(), trials=1, warps=True)
    assert [(cell.happening, cell.moment, cell.gap_s) for cell in made.cells] == [("survive", "idle", gap) for gap in GAPS_S]


def test_worst_moments_of_connections_that_are_kept() -> None:
    made = plan(healthy(REDIS), trials=1, warps=True)
    assert [(cell.moment, cell.gap_s) for cell in made.cells if cell.moment != "idle"] == [
        ("in_flight", 6.0),
        *(("lingering", gap) for gap in LINGERING_GAPS_S),
    ]
    closed = plan(healthy(destination(keeps="closed")), trials=1, warps=True)
    assert {cell.moment for cell in closed.cells} == {"idle", "in_flight"}


def test_no_worst_moment_where_a_stand_in_closes_the_connection_anyway() -> None:
    def moments(idle: str) -> list[tuple[str, float]]:
        known = server("api.local", 443, parse([f"{API}=http1,idle={idle}"]), http2=False)
        made = plan(healthy(destination(API, known)), trials=1, warps=True)
        return [(cell.moment, cell.gap_s) for cell in made.cells if cell.moment != "idle"]

    assert moments("5") == []
    assert moments("20") == [("in_flight", 6.0), ("lingering", 6.0)]
    assert len(moments("60")) == len(moments("never")) == 3


def test_a_connection_of_the_init_is_frozen_before_it_is_used() -> None:
    made = plan(healthy(destination(in_init=True)), trials=1, warps=True)
    assert [cell.happening for cell in made.cells if cell.moment == "after_init"] == list(HAPPENINGS[:4])


def test_gaps_that_nobody_would_wait_for_are_said_to_be_untried() -> None:
    made = plan(healthy(API), trials=1, warps=False, why_not="its clocks cannot be moved (static)")
    assert {cell.gap_s for cell in made.cells} == {1.0, 6.0}
    (untried,) = made.untried
    assert untried.what == "gaps of 61s, 351s, 40m, 6h"
    assert untried.why == "its clocks cannot be moved (static), so they would have to be waited for"


def test_the_number_of_invocations_is_known_before() -> None:
    made = plan(healthy(destination(API, in_init=True)), trials=3, warps=True, gaps=(6.0,))
    # survive, fin_delivered, lost; in flight, and lingering twice; four right after the init, which has one invocation less before the gap and one less after.
    assert made.invocations == 3 * (3 * 4 + 3 * 4 + 4 * 2)


def test_the_chosen_destination_meets_it_and_the_others_survive() -> None:
    found = [destination(REDIS), destination(API)]
    met = conditions(Cell(destination=REDIS, happening="lost", gap_s=351.0), found)
    assert met.fates.of(["redis.local"], 6379) == "lost"
    assert met.fates.of(["api.local"], 443) == "survive"
    peer = met.middleboxes.of(["redis.local"], 6379)
    assert peer is not None and (peer.name, peer.idle_s, peer.then) == ("peer", 300.0, "fin")
    assert met.middleboxes.of(["api.local"], 443) is None


def test_a_stand_in_needs_nobody_to_end_its_connections() -> None:
    stand_in = destination(API, server("api.local", 443, parse([f"{API}=http1,tls,idle=60"]), http2=False))
    met = conditions(Cell(destination=API, happening="lost", gap_s=61.0), [stand_in])
    assert (met.fates.of(["api.local"], 443), met.middleboxes.of(["api.local"], 443)) == ("lost", None)


def test_a_nat_gateway_forgets_while_both_ends_live() -> None:
    met = conditions(Cell(destination=None, happening="nat-gateway", gap_s=351.0), [destination()])
    assert met.fates.of(["redis.local"], 6379) == "survive"
    assert met.middleboxes.of(["redis.local"], 6379) == MIDDLEBOXES["nat-gateway"]


def test_answers_are_on_their_way_where_the_path_is_long() -> None:
    assert conditions(Cell(destination=None, happening="survive", gap_s=6.0, moment="in_flight"), [destination()]).latency_s > 0
    assert conditions(Cell(destination=None, happening="survive", gap_s=6.0), [destination()]).latency_s == 0
