"""Freeze and thaw. The freeze race is `test_an_invocation_that_meets_a_freeze_under_way`: read `core.states` beside it."""

from __future__ import annotations

import pytest

from frostline.core.effects import (
    Accepted,
    Answer,
    DestroyEnvironment,
    FreezeEnvironment,
    KillProcesses,
    NextInvocation,
    NextInvoke,
    NextShutdown,
    Registered,
    SignalProcess,
    Succeeded,
    ThawEnvironment,
)
from frostline.core.events import (
    EnvironmentFreezeFailed,
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentThawed,
    EnvironmentWarped,
    ExchangeClosed,
    ExtensionNext,
    ExtensionRegister,
    FreezeRequested,
    ProcessesKilled,
    ReclaimRequested,
    RuntimeNext,
    TimerFired,
)
from frostline.core.policy import Policy
from frostline.testing.builders import answers, delivers, exited, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, E2, Dialogue, states, wait

from .prologues import LOGGER, extended_busy, extended_frozen, extended_idle, freezing, frozen, idle

TERM = SignalProcess(environment=E1, process="runtime", signal="SIGTERM")


def test_an_idle_environment_freezes_after_the_delay() -> None:
    """The request is an effect, the fact an event."""
    assert (
        idle(policy=Policy(spares=0, freeze_delay_s=0.5))
        >> wait(0.4)
        << states(E1="idle")
        >> wait(0.2)
        << FreezeEnvironment(E1)
        << states(E1="freezing")
        >> EnvironmentFrozen(E1)
        << states(E1="frozen")
    )


def test_a_freeze_that_somebody_asks_for_does_not_wait_for_the_delay() -> None:
    """Once: what is under way, or done, is not asked for again."""
    slow = idle(policy=Policy(spares=0, freeze_delay_s=60)) >> FreezeRequested(E1) << FreezeEnvironment(E1) << states(E1="freezing")
    assert slow >> FreezeRequested(E1) >> EnvironmentFrozen(E1) << states(E1="frozen") >> FreezeRequested(E1) << states(E1="frozen")


def test_a_freeze_that_somebody_asks_for_does_not_disturb_work() -> None:
    """The function's, an extension's, or that of somebody who wants nothing frozen."""
    assert extended_busy() >> FreezeRequested(E1) << states(E1="busy")
    assert idle(policy=Policy(spares=0, freeze=False)) >> FreezeRequested(E1) << states(E1="idle")
    assert idle() >> ExchangeClosed(E1, 3) >> FreezeRequested(E1) << states(E1="idle")


def test_back_to_back_invocations_pay_for_no_freeze() -> None:
    """The next invocation within the delay: no freeze, no thaw."""
    dialogue = idle()
    for number in range(4, 20, 2):
        request_id = f"b{number}"
        dialogue = dialogue >> invocation(request_id) << delivers(number - 1, request_id) >> wait(0.0005)
        dialogue = dialogue >> responded(E1, number, request_id) << resolves(request_id, Succeeded) << answers(number, Accepted)
        dialogue = dialogue >> RuntimeNext(E1, number + 1) >> wait(0.0005)
    assert dialogue << states(E1="idle")


def test_thaw_and_deliver() -> None:
    """A frozen environment is delivered to after the kernel says that it runs, never before; its time begins then."""
    dialogue = (
        frozen()
        >> wait(60)
        >> invocation("b")
        << ThawEnvironment(E1)
        << states(E1="thawing")
        >> wait(0.25)
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
        << states(E1="busy")
        >> wait(0.5)
        >> responded(E1, 4, "b")
        << resolves("b", Succeeded)
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        >> wait(0.01)
        << FreezeEnvironment(E1)
    )
    assert dialogue
    assert "Duration: 500.00 ms" in dialogue.texts()[-1]


def deadline(dialogue: Dialogue) -> int:
    """The one that the last invocation was given, in epoch milliseconds."""
    assert dialogue
    return [each.reply.deadline_ms for each in dialogue.effects if isinstance(each, Answer) and isinstance(each.reply, NextInvocation)][-1]


def test_a_deadline_is_told_in_the_environments_own_time() -> None:
    """Its clocks were moved: what it is told in epoch time is later by as much, or it would have no time left."""
    plain = frozen() >> invocation("b") << ThawEnvironment(E1) >> EnvironmentThawed(E1) << delivers(3, "b")
    warped = EnvironmentWarped(E1, seconds=3600.0, ahead_s=3600.0)
    moved = frozen() >> warped >> invocation("b") << ThawEnvironment(E1) >> EnvironmentThawed(E1) << delivers(3, "b")
    assert deadline(moved) - deadline(plain) == 3_600_000


def test_an_invocation_that_meets_a_freeze_under_way() -> None:
    """The freeze race: it is assigned at once, the freeze is called off, and it is delivered after the thaw."""
    assert (
        freezing()
        >> invocation("b")
        << ThawEnvironment(E1)
        << states(E1="thawing")
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
        << states(E1="busy")
    )


