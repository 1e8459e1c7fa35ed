"""Words and numbers, and that nobody's text does more in a picture than be read."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.render.words import became, clean, duration, ends_kept, number, peer, size, with_short_ids
from tests.render import stories


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0 ms"),
        (0.0003, "0.3 ms"),
        (0.0062, "6.2 ms"),
        (0.005, "5 ms"),
        (0.0402, "40 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (1.005, "1.0 s"),
        (4.5, "4.5 s"),
        (3.39, "3.39 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (11400, "3 h 10 min"),
    ],
)
def test_a_duration_has_the_digits_that_tell_something(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@given(st.floats(0, 1e7))
def test_no_duration_is_sixty_of_a_smaller_unit(seconds: float) -> None:
    said = duration(seconds)
    assert not said.startswith(("60.0 s", "60 min", "1000 ms"))


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (1874, "1.9 KB"), (41_200, "41 KB"), (999_600, "1.0 MB"), (5e9, "5.0 GB")]
)
def test_a_size(count: int, said: str) -> None:
    assert size(count) == said


def test_numbers_agree_with_their_nouns() -> None:
    assert number(1, "freeze") == "1 freeze"
    assert number(3000, "freeze") == "3,000 freezes"


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    assert clean("a\x1b[2Jb") == "a␛[2Jb"
    assert clean("one\r\ntwo\tthree") == "one⏎two three"
    assert clean("\x9b31m \u202egnp.exe") == "\ufffd31m \ufffdgnp.exe"
    assert clean("x" * 10, 4) == "xxx…"


@given(st.text())
def test_clean_text_is_one_line_without_controls(text: str) -> None:
    assert not [character for character in clean(text) if unicodedata.category(character) in ("Cc", "Cs")]


def test_a_peer_keeps_its_port() -> None:
    assert peer("cache.local:8080", 24) == "cache.local:8080"
    assert peer("a-rather-long-name.internal:18099", 18) == "a-rather-lo…:18099"


def test_ids_are_shortened_where_they_are_known() -> None:
    assert with_short_ids(f"sent in {stories.K2}", [stories.K2, "7"]) == "sent in 27b80d41"


def test_what_became_of_connections() -> None:
    connections = stories.pool().timeline().connections
    assert became(connections[1]) == "lost: the peer closed it in a freeze; first write after the thaw: RST"
    assert became(connections[2]) == "open"
    assert became(stories.keepalive().timeline().connections[1]) == "reset by the environment"


def test_a_long_error_keeps_its_kind_and_its_cause() -> None:
    said = ends_kept('Post "http://orders.local:8080/orders": read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer', 46)
    assert said == 'Post "http://or…read: connection reset by peer' and len(said) == 46
    assert ends_kept("short", 46) == "short"
