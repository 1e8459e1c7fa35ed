"""The end of everything: each environment is shut down within its budget, each invoker is answered, and Stopped is said once."""

from __future__ import annotations

import pytest

from frostline.core.effects import (
    Accepted,
    CloseTelemetry,
    DestroyEnvironment,
    Emit,
    FunctionFailed,
    KillProcesses,
    NextShutdown,
    Resolve,
    SignalProcess,
    Stopped,
    StreamEnd,
    StreamStart,
    Succeeded,
    ThawEnvironment,
    Unavailable,
)
from frostline.core.events import (
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentThawed,
    ProcessesKilled,
    RuntimeNext,
    RuntimeResponseStarted,
    ShutdownRequested,
)
from frostline.testing.builders import Like, answers, delivers, exited, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, E2, Dialogue, states, wait

from .prologues import LOGGER, NO_FREEZE, busy, extended_frozen, extended_idle, freezing, frozen, idle, initializing

END = ShutdownRequested()
TERM = SignalProcess(environment=E1, process="runtime", signal="SIGTERM")
ENDING = Unavailable(message="Frostline is shutting down.")


def gone(dialogue: Dialogue) -> None:
    """E1 goes, and that is all."""
    assert dialogue >> EnvironmentGone(E1) << Stopped() << states(E1="gone") >> END >> wait(10_000)
    dialogue.laws.finished()


def test_with_nothing_there() -> None:
    """Stopped at once, and once."""
    assert Dialogue(function()) >> END << Stopped() >> END


def test_later_invocations_are_refused() -> None:
    """500, with the reason."""
    assert Dialogue(function()) >> END << Stopped() >> invocation("a") << Resolve("a", ENDING)


def test_while_starting() -> None:
    """The queue is answered, the sandbox destroyed."""
    gone(
        Dialogue(function())
        >> invocation("a")
        << starts(E1)
        >> END
        << Resolve("a", ENDING)
        << DestroyEnvironment(E1)
        >> EnvironmentStarted(E1)
    )


def test_while_initializing() -> None:
    """Likewise."""
    gone(initializing() >> END << Resolve("a", ENDING) << DestroyEnvironment(E1))


def test_while_busy() -> None:
    """The invocation is not waited for: its invoker is told."""
    stopped = Unavailable(message="The execution environment was stopped: shutdown.")
    gone(busy() >> END << Resolve("a", stopped) << DestroyEnvironment(E1) >> exited(E1, signal=9))


def test_while_busy_after_the_response() -> None:
    """The invoker has its answer already; only the runtime's next request was missing, and telemetry has its REPORT."""
    dialogue = busy() >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted) >> END << DestroyEnvironment(E1)
    assert dialogue
    said = [
        effect.type if isinstance(effect, Emit) else "closed" for effect in dialogue.effects if isinstance(effect, Emit | CloseTelemetry)
    ]
    assert said[-4:] == ["platform.runtimeDone", "platform.end", "platform.report", "closed"]
    gone(dialogue)


def test_while_busy_with_an_answer_that_waits_for_its_log() -> None:
    """It goes out with the log, its REPORT included."""
    dialogue = Dialogue(function()) >> invocation("a", tail=True) << starts(E1) >> EnvironmentStarted(E1) << runs(E1)
    dialogue = dialogue >> RuntimeNext(E1, 1) << delivers(1, "a") >> responded(E1, 2, "a") << answers(2, Accepted)
    dialogue = dialogue >> END << resolves("a", Succeeded) << DestroyEnvironment(E1)
    assert dialogue
    (resolved,) = (effect.outcome for effect in dialogue.effects if isinstance(effect, Resolve))
    assert isinstance(resolved, Succeeded) and resolved.log_tail is not None
    assert [line.split()[0] for line in resolved.log_tail.splitlines()] == ["START", "END", "REPORT"]
    gone(dialogue)


