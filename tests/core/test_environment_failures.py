"""How invocations fail: the payloads, statuses and log lines are those recorded on AWS (2025-11)."""

from __future__ import annotations

import pytest

from frostline.core.effects import Accepted, Emit, FunctionFailed, KillProcesses, Refused, Succeeded
from frostline.core.events import EnvironmentGone, ProcessesKilled, ProcessExited, RuntimeNext, RuntimeResponseStarted
from frostline.testing.builders import answers, delivers, exited, failed, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, E2, states, wait

from .prologues import NO_FREEZE, busy, failure, idle


def test_a_timeout() -> None:
    """`Sandbox.Timedout`, at the function's timeout; the environment is reset."""
    dialogue = (
        busy(function(timeout_s=1.0))
        >> wait(0.99)
        << states(E1="busy")
        >> wait(0.02)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        << states(E1="resetting")
    )
    assert dialogue
    assert failure(dialogue, "a") == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: a Error: Task timed out after 1.00 seconds",
    }
    assert dialogue.texts()[-3:] == [
        "START RequestId: a Version: $LATEST",
        "END RequestId: a",
        (
            "REPORT RequestId: a\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t"
            "Init Duration: 0.00 ms\tStatus: timeout"
        ),
    ]
    assert dialogue.records("platform.runtimeDone")[0]["status"] == "timeout"


EXITS = {
    "status 0": (exited(E1, status=0), "Runtime.ExitError", "Runtime exited without providing a reason"),
    "status 127": (exited(E1, status=127), "Runtime.ExitError", "Runtime exited with error: exit status 127"),
    "segmentation fault": (exited(E1, signal=11), "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
    "unknown signal": (exited(E1, signal=99), "Runtime.ExitError", "Runtime exited with error: signal: signal 99"),
    "killed": (exited(E1, signal=9), "Runtime.ExitError", "Runtime exited with error: signal: killed"),
    "out of memory": (
        ProcessExited(E1, process="runtime", signal=9, out_of_memory=True),
        "Runtime.OutOfMemory",
        "Runtime exited with error: signal: killed",
    ),
}


@pytest.mark.parametrize(("event", "error_type", "reason"), EXITS.values(), ids=EXITS)
def test_an_exit(event: ProcessExited, error_type: str, reason: str) -> None:
    """The invoker reads how the runtime ended; REPORT says it too."""
    dialogue = busy() >> event << resolves("a", FunctionFailed) << KillProcesses(E1) << states(E1="resetting")
    assert dialogue
    assert failure(dialogue, "a") == {"errorType": error_type, "errorMessage": f"RequestId: a Error: {reason}"}
    assert dialogue.texts()[-1].endswith(f"Status: error\tError Type: {error_type}")


def test_after_a_reset_the_next_invocation_begins_with_an_init() -> None:
    """Globals are gone, the sandbox (and its /tmp) is the same."""
    assert (
        busy()
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << states(E1="idle")
        >> invocation("b")
        << runs(E1)
        << states(E1="busy")
        >> RuntimeNext(E1, 9)
        << delivers(9, "b")
    )


def test_an_invocation_that_meets_a_reset_waits_for_it() -> None:
    """It would take longer to build another environment than to empty this one."""
    assert (
        busy()
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> invocation("b")
        >> ProcessesKilled(E1)
        << runs(E1)
        >> RuntimeNext(E1, 9)
        << delivers(9, "b")
    )


def test_a_crash_after_the_response_leaves_the_invoker_its_answer() -> None:
    """The response was out; the log says what happened afterwards."""
    dialogue = (
        busy()
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> exited(E1, status=1)
        << KillProcesses(E1)
        << states(E1="resetting")
    )
    assert dialogue
    assert "Status: error\tError Type: Runtime.ExitError" in dialogue.texts()[-1]


def test_a_timeout_after_the_response_leaves_the_invoker_its_answer() -> None:
    """A runtime that never asks for the next event is reset when the function's time is over."""
    dialogue = (
        busy()
        >> responded(E1, 2, "a")
        << resolves("a", Succeeded)
        << answers(2, Accepted)
        >> wait(3.01)
        << KillProcesses(E1)
        << states(E1="resetting")
    )
    assert dialogue
    assert dialogue.texts()[-1].endswith("Status: timeout")


def test_a_failed_invocation_says_every_record_once() -> None:
    """One START, one runtimeDone, one END, one REPORT, also when the runtime was done and crashed later."""
    dialogue = (
        busy() >> failed(E1, 2, "a") << resolves("a", FunctionFailed) << answers(2, Accepted) >> exited(E1, status=1) << KillProcesses(E1)
    )
    assert dialogue
    kinds = [effect.type for effect in dialogue.effects if isinstance(effect, Emit) and effect.request_id == "a"]
    assert kinds == ["platform.start", "platform.runtimeDone", "platform.end", "platform.report"]


def test_what_a_dead_runtime_still_says_is_refused() -> None:
    """Its requests may be read after its exit."""
    assert (
        busy()
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> responded(E1, 2, "a")
        << answers(2, Refused, status=400)
        >> RuntimeNext(E1, 3)
        << answers(3, Refused, status=403)
        >> ProcessesKilled(E1)
        << states(E1="idle")
    )


def test_a_response_after_the_timeout_is_refused() -> None:
    """The invocation is over; its invoker has had the timeout."""
    assert (
        busy()
        >> wait(3.01)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> responded(E1, 2, "a")
        << answers(2, Refused, status=400)
    )


def test_an_environment_that_is_lost_answers_its_invocation() -> None:
    """The sandbox lost it (somebody killed its first process): no answer is owed any more, and the log is whole."""
    dialogue = busy() >> EnvironmentGone(E1) << resolves("a", FunctionFailed) << states(E1="gone") >> invocation("b") << starts(E2)
    assert dialogue
    assert failure(dialogue, "a")["errorType"] == "Sandbox.Failure"
    assert [text.split(" ")[0] for text in dialogue.texts()[-3:]] == ["START", "END", "REPORT"]


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_an_environment_that_is_lost_is_forgotten(state: str) -> None:
    """In whatever state."""
    dialogue = idle(policy=NO_FREEZE) if state == "idle" else busy()
    dialogue = dialogue >> EnvironmentGone(E1)
    if state == "busy":
        dialogue = dialogue << resolves("a", FunctionFailed)
    assert dialogue << states(E1="gone")


def test_a_crash_of_an_idle_runtime_is_a_reset() -> None:
    """Nobody waits: nobody is answered."""
    assert (
        idle(policy=NO_FREEZE)
        >> exited(E1, signal=9)
        << KillProcesses(E1)
        << states(E1="resetting")
        >> ProcessesKilled(E1)
        << states(E1="idle")
        >> invocation("b")
        << runs(E1)
    )


def test_a_crash_in_the_middle_of_a_streamed_response_to_a_whole_one() -> None:
    """An invoker that wants it whole reads the crash, not half a response."""
    dialogue = (
        busy()
        >> RuntimeResponseStarted(E1, 2, request_id="a")
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
    )
    assert dialogue
    assert failure(dialogue, "a")["errorType"] == "Runtime.ExitError"
