"""What holds for a connection whatever happens to it and to the clocks, told by what really happened and not by the rules again."""

from __future__ import annotations

import math

from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from thawsafe import lambda_
from thawsafe._core.freezes import LEAP
from thawsafe._core.judging import fresh
from thawsafe._core.lives import FRESH
from thawsafe._core.moments import elapsed
from thawsafe._core.paths import SILENCE, SOON, Path
from thawsafe._runtime.guard import Guard
from thawsafe._runtime.journal import Journal
from thawsafe._runtime.watch import Watch


def seconds_between(least: float, most: float) -> st.SearchStrategy[float]:
    """In steps of 1/64 s, with which floats reckon exactly, on a clock that shows a date too."""
    return st.integers(round(least * 64), round(most * 64)).map(lambda steps: steps / 64)


short = seconds_between(0, 2)
long = seconds_between(0, 100)


class Connection(RuleBasedStateMachine):
    """One connection, and another when that is discarded."""

    def __init__(self) -> None:
        super().__init__()
        self.wall, self.monotonic, self.boottime = 1e9, 1e4, 1e4
        self.watch = Watch()
        self.watch.wall = lambda: self.wall
        self.watch.monotonic = lambda: self.monotonic
        self.watch.boottime = lambda: self.boottime

    @initialize(
        idle_age=seconds_between(1 / 64, 60),
        connection_age=seconds_between(1 / 64, 200),
        trusted_idle=seconds_between(1 / 64, 10),
        unannounced=st.booleans(),
        took=seconds_between(0, 1),
    )
    def open(self, idle_age: float, connection_age: float, trusted_idle: float, unannounced: bool, took: float) -> None:
        self.configuration = lambda_().replace(
            idle_age=idle_age, connection_age=connection_age, trusted_idle=trusted_idle, unannounced_freezes=unannounced
        )
        self.journal = Journal()
        self.guard = Guard("test", self.configuration, watch=self.watch, journal=self.journal)
        self.took = took
        self.asked = self.opened = 0
        self.open_another()

    def open_another(self) -> None:
        self.life = self.guard.opened("a:1", self.took)
        self.opened += 1
        self.age = self.since_verdict = 0.0
        self.answered()
        self.verdict_fell()

    def answered(self) -> None:
        """The peer said something."""
        self.idle = self.suspended = 0.0
        self.went_back = False
        self.monotonic_of_use = self.monotonic
        self.era_of_use = self.watch.era

    def verdict_fell(self) -> None:
        self.since_verdict = self.suspended_since = 0.0
        self.wall_was_set_back = False

    def time_passes(self, seconds: float) -> None:
        self.wall += seconds
        self.boottime += seconds
        self.age += seconds
        self.idle += seconds
        self.since_verdict += seconds

    @rule(seconds=short)
    def a_moment_passes(self, seconds: float) -> None:
        self.time_passes(seconds)
        self.monotonic += seconds

    @rule(seconds=long)
    def a_while_passes(self, seconds: float) -> None:
        self.a_moment_passes(seconds)

    @rule(seconds=st.one_of(short, long))
    def the_machine_is_suspended(self, seconds: float) -> None:
        self.time_passes(seconds)
        self.suspended += seconds
        self.suspended_since += seconds

    @rule(seconds=seconds_between(-100, 100))
    def the_wall_clock_is_set(self, seconds: float) -> None:
        self.wall += seconds
        self.wall_was_set_back |= seconds < 0

    @rule(seconds=seconds_between(1 / 64, 100))
    def another_machine_goes_on_whose_clocks_are_behind(self, seconds: float) -> None:
        self.monotonic -= seconds
        self.boottime -= seconds
        self.went_back = True

    @rule()
    def an_invocation_begins(self) -> None:
        self.watch.invocation_began()

    @rule()
    def the_invocation_ends(self) -> None:
        self.watch.invocation_ended()

    @rule()
    def the_process_is_restored(self) -> None:
        self.watch.restored()

    @rule()
    def the_process_is_forked(self) -> None:
        self.watch.forked()

    @precondition(lambda self: not self.went_back)
    @rule()
    def a_request_is_answered(self) -> None:
        self.guard.used(self.life)
        era = self.era_of_use
        self.answered()
        if self.watch.era is not self.life.era:
            self.era_of_use = era  # it was taken in another: that counts

    @rule(seconds=st.integers(1, 100))
    def the_server_gives_a_hint(self, seconds: int) -> None:
        self.guard.hinted(self.life, f"timeout={seconds}")

    @rule(idle=long)
    def another_connection_dies(self, idle: float) -> None:
        self.life.path.was_dead_after(idle)

    @rule(idle=long, waited=seconds_between(0, 1))
    def another_connection_is_silent(self, idle: float, waited: float) -> None:
        self.life.path.was_silent(self.monotonic, idle, waited)

    @rule(closed=st.booleans(), answers=st.sampled_from((None, False, True)))
    def a_request_comes(self, closed: bool, answers: bool | None) -> None:
        assume(not (self.wall_was_set_back and self.suspended_since))  # the boot clock alone would tell, and hot requests do not read it
        looked, asked = [], []

        def free_check() -> bool:
            looked.append(closed)
            return closed

        def probe(seconds: float) -> bool:
            asked.append(seconds)
            return bool(answers)

        allowed = self.life.path.allows(self.configuration.idle_age)
        usable = self.guard.usable(self.life, free_check, None if answers is None else probe)

        now, used, configuration = self.watch.era, self.era_of_use, self.configuration
        frozen = (
            now.invocation != used.invocation
            or self.suspended > LEAP
            or (configuration.unannounced_freezes and not (now.inside and used.inside))
        )
        if usable:
            assert not any(looked), "closed"
            assert now.forks == used.forks, "forked"
            assert now.restores == used.restores, "restored"
            assert self.monotonic >= self.monotonic_of_use, "restored"
            assert self.age <= configuration.connection_age + FRESH, "old"
            assert self.idle <= allowed + FRESH, "idle"
            assert any(asked) or not frozen or self.idle <= configuration.trusted_idle + FRESH, "frozen"
            if not looked:
                limits = (FRESH, configuration.idle_age, configuration.trusted_idle)
                assert min(self.idle, self.since_verdict) <= min(limits), "fresh"
                assert now is self.life.era or now == self.life.era, "fresh"
        assert len(asked) <= 1
        assert all(0.0 < seconds <= configuration.probe_timeout for seconds in asked)
        self.asked += bool(looked)
        if not usable:
            self.open_another()
        elif looked:
            if asked:
                self.answered()
            self.verdict_fell()

    @invariant()
    def what_is_asked_in_line_says_no_more_than_the_rule(self) -> None:
        life, watch = self.life, self.watch
        if life.era is watch.era and life.seen <= self.monotonic <= life.until and self.wall <= life.until_wall:
            assert fresh(life, self.wall, self.monotonic, watch.era)
            assert self.monotonic <= life.retires

    @invariant()
    def until_is_never_beyond_its_retirement(self) -> None:
        assert self.life.until <= self.life.retires
        assert self.life.until <= max(self.life.seen, self.life.used) + min(FRESH, self.life.fresh_for)

    @invariant()
    def no_suspension_that_was_missed_makes_idleness_shorter(self) -> None:
        if not self.went_back:
            assert elapsed(self.life.last, self.watch.now()) >= self.idle

    @invariant()
    def a_probe_gets_some_time_and_not_much(self) -> None:
        path = self.life.path
        patience = path.patience(self.took)
        assert SOON <= patience <= max(2 * self.took, SILENCE)
        assert patience >= SILENCE or not path.doubted
        assert self.guard.probe_timeout(self.life) <= self.configuration.probe_timeout

    @invariant()
    def a_path_remembers_a_handful_of_numbers(self) -> None:
        assert all(isinstance(getattr(self.life.path, name), (bool, float)) for name in Path.__slots__)
        assert not math.isnan(self.life.path.allows(self.configuration.idle_age))

    @invariant()
    def the_counts_add_up(self) -> None:
        counts = self.journal.counters()
        assert counts["opened"] == self.opened
        assert counts["kept"] + counts["probed"] + counts["discarded"] == self.asked
        assert counts["discarded"] == sum(count for name, count in counts.items() if name.startswith("discarded_"))
        assert counts["discarded"] == self.opened - 1


Connection.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestConnection = Connection.TestCase
