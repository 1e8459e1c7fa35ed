"""How environments come to their end: newer code, a removed function, idle time, chaos, somebody's wish."""

from __future__ import annotations

from frostline.core.effects import (
    Accepted,
    DestroyEnvironment,
    FreezeEnvironment,
    FunctionFailed,
    KillProcesses,
    Resolve,
    Succeeded,
    ThawEnvironment,
    Unavailable,
)
from frostline.core.events import (
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    FunctionDeployed,
    FunctionRemoved,
    ProcessesKilled,
    ReclaimRequested,
    RuntimeNext,
)
from frostline.core.policy import Policy
from frostline.testing.builders import answers, delivers, exited, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, E2, E3, Dialogue, states, wait

from .prologues import NO_FREEZE, busy, freezing, frozen, idle, initializing

NEW_CODE = FunctionDeployed(function(revision="2"))
REMOVED = FunctionRemoved("f")

# Hot reload ------------------------------------------------------------------------------------------------------------------------------


def test_new_code_while_idle() -> None:
    """The old environment ends; the next invocation runs the new code."""
    assert (
        idle(policy=NO_FREEZE)
        >> NEW_CODE
        << DestroyEnvironment(E1)
        >> invocation("b")
        << starts(E2, revision="2")
        >> EnvironmentGone(E1)
        << states(E1="gone", E2="starting")
    )


def test_the_same_code_again_changes_nothing() -> None:
    """Equal revisions run the same code."""
    assert idle(policy=NO_FREEZE) >> FunctionDeployed(function()) >> invocation("b") << delivers(3, "b")


def test_new_code_while_busy() -> None:
    """The invocation under way ends in the old code; a new one gets the new code meanwhile."""
    assert (
        busy(policy=NO_FREEZE)
        >> NEW_CODE
        << states(E1="busy")
        >> invocation("b")
        << starts(E2, revision="2")
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << DestroyEnvironment(E1)
        << states(E1="stopping", E2="starting")
    )


def test_nobody_waits_for_an_environment_with_old_code_that_is_about_to_finish() -> None:
    """Patience is for environments that will be available."""
    assert (
        busy(policy=NO_FREEZE)
        >> NEW_CODE
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> invocation("b")
        << starts(E2, revision="2")
    )


def test_new_code_while_starting() -> None:
    """The waiting invocation arrived before, and is served by the new code."""
    assert (
        Dialogue(function())
        >> invocation("a")
        << starts(E1, revision="1")
        >> NEW_CODE
        << DestroyEnvironment(E1)
        << starts(E2, revision="2")
        >> EnvironmentStarted(E1)
        >> EnvironmentGone(E1)
        >> EnvironmentStarted(E2)
        << runs(E2)
    )


def test_a_start_that_fails_after_the_new_code_came_answers_nobody() -> None:
    """The waiting invocation belongs to the new environment."""
    assert (
        Dialogue(function())
        >> invocation("a")
        << starts(E1)
        >> NEW_CODE
        << DestroyEnvironment(E1)
        << starts(E2)
        >> EnvironmentStartFailed(E1, "interrupted")
        << states(E1="gone", E2="starting")
    )


def test_new_code_while_initializing() -> None:
    """Its init is wasted."""
    assert initializing() >> NEW_CODE << DestroyEnvironment(E1) << starts(E2, revision="2")


def test_new_code_while_frozen() -> None:
    """Destroyed as it is."""
    assert frozen() >> NEW_CODE << DestroyEnvironment(E1) >> invocation("b") << starts(E2, revision="2")


def test_new_code_while_freezing() -> None:
    """The kernel's late word is ignored."""
    assert freezing() >> NEW_CODE << DestroyEnvironment(E1) >> EnvironmentFrozen(E1) << states(E1="stopping")


def test_new_code_while_thawing_for_an_invocation() -> None:
    """The invocation was assigned before: it runs in the old code, and the environment ends after it."""
    assert (
        frozen()
        >> invocation("b")
        << ThawEnvironment(E1)
        >> NEW_CODE
        << states(E1="thawing")
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
        >> responded(E1, 4, "b")
        << resolves("b", Succeeded)
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        << DestroyEnvironment(E1)
    )


def test_new_code_while_resetting() -> None:
    """The reset turns into the end."""
    assert (
        busy()
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> NEW_CODE
        << DestroyEnvironment(E1)
        >> ProcessesKilled(E1)
        >> EnvironmentGone(E1)
        << states(E1="gone")
    )


# A removed function ----------------------------------------------------------------------------------------------------------------------


def test_a_removed_function_answers_who_waits() -> None:
    """And its environments end."""
    assert (
        Dialogue(function())
        >> invocation("a")
        << starts(E1)
        >> REMOVED
        << Resolve("a", Unavailable(message="The function was removed."))
        << DestroyEnvironment(E1)
        >> EnvironmentGone(E1)
        << states(E1="gone")
    )


