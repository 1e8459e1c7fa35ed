"""What a user writes as a middlebox, and which one is on a connection's path."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.core import fates, middlebox
from frostline.core.fates import FATES
from frostline.core.middlebox import MIDDLEBOXES, THENS, Middlebox, Middleboxes, parse


def test_without_a_word_there_is_none() -> None:
    assert parse([]) == Middleboxes()
    assert Middleboxes().of(["api.example.com"], 443) is None


@pytest.mark.parametrize(
    ("name", "idle_s", "then"), [("nat-gateway", 350, "rst"), ("nlb", 350, "rst"), ("alb", 60, "fin"), ("azure-lb", 240, "silence")]
)
def test_the_vendors_limits(name: str, idle_s: float, then: str) -> None:
    box = parse([name]).of(["anything"], 1)
    assert box is not None and (box.name, box.idle_s, box.then) == (name, idle_s, then)
    assert box.sees_probes == (name != "alb")


@pytest.mark.parametrize(
    ("text", "idle_s", "then"),
    [
        ("idle=30,then=rst", 30, "rst"),
        ("then=fin,idle=250ms", 0.25, "fin"),
        ("idle=6m,then=silence", 360, "silence"),
        ("idle=1.5,then=rst", 1.5, "rst"),
    ],
)
def test_one_by_numbers(text: str, idle_s: float, then: str) -> None:
    box = parse([text]).default
    assert box is not None and (box.idle_s, box.then) == (idle_s, then)


def test_a_destination_has_its_own_or_none() -> None:
    boxes = parse(["alb", "Redis.Local.:6379=idle=30,then=rst", "api.example.com=nlb", "10.0.0.7=none"])
    assert boxes.of(["redis.local", "10.0.0.5"], 6379) == Middlebox(name="idle=30,then=rst", idle_s=30, then="rst")
    assert boxes.of(["redis.local", "10.0.0.5"], 6380) == MIDDLEBOXES["alb"]
    assert boxes.of(["api.example.com"], 80) == MIDDLEBOXES["nlb"]
    assert boxes.of(["anything", "10.0.0.7"], 1) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not a middlebox. There are nat-gateway, nlb, alb, azure-lb and none, or by numbers: idle=30,then=rst."),
        ("elb", "'elb' is not a middlebox"),
        ("api=", "'' is not a middlebox"),
        ("idle=30", "'30' is not a middlebox"),
        ("ALB", "'ALB' is not a middlebox"),
        ("idle=30,then=drop", "'drop' is not what a middlebox does. There are rst, fin and silence."),
        ("idle=30,after=rst", "'idle=30,after=rst' is not a middlebox"),
        ("idle=30,then=rst,more=1", "is not a middlebox"),
        ("idle=0,then=rst", "'0' is not a time from 1 ms to a year"),
        ("idle=-1,then=rst", "'-1' is not a time"),
        ("idle=9h9,then=rst", "'9h9' is not a time"),
        ("idle=99999999h,then=rst", "is not a time"),
        ("=alb", "'' is not a destination"),
        ("h:0=alb", "'0' in 'h:0' is not a port. Write HOST:PORT=NAME"),
        ("a b=idle=1,then=rst", "'a b' is not a destination. Write HOST=NAME or HOST:PORT=NAME"),
    ],
)
def test_what_is_no_middlebox_is_explained(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="is not ") as raised:
        parse([text])
    assert said in str(raised.value)


DESTINATIONS = st.builds(
    lambda host, port: host + port,
    st.sampled_from(("a", "redis.local", "x_1.example.com", "10.0.0.7")),
    st.just("") | st.integers(1, 65535).map(lambda port: f":{port}"),
)
BOXES = st.sampled_from((*MIDDLEBOXES, "none")) | st.builds(
    lambda ms, then: f"idle={ms}ms,then={then}", st.integers(1, 10**9 - 1), st.sampled_from(THENS)
)


@given(st.lists(BOXES | st.builds(lambda where, box: f"{where}={box}", DESTINATIONS, BOXES)))
def test_what_is_shown_of_middleboxes_can_be_written(texts: list[str]) -> None:
    found = parse(texts)
    assert middlebox.parse(found.texts()) == found


@given(st.lists(st.sampled_from(FATES) | st.builds(lambda where, fate: f"{where}={fate}", DESTINATIONS, st.sampled_from(FATES))))
def test_what_is_shown_of_fates_can_be_written(texts: list[str]) -> None:
    found = fates.parse(texts)
    assert fates.parse(found.texts()) == found


@given(st.text(max_size=40))
def test_whatever_is_written_is_understood_or_explained(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse([text])
