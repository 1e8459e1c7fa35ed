"""Gaps as they are asked for: how long they are, and what connections meet in them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.fates import FATES
from frostline.core.upstream import parse
from frostline.testing import FrostlineError
from frostline.testing.gap import AskedGap, read

UPSTREAMS = parse(["api.example.com=http1,idle=60", "db.example.com=host:5432"])


def asked(gap: Any = None, hours: float = 0, minutes: float = 0, seconds: float = 0, **chosen: Any) -> AskedGap:
    return read(gap, hours, minutes, seconds, **chosen)


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [
        ({"gap": "250ms"}, 0.25),
        ({"gap": "40m"}, 2400),
        ({"gap": 6}, 6),
        ({"gap": timedelta(hours=8)}, 28800),
        ({"hours": 8, "minutes": 1, "seconds": 0.5}, 28860.5),
    ],
    ids=str,
)
def test_lengths_as_people_write_them(given_: dict[str, Any], seconds: float) -> None:
    assert asked(**given_).seconds == seconds


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({}, "how long is it idle"),
        ({"gap": "8h", "hours": 1}, "either one gap"),
        ({"gap": "a night"}, "'a night' is not how long"),
        ({"gap": "0s"}, "'0s' is not how long"),
        ({"gap": -1}, "-1 is not how long"),
        ({"gap": float("nan")}, "nan is not how long"),
        ({"gap": True}, "True is not how long"),
        ({"gap": "9000h"}, "up to a year"),
        ({"hours": -1}, "are numbers from zero, and -1"),
        ({"hours": "8"}, "are numbers from zero, and '8'"),
        ({"gap": "8h", "fate": "dead"}, "'dead' is not a fate. There are survive, fin_delivered, lost and blackhole"),
        ({"gap": "8h", "fate": 5}, "5 is not a fate"),
        ({"gap": "8h", "middlebox": "nat"}, "'nat' is not a middlebox. There are nat-gateway"),
        ({"gap": "8h", "middlebox": "db.example.com=nlb"}, "is not one middlebox"),
        ({"gap": "8h", "middlebox": "none"}, "is not one middlebox"),
        ({"gap": "8h", "middlebox": 5}, "middlebox=5"),
        ({"gap": "8h", "to": "db.example.com"}, "what becomes of connections to db.example.com"),
        ({"gap": "8h", "to": "db.example.com:x", "fate": "lost"}, "is not a destination"),
        ({"gap": "8h", "to": 5432, "fate": "lost"}, "is not a destination"),
    ],
    ids=str,
)
def test_what_is_no_gap_is_refused_with_a_sentence(given_: dict[str, Any], said: str) -> None:
    with pytest.raises(FrostlineError, match=said):
        asked(**given_)


@pytest.mark.parametrize("fate", ["lost", "fin_delivered"])
def test_peers_end_within_the_gap_but_those_whose_limit_is_known(fate: str) -> None:
    met = asked("6s", fate=fate).conditions(UPSTREAMS)
    assert met.fates.default == fate
    assert met.middleboxes.of(["api.example.com"], 80) is None, "it closes by its own limit"
    for host, port in (("db.example.com", 5432), ("elsewhere.example.com", 443)):
        peer = met.middleboxes.of([host], port)
        assert peer is not None and peer.idle_s < 6 and peer.then == "fin"


@pytest.mark.parametrize("fate", ["survive", "blackhole"])
def test_no_end_is_made_up_for_fates_that_need_none(fate: str) -> None:
    met = asked("6s", fate=fate).conditions(UPSTREAMS)
    assert met.middleboxes.of(["db.example.com"], 5432) is None


def test_one_destination_meets_it_and_the_others_survive() -> None:
    met = asked("6s", fate="lost", to="DB.example.com:5432").conditions(UPSTREAMS)
    assert met.fates.of(["db.example.com"], 5432) == "lost"
    assert met.fates.of(["api.example.com"], 80) == "survive"
    assert met.middleboxes.of(["db.example.com"], 5432) is not None
    assert met.middleboxes.of(["api.example.com"], 80) is None
    known = asked("6s", fate="lost", to="api.example.com").conditions(UPSTREAMS)
    assert known.fates.of(["api.example.com"], 80) == "lost"
    assert known.middleboxes.of(["api.example.com"], 80) is None


@pytest.mark.parametrize(("middlebox", "fate"), [("nat-gateway", "survive"), ("azure-lb", "survive"), ("alb", "lost")])
def test_a_middlebox_alone_leaves_the_ends_alone_unless_it_is_one_itself(middlebox: str, fate: str) -> None:
    met = asked("8h", middlebox=middlebox).conditions(UPSTREAMS)
    assert met.fates.default == fate
    assert met.middleboxes.default is not None and met.middleboxes.default.name == middlebox


@given(seconds=st.floats(0.001, 86_400 * 364), fate=st.sampled_from([None, *FATES]), to=st.sampled_from([None, "db.example.com:5432"]))
def test_a_made_up_end_always_falls_into_its_gap(seconds: float, fate: str | None, to: str | None) -> None:
    met = asked(seconds, fate=fate, to=to if fate else None).conditions(UPSTREAMS)
    boxes = [met.middleboxes.default, *(rule.middlebox for rule in met.middleboxes.rules)]
    assert all(0 < box.idle_s < seconds for box in boxes if box is not None)


def test_it_is_told_in_words() -> None:
    assert asked("8h").told() == "idle for 8h"
    assert (
        asked("61s", fate="lost", to="db.example.com:5432", real=True).told() == "idle for 61s of real time, lost, to db.example.com:5432"
    )
    assert asked("40m", middlebox="idle=30,then=rst").told() == "idle for 40m, middlebox idle=30,then=rst"
