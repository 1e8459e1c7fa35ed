"""The rules of `judging`, one by one, and the laws that hold for all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thawsafe._core.judging import Limits, Verdict, fresh, judge
from thawsafe._core.limits import UNLIMITED
from thawsafe._core.lives import FRESH, Life
from thawsafe._core.moments import Era, Moment
from thawsafe._core.paths import Path

OPENED = Moment(1e9, 1e4, 1e4, Era(invocation=1))
LIMITS = Limits(idle_age=50.0, connection_age=900.0, trusted_idle=1.0, unannounced=True)


def after(seconds: float, moment: Moment = OPENED, **era: int) -> Moment:
    wall, monotonic, boottime, old = moment
    return Moment(wall + seconds, monotonic + seconds, boottime + seconds, old._replace(**era))


def verdict(
    now: Moment,
    last: Moment = OPENED,
    *,
    opened: Moment = OPENED,
    limits: Limits = LIMITS,
    allowed: float = 50.0,
    closed: bool = False,
    can_probe: bool = False,
) -> Verdict:
    return judge(opened=opened, last=last, now=now, limits=limits, allowed=allowed, closed=closed, can_probe=can_probe)


def decided(judged: Verdict) -> tuple[str, str]:
    return judged.action, judged.reason


def test_1_a_closed_connection_is_discarded() -> None:
    assert decided(verdict(after(0.1), closed=True, can_probe=True)) == ("discard", "closed")


def test_2_another_process_opened_it() -> None:
    assert decided(verdict(after(0.1, forks=1), can_probe=True)) == ("discard", "forked")


def test_3_the_process_was_restored() -> None:
    assert decided(verdict(after(0.1, restores=1), can_probe=True)) == ("discard", "restored")


def test_4_it_is_too_old_however_busy() -> None:
    last = after(900.0)
    assert decided(verdict(after(0.9, last), last)) == ("discard", "old")


def test_5_it_was_idle_for_longer_than_its_limit_or_its_path_allows() -> None:
    assert decided(verdict(after(50.5), allowed=60.0, can_probe=True)) == ("discard", "idle")
    assert decided(verdict(after(5.0), allowed=4.0, can_probe=True)) == ("discard", "idle")
    assert decided(verdict(after(49.0))) == ("keep", "fresh"), "within one invocation"


def test_6_after_a_freeze_it_has_to_prove_itself_or_go() -> None:
    now = after(10.0, invocation=2)
    assert decided(verdict(now, can_probe=True)) == ("probe", "frozen")
    assert decided(verdict(now)) == ("discard", "frozen")
    assert verdict(now) == Verdict("discard", "frozen", 10.0, "invocation")


def test_7_otherwise_it_is_kept() -> None:
    assert decided(verdict(after(0.9, invocation=2))) == ("keep", "fresh"), "the gap was short"
    assert decided(verdict(after(10.0))) == ("keep", "fresh"), "nothing froze"


def test_unlimited_is_unlimited() -> None:
    limits = Limits(UNLIMITED, UNLIMITED, UNLIMITED, unannounced=True)
    assert decided(verdict(after(1e9, invocation=2), limits=limits, allowed=UNLIMITED)) == ("keep", "fresh")


eras = st.builds(Era, st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3))
moments = st.builds(Moment, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), eras)
limits_ = st.builds(Limits, st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.booleans())


@given(moments, moments, moments, limits_, st.floats(0.1, 1e4), st.booleans(), st.booleans())
def test_whatever_the_clocks_say_the_verdict_is_safe(
    opened: Moment, last: Moment, now: Moment, limits: Limits, allowed: float, closed: bool, can_probe: bool
) -> None:
    judged = judge(opened=opened, last=last, now=now, limits=limits, allowed=allowed, closed=closed, can_probe=can_probe)

    if judged.action == "keep":
        assert not closed
        assert now.era.forks == last.era.forks
        assert now.era.restores == last.era.restores
        assert judged.idle <= min(limits.idle_age, allowed)
        assert judged.freeze == "none" or judged.idle <= limits.trusted_idle
    assert judged.action != "probe" or can_probe
    assert (judged.action == "keep") == (judged.reason == "fresh")


little = st.floats(-1.0, 1.0)


def life(last: Moment, longest: float = 900.0) -> Life:
    return Life("a:1", Path(), last, longest=longest)


@given(moments, little, little, eras)
def test_what_is_fresh_would_be_kept(last: Moment, wall: float, monotonic: float, era: Era) -> None:
    """The short way of the hot path never says yes where the judge says no, when the boot clock runs with one of the others."""
    now = Moment(last.wall + wall, last.monotonic + monotonic, last.boottime + max(monotonic, wall), era)
    if fresh(life(last), now.wall, now.monotonic, now.era):
        judged = judge(opened=last, last=last, now=now, limits=LIMITS, allowed=FRESH, closed=False, can_probe=False)
        assert judged.action == "keep"


@given(st.floats(0, FRESH / 2), eras)
def test_fresh_is_the_common_case(idle: float, era: Era) -> None:
    last = OPENED._replace(era=era)

    def is_fresh(now: Moment, longest: float = 900.0) -> bool:
        return fresh(life(last, longest), now.wall, now.monotonic, now.era)

    assert is_fresh(after(idle, last))
    assert not is_fresh(after(idle, last, invocation=era.invocation + 1)), "another invocation"
    assert not is_fresh(after(-1.0, last)), "clocks went back"
    assert not is_fresh(after(idle, last)._replace(wall=last.wall + 10.0)), "suspended"
    assert not is_fresh(after(idle, last), -1.0), "too old"


def test_what_adapters_ask_in_line_says_yes_until_the_last_use_no_longer_speaks() -> None:
    held = life(OPENED)
    held.used = held.seen + 0.25
    assert held.until == held.seen + FRESH, "it is not told of uses"

    held.extend()

    assert held.until == held.used + FRESH
    assert held.until_wall == OPENED.wall + 0.25 + FRESH
    assert life(OPENED, 0.125).until == OPENED.monotonic + 0.125, "too old then"
    assert Life("a:1", Path(), OPENED, fresh_for=0.25).until == OPENED.monotonic + 0.25, "a limit is shorter"


@given(moments, little, little, little, st.floats(0.1, 2.0), st.booleans())
def test_what_adapters_ask_in_line_says_yes_only_where_the_rule_does(
    opened: Moment, used: float, wall: float, monotonic: float, longest: float, extended: bool
) -> None:
    held = life(opened, longest)
    held.used = opened.monotonic + max(used, 0.0)
    if extended:
        held.extend()
    now = Moment(opened.wall + wall, max(opened.monotonic + monotonic, held.used), opened.boottime, opened.era)

    if held.era is now.era and held.seen <= now.monotonic <= held.until and now.wall <= held.until_wall:
        assert fresh(held, now.wall, now.monotonic, now.era)
