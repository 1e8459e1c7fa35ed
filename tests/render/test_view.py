"""What is shown of a story: all of it, one environment, or what leads to one request; and what is worth a look first."""

from __future__ import annotations

from msgspec.structs import replace

from frostline.core import fates, middlebox
from frostline.core.conditions import Conditions
from frostline.core.events import ConditionsChanged
from frostline.render.head import head, level
from frostline.render.view import around, choose, choose_lanes, concern, ends, select, spoiled
from tests.render import stories
from tests.render.stories import BEGAN


def test_everything_is_shown_unless_a_part_is_asked_for() -> None:
    view = select(stories.crowd(60, 3, 6).timeline())
    assert view.whole and len(view.lanes) == 3 and len(view.invocations) == 60
    only = select(view.timeline, environments=[view.lanes[1].life.id])
    assert not only.whole and [lane.life.id for lane in only.lanes] == [view.lanes[1].life.id]
    assert len(only.invocations) == 20
    assert {one.environment for one in only.lanes[0].connections} == {only.lanes[0].life.id}


def test_an_environment_that_was_only_kept_ready_is_counted_and_not_drawn() -> None:
    told = stories.pool()
    told.start("spare" * 5, "orders", 1.0)
    told.moves("spare" * 5, (1.0, "starting"), (1.1, "prepared"))
    view = select(told.timeline())
    assert len(view.lanes) == 1 and view.unused == 1 and view.whole
    assert "1 environment kept ready and never used: not drawn." in head(view).warnings


def test_what_connections_met_from_a_moment_on_is_said_above_the_picture() -> None:
    told = stories.pool()
    met = Conditions(fates=fates.parse(["survive"]), middleboxes=middlebox.parse(["alb"]))
    for number in range(5):
        whose, chosen = (stories.POOL, None) if number else ("", met)
        told.network(ConditionsChanged(environment=whose, at=BEGAN + 1 + number / 10, conditions=chosen))
    said = head(select(told.timeline())).warnings
    assert said[0] == "From 1.000 s on, connections of all environments met survive; middleboxes alb."
    assert said[1] == f"From 1.100 s on, connections of environment {stories.POOL[:6]} met what all others meet."
    assert said[3] == "That was changed 2 more times."


def test_a_freeze_in_which_clocks_were_moved_is_told_apart() -> None:
    timeline = stories.pool().timeline()
    timeline.environments[stories.POOL].freezes[0].moved_s = 3600.0
    assert head(select(timeline)).warnings[0].startswith("Clocks were moved on in 1 freeze: times are those that an environment lived")


def test_the_stretch_around_a_request_reaches_to_the_one_before_and_to_the_other_end_of_a_finding() -> None:
    timeline = stories.keepalive_timeline()
    begin, end = around(timeline, timeline.invocations[stories.K3], [])
    assert BEGAN + 8.0 < begin < BEGAN + 8.9 and end > BEGAN + 13.3
    begin, end = around(timeline, timeline.invocations[stories.K2], [stories.KEEPALIVE_FINDING])
    assert begin < BEGAN + 0.413 and end > BEGAN + 13.3
    view = select(timeline, [stories.KEEPALIVE_FINDING], begin=begin, end=end)
    assert view.findings == (stories.KEEPALIVE_FINDING,)
    early = select(timeline, [stories.KEEPALIVE_FINDING], end=BEGAN + 1)
    assert early.findings == () and [one.request_id for one in early.invocations] == [stories.K1]


def test_a_freeze_at_the_edge_keeps_its_true_length() -> None:
    view = select(stories.keepalive_timeline(), begin=BEGAN + 8, end=BEGAN + 10)
    assert [round(phase.end - phase.begin, 2) for phase in view.lanes[0].phases if phase.state == "frozen"] == [8.38, 3.39]


def test_a_lost_connection_ends_for_its_peer_first() -> None:
    timeline = stories.pool().timeline()
    life = timeline.environments[stories.POOL]
    near, far = ends(timeline.connections[1], life, timeline.end)
    assert (round(near - BEGAN, 4), round(far - BEGAN, 4)) == (4.5919, 3.0871)
    assert ends(timeline.connections[2], life, timeline.end) == (timeline.end, timeline.end)


def test_an_environments_own_end_of_a_lost_connection_is_no_write_that_went_wrong() -> None:
    timeline = stories.pool().timeline()
    connection, life = timeline.connections[1], timeline.environments[stories.POOL]
    assert spoiled(connection)
    connection.first_writes = [replace(first, sent=0) for first in connection.first_writes]
    assert spoiled(connection) == []
    assert round(ends(connection, life, timeline.end)[0] - BEGAN, 4) == 4.5919


def test_connections_that_matter_are_chosen_first() -> None:
    view = select(stories.crowd(400, 1, 10).timeline())
    lane = view.lanes[0]
    wrong = [one for one in lane.connections if one.lost is not None]
    assert wrong and all(concern(one, ()) == 2 for one in wrong)
    chosen = choose(lane, 3)
    assert len(chosen) == 3 and set(map(id, wrong[:3])) <= set(map(id, chosen))
    finding = stories.POOL_FINDING
    pool = select(stories.pool().timeline(), [finding]).lanes[0]
    assert [concern(one, pool.findings) for one in pool.connections] == [3, 0]


def test_lanes_with_trouble_are_chosen_first_and_stay_in_order() -> None:
    lanes = select(stories.big()).lanes
    chosen = choose_lanes(lanes, 7)
    assert all(lane.trouble for lane in chosen)
    assert [lane.life.id for lane in chosen] == [lane.life.id for lane in lanes if lane.trouble]


def test_the_head_says_what_was_recorded_and_what_is_missing() -> None:
    said = head(select(stories.keepalive_timeline(), [stories.KEEPALIVE_FINDING]))
    assert said.title == "checkout: 3 invocations in 1 environment, 1 failed"
    assert said.facts == (
        "recorded 2026-09-21 14:13:20 UTC, for 14.1 s",
        "freezes the network and processes (cgroup-v2)",
        "3 freezes, 1 connection",
    )
    assert said.warnings == ()
    cut = head(select(stories.keepalive().timeline(cut=900)))
    assert cut.warnings == ("The recording was cut off in the middle; this is what there is of it.",)
    part = head(select(stories.keepalive_timeline(), begin=BEGAN + 8, end=BEGAN + 10))
    assert part.warnings == ("A part of the story: 1 environment of 1, from 8.000 s to 10.000 s after its beginning.",)
    assert head(select(stories.Teller().timeline())).title == "Nothing happened in this story"


def test_what_was_frozen() -> None:
    assert level({"freezer": "signals", "network_freezes": False}) == "freezes processes (signals)"
    assert level({"freezer": "off", "network_freezes": True}) == "freezes the network"
    assert level({}) == "nothing was frozen"
