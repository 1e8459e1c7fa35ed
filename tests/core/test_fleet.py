"""How invocations find environments: concurrency, throttling, patience, the order of choice."""

from __future__ import annotations

from random import Random

import pytest

from frostline.core.effects import Accepted, FreezeEnvironment, Resolve, Succeeded, ThawEnvironment, Throttled, Unavailable
from frostline.core.events import EnvironmentFrozen, EnvironmentStarted, Event, FunctionDeployed, RuntimeNext, ShutdownRequested
from frostline.core.fleet import Fleet
from frostline.core.policy import Policy
from frostline.testing.builders import answers, delivers, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, E2, Dialogue, states, wait

from .prologues import NO_FREEZE, busy, idle

THROTTLED = Throttled(reason="ReservedFunctionConcurrentInvocationLimitExceeded")


def test_two_at_once_are_served_by_two_environments() -> None:
    """One invocation at a time per environment."""
    assert (
        busy()
        >> invocation("b")
        << starts(E2)
        >> EnvironmentStarted(E2)
        << runs(E2)
        >> RuntimeNext(E2, 101)
        << delivers(101, "b")
        << states(E1="busy", E2="busy")
        >> responded(E2, 102, "b")
        << resolves("b", Succeeded)
        << answers(102, Accepted)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
    )


def test_two_during_one_init_start_two() -> None:
    """As many environments come as invocations wait."""
    assert Dialogue(function()) >> invocation("a") << starts(E1) >> invocation("b") << starts(E2)


def test_an_invocation_waits_for_whichever_environment_is_first() -> None:
    """Not for the one that was started on its behalf."""
    assert (
        busy(policy=NO_FREEZE)
        >> invocation("b")
        << starts(E2)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << delivers(3, "b")
        >> EnvironmentStarted(E2)
        << runs(E2)
        >> RuntimeNext(E2, 101)
        << states(E1="busy", E2="idle")
    )


def test_over_the_concurrency_invocations_are_throttled() -> None:
    """429 with AWS's reason; what is unanswered counts."""
    assert (
        busy(function(concurrency=1))
        >> invocation("b")
        << Resolve("b", THROTTLED)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> invocation("c")
        >> RuntimeNext(E1, 3)
        << delivers(3, "c")
    )


def test_a_concurrency_of_zero_refuses_everything() -> None:
    """As on AWS: reserved concurrency 0 switches a function off."""
    assert Dialogue(function(concurrency=0)) >> invocation("a") << Resolve("a", THROTTLED)


def test_the_next_invocation_waits_for_an_environment_that_is_about_to_finish() -> None:
    """The invoker was faster than the runtime's way back to /next: no second environment is started for that."""
    assert (
        busy(policy=NO_FREEZE)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> invocation("b")
        << states(E1="busy")
        >> wait(0.01)
        >> RuntimeNext(E1, 3)
        << delivers(3, "b")
    )


def test_the_patience_with_it_ends() -> None:
    """A runtime that works on after its response does not hold up the next invocation."""
    assert (
        busy(policy=NO_FREEZE)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> wait(0.09)
        >> invocation("b")
        >> wait(0.009)
        << states(E1="busy")
        >> wait(0.002)
        << starts(E2)
        << states(E1="busy", E2="starting")
    )


def test_nothing_wakes_the_fleet_while_an_invocation_waits_for_an_init() -> None:
    """No polling: only patience has a timer."""
    dialogue = Dialogue(function()) >> invocation("a") << starts(E1) >> wait(5)
    assert dialogue
    assert not [effect for effect in dialogue.effects if getattr(effect, "timer", "").startswith("queue:")]


def test_nobody_waits_for_an_environment_that_others_wait_for() -> None:
    """Two arrive while one environment is about to finish: one waits, another environment is started for the second."""
    assert (
        busy(policy=NO_FREEZE)
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> invocation("b")
        >> invocation("c")
        << starts(E2)
        >> RuntimeNext(E1, 3)
        << delivers(3, "b")
    )


def two_idle(policy: Policy) -> Dialogue:
    """E1 served longer ago than E2; both are idle: E1 waits on 3, E2 on 103."""
    dialogue = busy(policy=policy) >> invocation("b") << starts(E2) >> EnvironmentStarted(E2) << runs(E2)
    dialogue = (
        dialogue >> RuntimeNext(E2, 101) << delivers(101, "b") >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted)
    )
    dialogue = dialogue >> RuntimeNext(E1, 3) >> wait(1)
    if policy.freeze:
        dialogue = dialogue << FreezeEnvironment(E1) >> EnvironmentFrozen(E1)
    dialogue = dialogue >> responded(E2, 102, "b") << resolves("b", Succeeded) << answers(102, Accepted)
    return dialogue >> RuntimeNext(E2, 103)


def test_the_one_used_last_is_chosen() -> None:
    """So that the others grow old and are reclaimed."""
    assert two_idle(NO_FREEZE) >> invocation("c") << delivers(103, "c") >> invocation("d") << delivers(3, "d")


def test_an_idle_one_is_chosen_before_a_frozen_one() -> None:
    """It needs no thaw."""
    assert two_idle(Policy(spares=0)) >> invocation("c") << delivers(103, "c") >> invocation("d") << ThawEnvironment(E1)


def test_functions_do_not_share_environments() -> None:
    """Each has its own pool and its own limit."""
    assert (
        Dialogue(function("f", concurrency=1), function("g", concurrency=1), policy=NO_FREEZE)
        >> invocation("a", "f")
        << starts(E1, function="f")
        >> invocation("b", "g")
        << starts(E2, function="g")
    )


def test_an_unknown_function_is_answered() -> None:
    """The wire refuses it before; a function may be removed in between."""
    assert Dialogue() >> invocation("a") << Resolve("a", Unavailable(message="Function not found: f"))


def test_an_unknown_event_is_a_bug() -> None:
    """The ladder ends in a raise."""

    class Surprise(Event, frozen=True):
        environment: str

    dialogue = idle()
    assert dialogue
    with pytest.raises(TypeError, match="Surprise"):
        dialogue.fleet.handle(Surprise(dialogue.fleet.environments[0].id), dialogue.now)


def test_environments_show_who_they_are() -> None:
    """Their repr is for reading logs and failed tests."""
    dialogue = busy()
    assert dialogue
    [environment] = dialogue.fleet.environments
    assert repr(environment) == "<Environment 00000000000000000000000000000001 busy a>"


def test_ids_come_from_the_given_randomness() -> None:
    """Two fleets with the same seed do the same: a story can be replayed."""
    runs_ = []
    for _ in range(2):
        fleet = Fleet(Policy(), Random(7))
        fleet.handle(FunctionDeployed(function()), 0.0)
        runs_.append(fleet.handle(invocation("a"), 1.0) + fleet.handle(ShutdownRequested(), 2.0))
    assert runs_[0] == runs_[1]
