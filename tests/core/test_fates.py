"""What a user writes as a fate, and which one counts."""

from __future__ import annotations

import pytest

from frostline.core.fates import DEFAULT_FATE, FATES, Fates, parse


def test_without_a_word_connections_are_lost() -> None:
    assert DEFAULT_FATE == "lost"
    assert parse([]) == Fates()
    assert Fates().of(["api.example.com"], 443) == "lost"


@pytest.mark.parametrize("fate", FATES)
def test_a_fate_alone_is_the_default(fate: str) -> None:
    assert parse([fate]).of(["anything"], 1) == fate


def test_a_destination_has_its_own_fate() -> None:
    fates = parse(["survive", "Redis.Local.:6379=blackhole", "api.example.com=lost", "10.0.0.7=fin_delivered"])
    assert fates.of(["redis.local", "10.0.0.5"], 6379) == "blackhole"
    assert fates.of(["redis.local", "10.0.0.5"], 6380) == "survive"
    assert fates.of(["api.example.com"], 80) == "lost"
    assert fates.of(["anything", "10.0.0.7"], 1) == "fin_delivered"


def test_a_port_goes_before_a_host_alone_and_the_last_of_equals_counts() -> None:
    assert parse(["h:1=lost", "h=survive"]).of(["h"], 1) == "lost"
    assert parse(["h=lost", "h=survive"]).of(["h"], 1) == "survive"
    assert parse(["lost", "survive"]).default == "survive"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not a fate"),
        ("dead", "'dead' is not a fate. There are survive, fin_delivered, lost and blackhole."),
        ("h=", "'' is not a fate"),
        ("h=LOST", "'LOST' is not a fate"),
        ("=lost", "'' is not a destination"),
        (":80=lost", "':80' is not a destination"),
        ("h:=lost", "'' in 'h:' is not a port"),
        ("h:0=lost", "'0' in 'h:0' is not a port"),
        ("h:65536=lost", "is not a port"),
        ("h:²=lost", "is not a port"),
        ("http://h=lost", "is not a port"),
        ("a b=lost", "'a b' is not a destination"),
        ("ä=lost", "is not a destination"),
    ],
)
def test_what_is_no_fate_is_explained(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="is not a") as raised:
        parse([text])
    assert said in str(raised.value)