def test_a_removed_function_ends_its_invocation_first() -> None:
    """What runs may finish."""
    assert (
        busy()
        >> REMOVED
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << DestroyEnvironment(E1)
    )


def test_an_invocation_that_comes_back_to_a_removed_function_is_answered() -> None:
    """It was assigned and not delivered when the environment crashed: no environment is started for a function that is not there."""
    assert (
        frozen()
        >> invocation("b")
        << ThawEnvironment(E1)
        >> REMOVED
        >> exited(E1, signal=9)
        << KillProcesses(E1)
        << Resolve("b", Unavailable(message="The function was removed."))
        >> ProcessesKilled(E1)
        << DestroyEnvironment(E1)
        >> EnvironmentGone(E1)
        << states(E1="gone")
    )


def test_removing_what_is_not_there() -> None:
    """Nothing happens."""
    assert Dialogue() >> REMOVED


# Idle time, chaos, wishes ----------------------------------------------------------------------------------------------------------------


def test_an_environment_idle_for_too_long_is_reclaimed() -> None:
    """Counted from the end of its last invocation, frozen or not."""
    dialogue = frozen(policy=Policy(spares=0, idle_timeout_s=60.0))
    assert dialogue >> wait(59.9) << states(E1="frozen") >> wait(0.2) << DestroyEnvironment(E1) >> EnvironmentGone(E1) << states(E1="gone")
    assert idle(policy=Policy(spares=0, freeze=False, idle_timeout_s=60.0)) >> wait(60.1) << DestroyEnvironment(E1)


def test_an_environment_that_was_never_used_is_reclaimed_too() -> None:
    """After a reset it waits as an idle one does."""
    dialogue = (
        initializing(policy=Policy(spares=0, idle_timeout_s=60.0)) >> exited(E1, status=1) << KillProcesses(E1) >> ProcessesKilled(E1)
    )
    dialogue = dialogue << runs(E1) >> exited(E1, status=1) << resolves("a", FunctionFailed) << KillProcesses(E1) >> ProcessesKilled(E1)
    assert dialogue << states(E1="idle") >> wait(61) << DestroyEnvironment(E1)


def test_chaos_reclaims_after_an_invocation() -> None:
    """With probability 1 always: nobody may depend on reuse."""
    assert (
        busy(policy=Policy(spares=0, chaos=1.0))
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << DestroyEnvironment(E1)
        >> invocation("b")
        << starts(E2)
        >> EnvironmentGone(E1)
    )


def test_chaos_after_a_failure() -> None:
    """The reset ends in the reclaim."""
    assert (
        busy(policy=Policy(spares=0, chaos=1.0))
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << DestroyEnvironment(E1)
    )


def test_reclaim_of_all_that_are_idle() -> None:
    """Neither busy ones nor those that somebody waits for."""
    assert (
        idle(policy=NO_FREEZE)
        >> invocation("b")
        << delivers(3, "b")
        >> invocation("c")
        << starts(E2)
        >> ReclaimRequested()
        << states(E1="busy", E2="starting")
        >> responded(E1, 4, "b")
        << resolves("b", Succeeded)
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        << delivers(5, "c")
        >> responded(E1, 6, "c")
        << resolves("c", Succeeded)
        << answers(6, Accepted)
        >> RuntimeNext(E1, 7)
        >> ReclaimRequested()
        << DestroyEnvironment(E1)
    )


def test_reclaim_of_one_functions_environments() -> None:
    """Busy ones after their invocation; who waited for one that goes gets another."""
    assert (
        Dialogue(function(), function("g"), policy=NO_FREEZE)
        >> invocation("g1", "g")
        << starts(E1)
        >> invocation("a")
        << starts(E2)
        >> ReclaimRequested(function="f")
        << DestroyEnvironment(E2)
        << starts(E3)
        << states(E1="starting", E2="stopping", E3="starting")
    )


def test_reclaim_of_one_busy_environment_lets_it_finish() -> None:
    """Its invocation ends first."""
    assert (
        busy()
        >> ReclaimRequested(environment=E1)
        << states(E1="busy")
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << DestroyEnvironment(E1)
    )


def test_a_reclaimed_environment_is_not_frozen_on_its_way_out() -> None:
    """It is destroyed when its invocation is done, before any freeze."""
    dialogue = busy(policy=Policy(spares=0, freeze_delay_s=0.0)) >> ReclaimRequested(environment=E1) >> responded(E1, 2, "a")
    dialogue = dialogue << resolves("a", Succeeded) << answers(2, Accepted) >> RuntimeNext(E1, 3) << DestroyEnvironment(E1) >> wait(10)
    assert dialogue
    assert FreezeEnvironment(E1) not in dialogue.effects
