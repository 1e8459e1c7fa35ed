from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thawsafe._core.paths import LEARNED_FLOOR, LEARNED_SHARE, SILENCE, SOON, Path


def test_an_unknown_path_allows_what_is_configured() -> None:
    assert Path().allows(50.0) == 50.0


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("timeout=5", 4.0),
        ("timeout=5, max=100", 4.0),
        ("max=100, timeout = 65", 50.0),
        ('Timeout="20"', 19.0),
        ("timeout=1", 0.5),
        ("timeout=0", 50.0),
        ("max=100", 50.0),
        ("timeout=-5", 50.0),
        ("timeout=5.5x", 50.0),
        ("idle_timeout=5", 50.0),
        ("", 50.0),
        ("timeout=" + "9" * 400, 50.0),
    ],
)
def test_a_servers_hint(header: str, allowed: float) -> None:
    path = Path()
    path.hinted(header)

    assert path.allows(50.0) == allowed


@given(st.text())
def test_whatever_a_server_says_is_no_error(header: str) -> None:
    path = Path()
    path.hinted(header)

    assert 0.0 < path.allows(50.0) <= 50.0


def test_a_death_teaches() -> None:
    path = Path()
    path.was_dead_after(30.0)

    assert path.allows(50.0) == 30.0 * LEARNED_SHARE


def test_the_earliest_death_counts() -> None:
    path = Path()
    path.was_dead_after(20.0)
    path.was_dead_after(30.0)

    assert path.allows(50.0) == 20.0 * LEARNED_SHARE


def test_one_death_before_what_others_lived_through_is_a_restart() -> None:
    path = Path()
    path.was_alive_after(40.0)
    path.was_dead_after(10.0)

    assert path.allows(50.0) == 50.0

    path.was_dead_after(10.0)

    assert path.allows(50.0) == 10.0 * LEARNED_SHARE, "two are believed"


def test_a_longer_life_is_believed_over_a_death() -> None:
    path = Path()
    path.was_dead_after(10.0)
    path.was_alive_after(12.0)

    assert path.allows(50.0) == 50.0


def test_a_shorter_life_proves_nothing_about_a_longer_one() -> None:
    path = Path()
    path.was_dead_after(10.0)
    path.was_alive_after(5.0)

    assert path.allows(50.0) == 10.0 * LEARNED_SHARE


def test_the_longest_life_is_remembered() -> None:
    path = Path()
    path.was_alive_after(40.0)
    path.was_alive_after(5.0)
    path.was_dead_after(10.0)

    assert path.allows(50.0) == 50.0


@given(st.lists(st.tuples(st.booleans(), st.floats(min_value=0, max_value=1e6))))
def test_reuse_never_ends_for_good(lives: list[tuple[bool, float]]) -> None:
    path = Path()
    for died, idle in lives:
        (path.was_dead_after if died else path.was_alive_after)(idle)

    assert LEARNED_FLOOR <= path.allows(50.0) <= 50.0


seconds = st.floats(0.0, 100.0)


@given(seconds, st.lists(seconds), st.lists(seconds), st.booleans())
def test_a_question_gets_some_time_and_never_much_more_than_another_connection(
    took: float, served: list[float], answered: list[float], silent: bool
) -> None:
    path = Path()
    for answer in served:
        path.served(answer)
    for answer in answered:
        path.answered(answer)
    if silent:
        path.was_silent(now=1.0, idle=10.0, waited=0.001)

    assert SOON <= path.patience(took) <= max(2 * took, SILENCE)
    assert not silent or path.patience(took) >= SILENCE


def test_a_question_gets_half_as_much_again_as_the_quickest_answer() -> None:
    path = Path()
    for answer in (0.2, 0.02, 0.08):
        path.served(answer)

    assert path.patience(0.1) == pytest.approx(0.03 + SOON)


def test_an_answer_to_a_question_says_how_long_they_take_now() -> None:
    """A database that failed over to another region answers later than it ever did."""
    path = Path()
    path.served(0.001)
    path.was_silent(now=1.0, idle=10.0, waited=SOON)
    path.answered(0.02)

    assert path.patience(0.1) == pytest.approx(0.03 + SOON)


def test_once_a_question_was_answered_requests_say_nothing_more() -> None:
    path = Path()
    path.answered(0.02)
    path.served(0.0001)

    assert path.patience(0.1) == pytest.approx(0.03 + SOON)


def test_what_requests_said_is_forgotten_when_a_question_is_not_answered() -> None:
    """A connection that was given back without a request looks like the quickest answer of all."""
    path = Path()
    path.served(0.0001)
    path.was_silent(now=1.0, idle=10.0, waited=SOON)

    assert path.patience(0.1) == 0.1


@given(seconds, seconds, seconds)
def test_a_silence_speaks_against_connections_from_before_it(used: float, silent: float, now: float) -> None:
    path = Path()
    assert path.worth_asking(used, now)
    path.was_silent(silent, idle=10.0, waited=SOON)

    assert path.worth_asking(used, now) == (used > silent or silent > now), "a silence that is still to come was heard before a restore"


def test_uses_without_a_request_cost_one_false_alarm_and_no_more() -> None:
    """A connection that is taken from a pool and given back looks as if its peer had answered at once."""
    path, took, answer = Path(), 0.4, 0.1
    path.served(0.0001)
    assert path.patience(took) < answer, "a false alarm"
    path.was_silent(100.0, 10.0, path.patience(took))
    for _ in range(5):
        path.served(0.0001)
        assert path.patience(took) > answer
        path.answered(answer)


def test_a_short_silence_teaches_nothing_about_idleness() -> None:
    path = Path()
    path.was_silent(now=1.0, idle=10.0, waited=SOON)
    assert path.allows(50.0) == 50.0

    path.was_silent(now=2.0, idle=10.0, waited=SILENCE)
    assert path.allows(50.0) < 10.0
