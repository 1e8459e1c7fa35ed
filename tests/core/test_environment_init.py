"""An environment's init: cold start, errors, timeouts, and the suppressed init that follows a failed one."""

from __future__ import annotations

from frostline.core.effects import (
    Accepted,
    Answer,
    Emit,
    FreezeEnvironment,
    FunctionFailed,
    KillProcesses,
    NextInvocation,
    Refused,
    StartEnvironment,
    Succeeded,
    Unavailable,
)
from frostline.core.events import (
    EnvironmentStarted,
    EnvironmentStartFailed,
    ProcessesKilled,
    ProcessExited,
    RuntimeInitFailed,
    RuntimeNext,
)
from frostline.core.payload import Payload
from frostline.testing.builders import answers, delivers, exited, failed, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import BEGINNING, E1, E2, Dialogue, states, wait

from .prologues import busy, failure, initializing

BROKEN = Payload(b'{"errorMessage":"boom","errorType":"ImportError","requestId":"","stackTrace":[]}')
BROKEN_AGAIN = Payload(b'{"errorMessage":"boom again","errorType":"ImportError","requestId":"","stackTrace":[]}')


def test_a_cold_start_builds_starts_and_delivers() -> None:
    """The first invocation builds a sandbox; the runtime's first /next ends the init and gets the event, with all that AWS tells it."""
    assert (
        Dialogue(function(timeout_s=5.0))
        >> invocation("a", payload=b'{"n":1}')
        << StartEnvironment(environment=E1, function="f", revision="1", log_stream="2001/09/09/[$LATEST]E1")
        >> EnvironmentStarted(E1)
        << runs(E1)
        << states(E1="initializing")
        >> wait(1)
        >> RuntimeNext(E1, 1)
        << Answer(
            1,
            NextInvocation(
                request_id="a",
                deadline_ms=int((BEGINNING + 6) * 1000),
                function_arn="arn:aws:lambda:us-east-1:123456789012:function:f",
                payload=Payload(b'{"n":1}'),
            ),
        )
        << states(E1="busy")
        >> responded(E1, 2, "a", b"42")
        << resolves("a", Succeeded, payload=Payload(b"42"), content_type="application/json", log_tail=None)
        << answers(2, Accepted)
        << states(E1="busy")
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )


def test_an_init_that_nobody_waits_for_any_more_ends_in_a_freeze() -> None:
    """An environment whose invocation went elsewhere freezes right after its init, as on AWS."""
    assert (
        busy()
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
        << states(E2="idle")
        >> wait(0.01)
        << FreezeEnvironment(E2)
        << states(E1="busy", E2="freezing")
    )


def test_an_init_error_is_tried_again_inside_the_first_invocation() -> None:
    """AWS: a failed Init phase is repeated at the first invocation (suppressed init). The second error's payload is the response."""
    dialogue = (
        initializing()
        >> RuntimeInitFailed(E1, 1, error_type="ImportError", payload=BROKEN)
        << Answer(1, Accepted())
        << KillProcesses(E1)
        << states(E1="resetting")
        >> exited(E1, status=1)
        >> ProcessesKilled(E1)
        << runs(E1)
        << states(E1="busy")
        >> RuntimeInitFailed(E1, 2, error_type="ImportError", payload=BROKEN_AGAIN)
        << Answer(2, Accepted())
        << resolves("a", FunctionFailed, payload=BROKEN_AGAIN)
        << KillProcesses(E1)
    )
    assert dialogue
    phases = [(record["phase"], record["status"]) for record in dialogue.records("platform.initReport")]
    assert phases == [("init", "error"), ("invoke", "error")]
    assert dialogue.records("platform.report")[0]["status"] == "error"


def test_a_suppressed_init_that_succeeds_delivers_at_once_and_hides_its_duration() -> None:
    """Its time is part of the invocation's: REPORT has no Init Duration."""
    dialogue = (
        initializing()
        >> RuntimeInitFailed(E1, 1, error_type="ImportError", payload=BROKEN)
        << Answer(1, Accepted())
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << runs(E1)
        >> wait(1)
        >> RuntimeNext(E1, 2)
        << delivers(2, "a", deadline_ms=int((BEGINNING + 3) * 1000))
        >> responded(E1, 3, "a")
        << resolves("a", Succeeded)
        << answers(3, Accepted)
        >> RuntimeNext(E1, 4)
        << states(E1="idle")
    )
    assert dialogue
    assert dialogue.texts()[-1] == (
        "REPORT RequestId: a\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t"
    )


def test_an_init_has_ten_seconds_and_a_suppressed_one_the_functions_timeout() -> None:
    """The Init phase ends after 10 s; within the invocation the function's own timeout counts, and its message is AWS's."""
    dialogue = (
        initializing(function(timeout_s=1.0))
        >> wait(9.9)
        << states(E1="initializing")
        >> wait(0.2)
        << KillProcesses(E1)
        << states(E1="resetting")
        >> exited(E1, signal=9)
        >> ProcessesKilled(E1)
        << runs(E1)
        << states(E1="busy")
        >> wait(0.9)
        >> wait(0.2)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
    )
    assert dialogue
    assert failure(dialogue, "a") == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: a Error: Task timed out after 1.00 seconds",
    }
    assert dialogue.texts() == [
        "INIT_START Runtime Version: python:3.12.frostline\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:local",
        "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout",
        "INIT_START Runtime Version: python:3.12.frostline\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:local",
        "INIT_REPORT Init Duration: 1000.00 ms\tPhase: invoke\tStatus: timeout",
        "START RequestId: a Version: $LATEST",
        "END RequestId: a",
        "REPORT RequestId: a\tDuration: 1000.00 ms\tBilled Duration: 1000 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tStatus: timeout",
    ]


