"""What a life passes on to its path. What it says of itself is in test_judging.py, and under all circumstances in runtime/test_laws.py."""

from __future__ import annotations

import math

from thawsafe._core.lives import Life
from thawsafe._core.moments import Moment, elapsed
from thawsafe._core.paths import Path

OPENED = Moment(1e9, 1e4, 1e4)


def after(seconds: float) -> Moment:
    return Moment(OPENED.wall + seconds, OPENED.monotonic + seconds, OPENED.boottime + seconds)


def used(life: Life, now: float) -> None:
    """As an adapter does it."""
    life.used = now
    if life.judged:
        life.proved()


def test_the_first_answer_after_a_verdict_proves_the_idleness_before_it() -> None:
    life = Life("a:1", Path(), OPENED)
    used(life, OPENED.monotonic + 1.0)
    assert not life.judged
    assert life.path.lived == 0.0

    life.kept(30.0, after(31.0))
    assert life.judged
    assert life.path.lived == 0.0, "not yet"

    used(life, OPENED.monotonic + 32.0)
    assert life.path.lived == 30.0
    assert not life.judged
    assert life.idle == 0.0, "no failure of a later request speaks against it"


def test_a_use_after_a_verdict_is_told_by_the_clocks_as_they_were_then() -> None:
    """A suspension before the verdict is no idleness after the use."""
    life = Life("a:1", Path(), OPENED)
    suspended = Moment(OPENED.wall + 40.0, OPENED.monotonic + 10.0, OPENED.boottime + 40.0)
    life.kept(40.0, suspended)
    used(life, suspended.monotonic)

    assert elapsed(life.last, suspended) == 0.0


def test_the_time_from_a_verdict_to_the_answer_says_how_soon_its_peer_answers() -> None:
    life = Life("a:1", Path(), OPENED)
    used(life, OPENED.monotonic + 0.25)

    assert life.path.quickest == 0.25


def test_where_requests_are_shared_an_answer_may_be_to_an_earlier_one() -> None:
    life = Life("a:1", Path(), OPENED)
    life.shared = True
    used(life, OPENED.monotonic + 0.25)

    assert life.path.quickest == math.inf


def test_an_answer_from_before_the_verdict_says_nothing_about_that() -> None:
    """A monotonic clock that was restored to the past."""
    life = Life("a:1", Path(), OPENED)
    used(life, OPENED.monotonic - 5.0)

    assert life.path.quickest == math.inf


def test_a_verdict_is_no_use_and_an_answer_is() -> None:
    life = Life("a:1", Path(), OPENED)
    life.kept(10.0, after(10.0))
    assert elapsed(life.last, after(15.0)) == 15.0

    life.answered(after(10.0))
    assert elapsed(life.last, after(15.0)) == 5.0