def test_in_the_middle_of_a_stream() -> None:
    """An invoker's stream is ended with an error."""
    dialogue = Dialogue(function()) >> invocation("a", mode="stream") << starts(E1) >> EnvironmentStarted(E1) << runs(E1)
    dialogue = dialogue >> RuntimeNext(E1, 1) << delivers(1, "a") >> RuntimeResponseStarted(E1, 2, request_id="a") << Like(StreamStart)
    gone(dialogue >> END << Like(StreamEnd, request_id="a", error_type="ServiceException") << DestroyEnvironment(E1))


@pytest.mark.parametrize("tail", [False, True])
def test_in_the_middle_of_a_stream_that_is_collected(tail: bool) -> None:
    """An invoker that wants it whole is told that there is none, once."""
    dialogue = Dialogue(function()) >> invocation("a", tail=tail) << starts(E1) >> EnvironmentStarted(E1) << runs(E1)
    dialogue = dialogue >> RuntimeNext(E1, 1) << delivers(1, "a") >> RuntimeResponseStarted(E1, 2, request_id="a")
    gone(dialogue >> END << resolves("a", Unavailable) << DestroyEnvironment(E1))


def test_while_idle() -> None:
    """No extension: no time."""
    gone(idle(policy=NO_FREEZE) >> END << DestroyEnvironment(E1))


def test_while_frozen() -> None:
    """Destroyed as it is."""
    gone(frozen() >> END << DestroyEnvironment(E1))


def test_while_freezing() -> None:
    """Likewise."""
    gone(freezing() >> END << DestroyEnvironment(E1))


def test_while_thawing() -> None:
    """The assigned invocation was never delivered; its invoker is told."""
    gone(
        frozen() >> invocation("b") << ThawEnvironment(E1) >> END << DestroyEnvironment(E1) << Resolve("b", ENDING) >> EnvironmentThawed(E1)
    )


def test_while_resetting() -> None:
    """The reset turns into the end."""
    dialogue = busy() >> exited(E1, status=1) << resolves("a", FunctionFailed) << KillProcesses(E1)
    gone(dialogue >> END << DestroyEnvironment(E1) >> ProcessesKilled(E1))


def test_with_extensions() -> None:
    """They are told, within the budget."""
    dialogue = extended_idle(policy=NO_FREEZE) >> END << TERM >> exited(E1, signal=15)
    gone(dialogue << answers(12, NextShutdown, reason="spindown") >> exited(E1, LOGGER) << DestroyEnvironment(E1))


def test_with_extensions_while_frozen() -> None:
    """Thawed to be told."""
    dialogue = (
        extended_frozen() >> END << ThawEnvironment(E1) << states(E1="thawing") >> EnvironmentThawed(E1) << TERM >> exited(E1, signal=15)
    )
    gone(dialogue << answers(12, NextShutdown, reason="spindown") >> exited(E1, LOGGER) << DestroyEnvironment(E1))


def test_with_extensions_while_thawing_for_an_invocation() -> None:
    """The invocation is not delivered any more: its invoker is told at once, and the extensions after the thaw."""
    dialogue = extended_frozen() >> invocation("b") << ThawEnvironment(E1) >> END << Resolve("b", ENDING) << states(E1="thawing")
    dialogue = dialogue >> EnvironmentThawed(E1) << TERM << states(E1="stopping") >> exited(E1, signal=15) << answers(12, NextShutdown)
    gone(dialogue >> exited(E1, LOGGER) << DestroyEnvironment(E1))


def test_many_at_once() -> None:
    """Stopped comes after the last of them."""
    assert (
        busy()
        >> invocation("b")
        << starts(E2)
        >> END
        << Resolve("b", ENDING)
        << resolves("a", Unavailable)
        << DestroyEnvironment(E1)
        << DestroyEnvironment(E2)
        >> EnvironmentGone(E2)
        << states(E1="stopping", E2="gone")
        >> EnvironmentGone(E1)
        << Stopped()
    )
