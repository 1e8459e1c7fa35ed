"""How an environment is shut down: AWS's budgets (0, 500, 2,000 ms) and who is told, signalled or killed, and when."""

from __future__ import annotations

from frostline.core.effects import (
    Accepted,
    Answer,
    CloseTelemetry,
    DestroyEnvironment,
    FunctionFailed,
    KillProcesses,
    NextShutdown,
    Refused,
    Registered,
    SignalProcess,
    Succeeded,
)
from frostline.core.events import (
    EnvironmentGone,
    EnvironmentStarted,
    ExtensionNext,
    ExtensionRegister,
    ProcessesKilled,
    ReclaimRequested,
    RuntimeNext,
)
from frostline.core.members import Extension
from frostline.core.policy import Policy
from frostline.core.shutdown import budget_s
from frostline.testing.builders import answers, delivers, exited, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import BEGINNING, E1, Dialogue, states, wait

from .prologues import LOGGER, NO_FREEZE, busy, extended_busy, extended_idle, idle

TERM = SignalProcess(environment=E1, process="runtime", signal="SIGTERM")
KILL = SignalProcess(environment=E1, process="runtime", signal="SIGKILL")
KILL_LOGGER = SignalProcess(environment=E1, process=LOGGER, signal="SIGKILL")
RECLAIM = ReclaimRequested(environment=E1)


def internal_idle() -> Dialogue:
    """E1 is idle with one internal extension."""
    dialogue = Dialogue(function(), policy=NO_FREEZE) >> invocation("a") << starts(E1) >> EnvironmentStarted(E1) << runs(E1)
    dialogue = dialogue >> ExtensionRegister(E1, 10, name="inner", events=()) << answers(10, Registered)
    dialogue = dialogue >> ExtensionNext(E1, 11, extension_id="id:inner") >> RuntimeNext(E1, 1) << delivers(1, "a")
    return dialogue >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted) >> RuntimeNext(E1, 3) << states(E1="idle")


def test_the_budgets() -> None:
    """AWS: 2,000 ms with an external extension, 500 ms with internal ones only, 0 ms with none."""
    policy = Policy()
    external, internal = Extension("x", external=True), Extension("i", external=False)
    assert budget_s({}, policy) == 0.0
    assert budget_s({"i": internal}, policy) == 0.5
    assert budget_s({"i": internal, "x": external}, policy) == 2.0


def test_without_extensions_the_runtime_gets_no_sigterm() -> None:
    """0 ms: it is destroyed at once, its telemetry delivered first."""
    dialogue = (
        idle(policy=NO_FREEZE) >> RECLAIM << DestroyEnvironment(E1) << states(E1="stopping") >> EnvironmentGone(E1) << states(E1="gone")
    )
    assert dialogue
    assert dialogue.effects.index(CloseTelemetry(E1)) < dialogue.effects.index(DestroyEnvironment(E1))


def test_with_internal_extensions_the_runtime_has_150_ms() -> None:
    """SIGTERM, 30 % of 500 ms, then SIGKILL and the end."""
    assert internal_idle() >> RECLAIM << TERM >> wait(0.149) << states(E1="stopping") >> wait(0.002) << KILL << DestroyEnvironment(E1)


def test_with_internal_extensions_a_runtime_that_ends_in_time_is_not_killed() -> None:
    """Nothing is left to wait for."""
    assert internal_idle() >> RECLAIM << TERM >> wait(0.1) >> exited(E1, signal=15) << DestroyEnvironment(E1)


def test_with_external_extensions_the_runtime_has_600_ms_and_they_the_rest() -> None:
    """SIGTERM, SIGKILL after 30 % of 2,000 ms, then SHUTDOWN with the deadline; who is still there at the deadline is destroyed."""
    assert (
        extended_idle(policy=NO_FREEZE)
        >> RECLAIM
        << TERM
        >> wait(0.599)
        >> wait(0.002)
        << KILL
        << answers(12, NextShutdown, reason="spindown", deadline_ms=int((BEGINNING + 2) * 1000))
        >> exited(E1, signal=9)
        >> wait(1.38)
        << states(E1="stopping")
        >> wait(0.05)
        << DestroyEnvironment(E1)
    )


def test_extensions_that_end_in_time_end_the_shutdown() -> None:
    """The budget is a limit, not a delay."""
    assert (
        extended_idle(policy=NO_FREEZE)
        >> RECLAIM
        << TERM
        >> exited(E1, signal=15)
        << answers(12, NextShutdown)
        >> exited(E1, LOGGER)
        << DestroyEnvironment(E1)
    )


def test_an_extension_without_shutdown_is_killed() -> None:
    """It is not told, and gets no time once the runtime has ended."""
    assert (
        extended_idle(events=("INVOKE",), policy=NO_FREEZE)
        >> RECLAIM
        << TERM
        >> exited(E1, signal=15)
        << KILL_LOGGER
        >> exited(E1, LOGGER, signal=9)
        << DestroyEnvironment(E1)
    )


def test_an_extension_that_is_at_work_is_told_when_it_asks() -> None:
    """After a timeout the extension may still be busy with the invocation; the reason says timeout."""
    assert (
        extended_busy()
        >> wait(3)
        << resolves("a", FunctionFailed)
        << TERM
        >> exited(E1, signal=15)
        >> wait(0.5)
        >> ExtensionNext(E1, 12, extension_id="id:logger")
        << answers(12, NextShutdown, reason="timeout", deadline_ms=int((BEGINNING + 5) * 1000))
        >> exited(E1, LOGGER)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << states(E1="idle")
    )


def test_an_extension_that_asks_again_after_shutdown_is_told_once() -> None:
    """There is no event after SHUTDOWN: the poll is held until the deadline."""
    assert (
        extended_idle(policy=NO_FREEZE)
        >> RECLAIM
        << TERM
        >> exited(E1, signal=15)
        << answers(12, NextShutdown)
        >> ExtensionNext(E1, 13, extension_id="id:logger")
        >> wait(2)
        << DestroyEnvironment(E1)
    )


def test_the_reason_of_a_reset_after_a_crash_is_failure() -> None:
    """RIE's words: spindown, timeout, failure."""
    assert (
        extended_busy()
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        >> ExtensionNext(E1, 12, extension_id="id:logger")
        << answers(12, NextShutdown, reason="failure")
    )


def test_a_reclaim_during_a_reset_goes_on_with_its_shutdown() -> None:
    """One budget, not two; at its end the sandbox goes too."""
    assert (
        extended_busy()
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        >> RECLAIM
        << states(E1="stopping")
        >> ExtensionNext(E1, 12, extension_id="id:logger")
        << answers(12, NextShutdown, reason="failure")
        >> exited(E1, LOGGER)
        << DestroyEnvironment(E1)
    )


def test_a_reclaim_while_the_processes_of_a_reset_are_killed() -> None:
    """The answer to KillProcesses comes late and is ignored."""
    assert (
        busy()
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> RECLAIM
        << DestroyEnvironment(E1)
        >> ProcessesKilled(E1)
        << states(E1="stopping")
        >> EnvironmentGone(E1)
        << states(E1="gone")
    )


def test_polls_during_a_shutdown_are_held_or_refused_never_served() -> None:
    """A runtime that asks for the next event while it is shut down gets none."""
    assert (
        extended_idle(policy=NO_FREEZE)
        >> RECLAIM
        << TERM
        >> RuntimeNext(E1, 20)
        >> responded(E1, 21, "a")
        << Answer(21, Refused(status=400, error_type="InvalidRequestID", message="Invalid request ID"))
        >> invocation("b")
        << starts("E2")
    )