def test_a_stale_frozen_after_the_race_is_ignored() -> None:
    """The kernel was faster than the call-off: only EnvironmentThawed moves the environment on."""
    assert (
        freezing()
        >> invocation("b")
        << ThawEnvironment(E1)
        >> EnvironmentFrozen(E1)
        << states(E1="thawing")
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
        >> EnvironmentFrozen(E1)
        << states(E1="busy")
    )


def test_a_freeze_that_fails_while_it_is_called_off() -> None:
    """The thaw is under way and will be answered."""
    assert (
        freezing()
        >> invocation("b")
        << ThawEnvironment(E1)
        >> EnvironmentFreezeFailed(E1, "busy")
        << states(E1="thawing")
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
    )


def test_two_invocations_that_meet_a_freeze() -> None:
    """The first has the environment, the second gets another one."""
    assert (
        freezing()
        >> invocation("b")
        << ThawEnvironment(E1)
        >> invocation("c")
        << starts(E2)
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
        << states(E1="busy", E2="starting")
    )


def test_a_freeze_that_fails_three_times_is_given_up() -> None:
    """A second between attempts; afterwards the environment stays unfrozen and is reclaimed as usual."""
    dialogue = freezing()
    for _ in range(2):
        dialogue = dialogue >> EnvironmentFreezeFailed(E1, "EBUSY") << states(E1="idle") >> wait(1) << FreezeEnvironment(E1)
    assert (
        dialogue
        >> EnvironmentFreezeFailed(E1, "EBUSY")
        >> wait(2000)
        << states(E1="idle")
        >> wait(400)
        << DestroyEnvironment(E1)
        << states(E1="stopping")
    )


def test_a_freeze_that_succeeds_forgets_failures() -> None:
    """Three in a row."""
    dialogue = freezing()
    for _ in range(3):
        dialogue = dialogue >> EnvironmentFreezeFailed(E1, "EBUSY") >> wait(1) << FreezeEnvironment(E1)
        dialogue = dialogue >> EnvironmentFrozen(E1) >> invocation(f"b{_}") << ThawEnvironment(E1) >> EnvironmentThawed(E1)
        dialogue = dialogue << delivers(3 + 2 * _, f"b{_}") >> responded(E1, 4 + 2 * _, f"b{_}") << resolves(f"b{_}", Succeeded)
        dialogue = dialogue << answers(4 + 2 * _, Accepted) >> RuntimeNext(E1, 5 + 2 * _) >> wait(0.01) << FreezeEnvironment(E1)
    assert dialogue << states(E1="freezing")


@pytest.mark.parametrize("prologue", [freezing, frozen], ids=["freezing", "frozen"])
def test_a_crash_while_frozen_is_a_reset(prologue: object) -> None:
    """Somebody killed it. It is thawed, because what is started in it next would stand still."""
    assert (
        prologue()
        >> exited(E1, signal=9)
        << ThawEnvironment(E1)
        << KillProcesses(E1)
        << states(E1="resetting")
        >> EnvironmentThawed(E1)
        >> ProcessesKilled(E1)
        << states(E1="idle")
        >> invocation("b")
        << runs(E1)
        >> RuntimeNext(E1, 9)
        << delivers(9, "b")
    )


@pytest.mark.parametrize("prologue", [freezing, frozen], ids=["freezing", "frozen"])
def test_a_crash_while_thawing_loses_no_invocation(prologue: object) -> None:
    """It was never delivered: it goes back to the head of the queue, waits for the reset and is served."""
    assert (
        prologue()
        >> invocation("b")
        << ThawEnvironment(E1)
        >> exited(E1, signal=9)
        << KillProcesses(E1)
        << states(E1="resetting")
        >> EnvironmentThawed(E1)
        >> ProcessesKilled(E1)
        << runs(E1)
        << states(E1="busy")
        >> RuntimeNext(E1, 9)
        << delivers(9, "b")
    )


def test_a_lost_environment_while_thawing_loses_no_invocation() -> None:
    """Another environment is started for it."""
    assert frozen() >> invocation("b") << ThawEnvironment(E1) >> EnvironmentGone(E1) << starts(E2) << states(E1="gone")


def test_a_timer_that_fires_late_changes_nothing() -> None:
    """Timers race with the events that cancel them."""
    assert (
        frozen()
        >> TimerFired(E1)
        << states(E1="frozen")
        >> invocation("b")
        << ThawEnvironment(E1)
        >> TimerFired(E1)
        << states(E1="thawing")
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
        >> TimerFired(E1)
        << states(E1="busy")
    )


def test_a_poll_that_hung_up_while_frozen() -> None:
    """The invocation is delivered when the runtime asks again."""
    assert (
        frozen()
        >> ExchangeClosed(E1, 3)
        >> invocation("b")
        << ThawEnvironment(E1)
        >> EnvironmentThawed(E1)
        << states(E1="busy")
        >> RuntimeNext(E1, 4)
        << delivers(4, "b")
    )


