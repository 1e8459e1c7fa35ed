"""Durations, written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.durations import parse_duration, spoken


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("3s", 3.0), (" 40m ", 2400.0), ("2h", 7200.0), ("1.5", 1.5), ("0", 0.0), ("0.1s", 0.1)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1d", "1e3", "nan", "inf", "1h30m", "٣s", "1_000"])
def test_what_is_none_is_none(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5s"), (61.0, "61s"), (90.0, "90s"), (351.0, "351s"), (2400.0, "40m"), (21600.0, "6h")]
)
def test_durations_are_said(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


@given(st.integers(min_value=1, max_value=10**6))
def test_what_is_said_is_read_again(seconds: int) -> None:
    assert parse_duration(spoken(float(seconds))) == pytest.approx(seconds, rel=1e-5)