def test_an_init_that_crashes_twice_answers_with_the_exit() -> None:
    """A process that ends during both inits: the invoker reads how the second one ended."""
    dialogue = (
        initializing()
        >> exited(E1, status=1)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << runs(E1)
        >> exited(E1, status=127)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << states(E1="idle")
    )
    assert dialogue
    expected = {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: a Error: Runtime exited with error: exit status 127"}
    assert failure(dialogue, "a") == expected
    assert "Status: error\tError Type: Runtime.ExitError" in dialogue.texts()[-1]


def test_a_runtime_that_cannot_be_executed_is_an_invalid_entrypoint() -> None:
    """AWS's words for a bootstrap that is missing or not executable."""
    dialogue = (
        initializing()
        >> ProcessExited(E1, process="runtime", error="fork/exec /var/task/bootstrap: permission denied")
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << runs(E1)
        >> ProcessExited(E1, process="runtime", error="fork/exec /var/task/bootstrap: permission denied")
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
    )
    assert dialogue
    assert failure(dialogue, "a") == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": "RequestId: a Error: Runtime exited with error: fork/exec /var/task/bootstrap: permission denied",
    }


def test_after_a_failed_init_the_next_invocation_tries_again() -> None:
    """An environment after a reset serves the next invocation with another suppressed init; the new one may succeed."""
    assert (
        initializing()
        >> exited(E1, status=1)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << runs(E1)
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << states(E1="idle")
        >> invocation("b")
        << runs(E1)
        >> RuntimeNext(E1, 4)
        << delivers(4, "b")
    )


def test_an_environment_with_nothing_in_it_is_not_frozen() -> None:
    """After a reset no process runs: there is nothing to freeze."""
    assert (
        initializing()
        >> exited(E1, status=1)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << runs(E1)
        >> exited(E1, status=1)
        << resolves("a", FunctionFailed)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        >> wait(60)
        << states(E1="idle")
    )


def test_a_sandbox_that_cannot_be_built_answers_the_invocation_that_waits() -> None:
    """500 with the reason, once, and the next invocation tries anew."""
    assert (
        Dialogue(function())
        >> invocation("a")
        << starts(E1)
        >> EnvironmentStartFailed(E1, "no cgroup")
        << resolves("a", Unavailable, message="An execution environment could not be started: no cgroup")
        << states(E1="gone")
        >> invocation("b")
        << starts(E2)
    )


def test_a_sandbox_that_cannot_be_built_answers_one_of_two() -> None:
    """Each failed start answers one waiting invocation, so nobody waits for ever on a broken machine."""
    assert (
        Dialogue(function())
        >> invocation("a")
        << starts(E1)
        >> invocation("b")
        << starts(E2)
        >> EnvironmentStartFailed(E2, "no cgroup")
        << resolves("a", Unavailable)
        >> EnvironmentStartFailed(E1, "no cgroup")
        << resolves("b", Unavailable)
    )


def test_an_init_error_outside_an_init_is_refused() -> None:
    """403 InvalidStateTransition, in RIE's words."""
    assert (
        busy()
        >> RuntimeInitFailed(E1, 2, error_type="ImportError", payload=BROKEN)
        << Answer(
            2,
            Refused(
                status=403,
                error_type="InvalidStateTransition",
                message="Transition from Running to InitError failed for runtime. Error: State transition is not allowed",
            ),
        )
        >> failed(E1, 3, "a")
        << resolves("a", FunctionFailed)
        << answers(3, Accepted)
    )


def test_the_telemetry_of_a_cold_start() -> None:
    """platform.initStart, initRuntimeDone, initReport, start, runtimeDone, report, in AWS's order and with AWS's fields."""
    dialogue = initializing() >> wait(0.25) >> RuntimeNext(E1, 1) << delivers(1, "a")
    dialogue = dialogue >> wait(0.5) >> responded(E1, 2, "a", b"1234") << resolves("a", Succeeded) << answers(2, Accepted)
    dialogue = dialogue >> wait(0.125) >> RuntimeNext(E1, 3)
    assert dialogue
    kinds = [effect.type for effect in dialogue.effects if isinstance(effect, Emit)]
    assert kinds == [
        "platform.initStart",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.start",
        "platform.runtimeDone",
        "platform.end",
        "platform.report",
    ]
    assert dialogue.records("platform.initStart") == [
        {
            "initializationType": "on-demand",
            "phase": "init",
            "runtimeVersion": "python:3.12.frostline",
            "runtimeVersionArn": "arn:aws:lambda:us-east-1::runtime:local",
            "functionName": "f",
            "functionVersion": "$LATEST",
            "instanceId": "2001/09/09/[$LATEST]E1",
            "instanceMaxMemory": 134217728,
        }
    ]
    assert dialogue.records("platform.initReport")[0]["metrics"] == {"durationMs": 250.0}
    [done] = dialogue.records("platform.runtimeDone")
    assert done["metrics"] == {"durationMs": 625.0, "producedBytes": 4}
    assert [(span["name"], span["durationMs"]) for span in done["spans"]] == [
        ("responseLatency", 500.0),
        ("responseDuration", 0.0),
        ("runtimeOverhead", 125.0),
    ]
    [report] = dialogue.records("platform.report")
    assert report["metrics"] == {
        "durationMs": 625.0,
        "billedDurationMs": 875,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 0,
        "initDurationMs": 250.0,
    }
