from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thawsafe._core.freezes import LEAP, freeze_between
from thawsafe._core.moments import Era, Moment, elapsed, leap

seconds = st.floats(min_value=0, max_value=1e9)
START = Moment(1e9, 1e4, 1e4)


def after(wall: float, monotonic: float, boottime: float, **era: int) -> Moment:
    return Moment(START.wall + wall, START.monotonic + monotonic, START.boottime + boottime, START.era._replace(**era))


@given(seconds, seconds, seconds)
def test_the_longest_time_that_any_clock_tells_counts(wall: float, monotonic: float, boottime: float) -> None:
    now = after(wall, monotonic, boottime)

    assert elapsed(START, now) >= max(now.wall - START.wall, now.monotonic - START.monotonic, now.boottime - START.boottime)


@given(st.builds(Moment, *[st.floats(-1e9, 1e9)] * 3), st.builds(Moment, *[st.floats(-1e9, 1e9)] * 3))
def test_no_time_is_negative_however_the_clocks_were_set(last: Moment, now: Moment) -> None:
    assert elapsed(last, now) >= 0.0


def test_clocks_that_run_together_do_not_leap() -> None:
    """Lambda's on-demand functions: every clock runs on through a freeze."""
    assert leap(START, after(400.0, 400.0, 400.0)) == 0.0
    assert freeze_between(START, after(400.0, 400.0, 400.0), unannounced=False) == "none"


def test_a_suspended_laptop_leaps() -> None:
    assert freeze_between(START, after(3600.0, 2.0, 3600.0), unannounced=False) == "leap"


def test_a_paused_machine_whose_wall_clock_was_corrected_leaps() -> None:
    assert freeze_between(START, after(3600.0, 2.0, 2.0), unannounced=False) == "leap"


def test_a_suspended_machine_whose_wall_clock_was_set_back_leaps() -> None:
    assert freeze_between(START, after(2.0, 2.0, 3600.0), unannounced=False) == "leap"


def test_a_wall_clock_that_was_set_back_proves_no_freeze() -> None:
    assert freeze_between(START, after(-3600.0, 2.0, 2.0), unannounced=False) == "none"
    assert elapsed(START, after(-3600.0, 2.0, 2.0)) == 2.0


def test_clocks_may_differ_a_little() -> None:
    assert freeze_between(START, after(2.0 + LEAP / 2, 2.0, 2.0), unannounced=False) == "none"


def test_another_machine_is_a_restore() -> None:
    assert freeze_between(START, after(10.0, -5.0, -5.0), unannounced=False) == "restore"
    assert freeze_between(START, after(0.0, 0.0, 0.0, restores=1), unannounced=False) == "restore"


def test_another_invocation_may_have_been_frozen_before() -> None:
    assert freeze_between(START, after(0.1, 0.1, 0.1, invocation=1), unannounced=False) == "invocation"


def test_where_freezes_are_unannounced_only_marks_end_the_doubt() -> None:
    marked = START._replace(era=Era(invocation=3))

    assert freeze_between(START, after(9.0, 9.0, 9.0), unannounced=True) == "possible"
    assert freeze_between(marked, after(9.0, 9.0, 9.0, invocation=3), unannounced=True) == "none"


def test_after_an_invocation_the_doubt_begins_anew() -> None:
    """A thread of the function's can run at a thaw before the next invocation is marked."""
    inside, outside = START._replace(era=Era(invocation=3, ended=2)), START._replace(era=Era(invocation=3, ended=3))
    later = after(9.0, 9.0, 9.0, invocation=3, ended=3)

    assert freeze_between(inside, later, unannounced=True) == "possible"
    assert freeze_between(outside, later, unannounced=True) == "possible"
    assert freeze_between(outside, later, unannounced=False) == "none"