def test_frozen_environments_are_used_after_idle_ones() -> None:
    """Idle before frozen, and the one used last first."""
    dialogue = (
        freezing()
        >> EnvironmentFrozen(E1)
        >> invocation("b")
        << ThawEnvironment(E1)
        >> invocation("c")
        << starts(E2)
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
    )
    assert dialogue << states(E1="busy", E2="starting")


def test_without_freezing_nothing_freezes() -> None:
    """Level `off`."""
    assert idle(policy=Policy(spares=0, freeze=False)) >> wait(100) << states(E1="idle")


# With extensions -------------------------------------------------------------------------------------------------------------------------


def test_it_freezes_only_when_every_extension_waits() -> None:
    """The runtime waits already; the extension holds the invocation's end, and the freeze."""
    assert (
        extended_busy()
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        >> wait(1)
        << states(E1="busy")
        >> ExtensionNext(E1, 12, extension_id="id:logger")
        << states(E1="idle")
        >> wait(0.01)
        << FreezeEnvironment(E1)
    )


def test_an_extension_that_hung_up_holds_the_freeze() -> None:
    """Until it waits again."""
    assert (
        extended_idle()
        >> ExchangeClosed(E1, 12)
        >> wait(1)
        << states(E1="idle")
        >> ExtensionNext(E1, 13, extension_id="id:logger")
        >> wait(0.01)
        << FreezeEnvironment(E1)
    )


def test_a_thaw_delivers_to_the_extensions_too() -> None:
    """NextInvoke beside NextInvocation."""
    assert (
        extended_frozen()
        >> invocation("b")
        << ThawEnvironment(E1)
        >> EnvironmentThawed(E1)
        << delivers(3, "b")
        << answers(12, NextInvoke, request_id="b")
    )


def test_a_frozen_environment_without_extensions_is_destroyed_as_it_is() -> None:
    """Nobody in it could use the time."""
    assert frozen() >> ReclaimRequested(environment=E1) << DestroyEnvironment(E1) >> EnvironmentGone(E1) << states(E1="gone")


def retired_frozen() -> Dialogue:
    """A frozen environment with an extension is to be reclaimed: it is thawed first."""
    return extended_frozen() >> ReclaimRequested(environment=E1) << ThawEnvironment(E1) << states(E1="thawing")


def test_a_frozen_environment_with_extensions_is_thawed_to_be_told() -> None:
    """SHUTDOWN reaches running processes only."""
    assert (
        retired_frozen()
        >> EnvironmentThawed(E1)
        << TERM
        << states(E1="stopping")
        >> exited(E1, signal=15)
        << answers(12, NextShutdown, reason="spindown")
        >> exited(E1, LOGGER)
        << DestroyEnvironment(E1)
        >> EnvironmentGone(E1)
        << states(E1="gone")
    )


def test_an_invocation_does_not_go_to_an_environment_that_thaws_to_stop() -> None:
    """Another one is started for it."""
    assert retired_frozen() >> invocation("b") << starts(E2) >> EnvironmentThawed(E1) << TERM << states(E1="stopping", E2="starting")


def test_a_crash_while_it_thaws_to_stop() -> None:
    """It is reset, and then stopped."""
    assert (
        retired_frozen()
        >> exited(E1, signal=9)
        << answers(12, NextShutdown, reason="failure")
        << states(E1="resetting")
        >> EnvironmentThawed(E1)
        >> exited(E1, LOGGER)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << DestroyEnvironment(E1)
    )


def test_a_crash_while_frozen_tells_the_extensions() -> None:
    """Thawed first, because a frozen extension cannot read its SHUTDOWN."""
    assert (
        extended_frozen()
        >> exited(E1, signal=9)
        << ThawEnvironment(E1)
        << answers(12, NextShutdown, reason="failure")
        << states(E1="resetting")
        >> EnvironmentThawed(E1)
        >> exited(E1, LOGGER)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << states(E1="idle")
    )


def test_an_environment_with_extensions_is_registered_anew_after_a_reset() -> None:
    """Everything in it was killed: the next invocation starts extensions and runtime again."""
    assert (
        extended_idle(policy=Policy(spares=0, freeze=False))
        >> exited(E1, signal=9)
        << answers(12, NextShutdown, reason="failure")
        >> exited(E1, LOGGER)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        >> invocation("b")
        << runs(E1, LOGGER)
        >> ExtensionRegister(E1, 20, name="logger", events=())
        << answers(20, Registered)
        << runs(E1)
        >> ExtensionNext(E1, 21, extension_id="id:logger")
        >> RuntimeNext(E1, 22)
        << delivers(22, "b")
    )


def test_busy_environments_are_not_frozen_by_a_stale_timer() -> None:
    """The freeze delay's timer fires while the next invocation is served."""
    assert idle() >> invocation("b") << delivers(3, "b") >> TimerFired(E1) << states(E1="busy")
