"""Asynchronous invocations: accepted with 202, tried again as AWS does, given up as AWS does."""

from __future__ import annotations

from frostline.core.effects import (
    Accepted,
    DestroyEnvironment,
    KillProcesses,
    NextInvocation,
    Queued,
    Resolve,
    Stopped,
    Succeeded,
    ThawEnvironment,
)
from frostline.core.events import (
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    FunctionRemoved,
    ProcessesKilled,
    RuntimeNext,
    ShutdownRequested,
    TimerFired,
)
from frostline.core.policy import Policy
from frostline.testing.builders import answers, delivers, exited, failed, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, E2, Dialogue, states, wait

from .prologues import NO_FREEZE, frozen

TAKEN = Resolve("a", Queued())


def accepted(policy: Policy = NO_FREEZE, **configuration: object) -> Dialogue:
    """E1 serves the asynchronous invocation `a`, whose invoker has its 202."""
    dialogue = Dialogue(function(**configuration), policy=policy) >> invocation("a", mode="event") << TAKEN << starts(E1)
    return dialogue >> EnvironmentStarted(E1) << runs(E1) >> RuntimeNext(E1, 1) << delivers(1, "a")


def failed_once(policy: Policy = NO_FREEZE, **configuration: object) -> Dialogue:
    """The first attempt has failed; E1 is idle and waits on 3."""
    return accepted(policy, **configuration) >> failed(E1, 2, "a") << answers(2, Accepted) >> RuntimeNext(E1, 3) << states(E1="idle")


def test_a_success_is_silent() -> None:
    """202 on arrival; what the function returns has no reader."""
    assert accepted() >> responded(E1, 2, "a") << answers(2, Accepted) >> RuntimeNext(E1, 3) >> wait(1000)


def test_a_failure_is_tried_again_after_one_minute_and_after_two() -> None:
    """AWS: two retries, one minute before the first and two before the second; then it is given up."""
    assert (
        failed_once()
        >> wait(59.9)
        >> wait(0.2)
        << delivers(3, "a")
        >> failed(E1, 4, "a")
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        >> wait(119.9)
        >> wait(0.2)
        << delivers(5, "a")
        >> failed(E1, 6, "a")
        << answers(6, Accepted)
        >> RuntimeNext(E1, 7)
        >> wait(2000)
        << states(E1="idle")
    )


def test_a_retry_that_succeeds_is_the_last_attempt() -> None:
    """Nothing is tried again."""
    assert (
        failed_once()
        >> wait(60)
        << delivers(3, "a")
        >> responded(E1, 4, "a")
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        >> wait(2000)
        << states(E1="idle")
    )


def test_the_number_of_retries_is_the_functions() -> None:
    """0 to 2."""
    assert failed_once(maximum_retry_attempts=0) >> wait(2000) << states(E1="idle")


def test_a_crash_is_a_failure() -> None:
    """The retry begins with a suppressed init."""
    assert accepted() >> exited(E1, status=1) << KillProcesses(E1) >> ProcessesKilled(E1) >> wait(60) << runs(E1)


def test_an_event_grows_too_old() -> None:
    """The maximum age counts from its arrival."""
    assert failed_once(maximum_event_age_s=59.0) >> wait(2000) << states(E1="idle")


def test_a_start_failure_is_tried_again() -> None:
    """The machine's failure counts as the attempt's."""
    assert (
        Dialogue(function())
        >> invocation("a", mode="event")
        << TAKEN
        << starts(E1)
        >> EnvironmentStartFailed(E1, "no")
        >> wait(60)
        << starts(E2)
    )


def test_a_throttled_event_backs_off() -> None:
    """AWS: 1 s, doubling up to 5 minutes; the invoker has its 202, and throttles are no attempts."""
    dialogue = (
        Dialogue(function(concurrency=1, timeout_s=900.0), policy=NO_FREEZE)
        >> invocation("x")
        << starts(E1)
        >> EnvironmentStarted(E1)
        << runs(E1)
        >> RuntimeNext(E1, 1)
        << delivers(1, "x")
        >> invocation("a", mode="event")
        << TAKEN
        >> wait(6)  # tried at 1 s and 3 s; next at 7 s
        >> responded(E1, 2, "x")
        << resolves("x", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        >> wait(0.9)
        << states(E1="idle")
        >> wait(0.2)
        << delivers(3, "a")
        >> failed(E1, 4, "a")
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        >> wait(60)
        << delivers(5, "a")
    )
    assert dialogue


def test_a_throttled_event_grows_too_old() -> None:
    """A function that is switched off lets its events go."""
    dialogue = Dialogue(function(concurrency=0, maximum_event_age_s=10.0)) >> invocation("a", mode="event") << TAKEN >> wait(1000)
    assert dialogue
    assert [round(effect.at - 1_000_000_000) for effect in dialogue.effects if getattr(effect, "timer", "") == "retry:a"] == [1, 3, 7]


def test_an_event_for_a_function_that_was_removed_meanwhile_is_gone() -> None:
    """There is nothing to try it on."""
    assert failed_once() >> FunctionRemoved("f") << DestroyEnvironment(E1) >> wait(1000) << states(E1="stopping")


def test_an_event_that_meets_a_freeze_is_thawed_for_like_any_other() -> None:
    """Its 202 does not wait for that."""
    assert (
        frozen()
        >> invocation("b", mode="event")
        << Resolve("b", Queued())
        << ThawEnvironment(E1)
        >> EnvironmentThawed(E1)
        << answers(3, NextInvocation, request_id="b")
    )


def test_the_end_counts_what_is_lost() -> None:
    """Waiting for a retry, and running."""
    assert (
        failed_once()
        >> invocation("b", mode="event")
        << Resolve("b", Queued())
        << delivers(3, "b")
        >> ShutdownRequested()
        << DestroyEnvironment(E1)
        >> TimerFired("retry:a")
        >> EnvironmentGone(E1)
        << Stopped(unfinished_asynchronous=2)
    )
