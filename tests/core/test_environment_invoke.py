"""One invocation on the Runtime API: answers, refusals, and when the environment is done."""

from __future__ import annotations

import pytest

from frostline.core.effects import (
    Accepted,
    Answer,
    DestroyEnvironment,
    FreezeEnvironment,
    FunctionFailed,
    KillProcesses,
    NextInvocation,
    NextInvoke,
    Refused,
    Registered,
    SignalProcess,
    Succeeded,
)
from frostline.core.events import (
    EnvironmentFrozen,
    Event,
    ExchangeClosed,
    ExtensionNext,
    ExtensionRegister,
    InvocationAbandoned,
    InvocationArrived,
    MemorySampled,
    ProcessesKilled,
    RuntimeNext,
    RuntimeResponseStarted,
    RuntimeResponseTooLarge,
    RuntimeResponseTruncated,
)
from frostline.core.invocation import MAX_RESPONSE_BYTES
from frostline.core.payload import Payload
from frostline.testing.builders import answers, delivers, exited, failed, invocation, resolves, responded, runs
from frostline.testing.dialogue import E1, states, wait

from .prologues import LOGGER, NO_FREEZE, busy, failure, freezing, idle, initializing, registered


def refused(exchange: int, from_state: str, to_state: str) -> Answer:
    """403, in the words of RIE."""
    message = f"Transition from {from_state} to {to_state} failed for runtime. Error: State transition is not allowed"
    return Answer(exchange, Refused(status=403, error_type="InvalidStateTransition", message=message))


UNKNOWN_ID = Refused(status=400, error_type="InvalidRequestID", message="Invalid request ID")


def test_a_warm_environment_is_handed_the_next_invocation_at_once() -> None:
    """The runtime waits in /next, so the event is the answer; nothing else happens."""
    assert (
        idle(policy=NO_FREEZE)
        >> wait(5)
        >> invocation("b")
        << delivers(3, "b")
        >> responded(E1, 4, "b")
        << resolves("b", Succeeded)
        << answers(4, Accepted)
        >> RuntimeNext(E1, 5)
        << states(E1="idle")
    )


def test_the_invoker_has_its_answer_before_the_environment_is_done() -> None:
    """AWS: the response goes back as soon as the runtime posted it."""
    assert (
        busy()
        >> responded(E1, 2, "a", b"1")
        << resolves("a", Succeeded, payload=Payload(b"1"))
        << answers(2, Accepted)
        << states(E1="busy")
    )


def test_a_handlers_error_goes_to_the_invoker_as_it_is() -> None:
    """The payload is the runtime's; the environment is as good as before and no status shows in the log."""
    body = b'{"errorMessage":"no","errorType":"ValueError","requestId":"a","stackTrace":[]}'
    dialogue = (
        busy(policy=NO_FREEZE)
        >> failed(E1, 2, "a", payload=body)
        << resolves("a", FunctionFailed, payload=Payload(body))
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
        >> invocation("b")
        << delivers(3, "b")
    )
    assert dialogue
    assert "Status" not in next(text for text in dialogue.texts() if text.startswith("REPORT"))
    assert dialogue.records("platform.runtimeDone")[0] | {"metrics": None, "spans": None} == {
        "requestId": "a",
        "status": "error",
        "errorType": "ValueError",
        "metrics": None,
        "spans": None,
    }


@pytest.mark.parametrize(
    "event",
    [responded(E1, 2, "other"), failed(E1, 2, "other"), RuntimeResponseTooLarge(E1, 2, request_id="other", size=7_000_000)],
    ids=["response", "error", "too large"],
)
def test_a_wrong_request_id_is_refused_with_400(event: Event) -> None:
    """InvalidRequestID, and the invocation goes on."""
    assert busy() >> event << Answer(2, UNKNOWN_ID) >> responded(E1, 3, "a") << resolves("a", Succeeded) << answers(3, Accepted)


def test_the_id_is_checked_before_the_order() -> None:
    """As in RIE, whose router checks it: between invocations every id is wrong."""
    assert idle(policy=NO_FREEZE) >> responded(E1, 4, "a") << Answer(4, UNKNOWN_ID)


def test_a_second_response_is_refused_with_403() -> None:
    """RIE: TestInvokeResponseTwice. The invoker has the first one."""
    assert (
        busy()
        >> responded(E1, 2, "a", b"1")
        << resolves("a", Succeeded, payload=Payload(b"1"))
        << answers(2, Accepted)
        >> responded(E1, 3, "a", b"2")
        << refused(3, "RuntimeResponseSentState", "InvocationResponse")
        >> failed(E1, 4, "a")
        << refused(4, "RuntimeResponseSentState", "InvocationErrorResponse")
    )


def test_a_second_next_during_an_invocation_gets_the_same_event() -> None:
    """RIE: TestInvokeNextTwice."""
    assert busy() >> RuntimeNext(E1, 2) << delivers(2, "a") >> responded(E1, 3, "a") << resolves("a", Succeeded) << answers(3, Accepted)


def test_every_poll_that_waits_gets_the_event() -> None:
    """A runtime with two polls open is odd, and served as RIE serves it."""
    assert idle(policy=NO_FREEZE) >> RuntimeNext(E1, 4) >> invocation("b") << delivers(3, "b") << delivers(4, "b")


def test_a_poll_that_hung_up_is_not_answered() -> None:
    """The invocation waits for the runtime's next poll."""
    assert (
        idle(policy=NO_FREEZE)
        >> ExchangeClosed(E1, 3)
        >> invocation("b")
        << states(E1="busy")
        >> RuntimeNext(E1, 4)
        << delivers(4, "b")
        >> responded(E1, 5, "b")
        << resolves("b", Succeeded)
        << answers(5, Accepted)
    )


def test_a_runtime_that_hung_up_and_never_asks_again_times_out() -> None:
    """Its invocation's time runs from the moment at which it was assigned."""
    dialogue = idle(policy=NO_FREEZE) >> ExchangeClosed(E1, 3) >> invocation("b") >> wait(3.1)
    dialogue = dialogue << resolves("b", FunctionFailed) << KillProcesses(E1)
    assert dialogue
    assert "Duration: 3000.00 ms" in dialogue.texts()[-1]


def test_a_poll_that_hangs_up_during_a_suppressed_init_loses_nothing() -> None:
    """The init is done when somebody asks; the invocation is delivered to a poll that waits."""
    assert (
        registered()
        >> exited(E1, LOGGER, status=1)
        << SignalProcess(environment=E1, process="runtime", signal="SIGTERM")
        >> exited(E1, signal=15)
        << KillProcesses(E1)
        >> ProcessesKilled(E1)
        << runs(E1, LOGGER)
        >> ExtensionRegister(E1, 20, name="logger", events=("INVOKE",))
        << answers(20, Registered)
        << runs(E1)
        >> RuntimeNext(E1, 21)
        >> ExchangeClosed(E1, 21)
        >> ExtensionNext(E1, 22, extension_id="id:logger")
        << states(E1="busy")
        >> RuntimeNext(E1, 23)
        << delivers(23, "a")
        << answers(22, NextInvoke, request_id="a")
    )


def test_a_response_over_the_limit_is_the_functions_error() -> None:
    """The runtime reads 413, the invoker Function.ResponseSizeTooLarge with AWS's sentence, and life goes on."""
    dialogue = (
        busy(policy=NO_FREEZE)
        >> RuntimeResponseTooLarge(E1, 2, request_id="a", size=7_000_000)
        << resolves("a", FunctionFailed)
        << answers(2, Refused, status=413, error_type="RequestEntityTooLarge")
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
        >> invocation("b")
        << delivers(3, "b")
    )
    assert dialogue
    assert failure(dialogue, "a") == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).",
    }


def test_a_response_that_breaks_off_is_the_functions_error() -> None:
    """Nobody is left to be answered; the runtime may ask for the next event."""
    dialogue = (
        busy(policy=NO_FREEZE)
        >> RuntimeResponseTruncated(E1, 2, request_id="a")
        << resolves("a", FunctionFailed)
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )
    assert dialogue
    assert failure(dialogue, "a")["errorType"] == "Runtime.TruncatedResponse"


def test_a_truncated_response_to_something_else_changes_nothing() -> None:
    """Neither a wrong id nor a response after the response counts."""
    assert (
        busy()
        >> RuntimeResponseTruncated(E1, 2, request_id="other")
        >> responded(E1, 3, "a")
        << resolves("a", Succeeded)
        << answers(3, Accepted)
        >> RuntimeResponseTruncated(E1, 4, request_id="a")
        << states(E1="busy")
    )


def test_a_response_during_the_init_is_refused() -> None:
    """There is no invocation, so there is no such id."""
    assert initializing() >> responded(E1, 1, "a") << Answer(1, UNKNOWN_ID)


def test_a_next_while_a_streamed_response_is_under_way_is_refused() -> None:
    """The runtime's state does not allow it."""
    assert busy() >> RuntimeResponseStarted(E1, 2, request_id="a") >> RuntimeNext(E1, 3) << refused(3, "InvocationResponse", "Ready")


def test_an_invoker_that_hangs_up_changes_nothing() -> None:
    """The invocation goes on, as on AWS; its answer has no reader."""
    assert busy() >> InvocationAbandoned("a") >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted)


def test_what_the_invoker_sent_along_reaches_the_runtime() -> None:
    """Client context, Cognito identity and trace id, as headers of /next."""
    arrived = InvocationArrived(
        function="f", request_id="b", payload=Payload(b""), client_context="{}", cognito_identity="{}", trace_id="Root=1-2-3"
    )
    assert (
        idle(policy=NO_FREEZE)
        >> arrived
        << answers(3, NextInvocation, request_id="b", client_context="{}", cognito_identity="{}", trace_id="Root=1-2-3")
    )


def test_a_runtime_that_hangs_up_is_not_frozen_before_it_asks_again() -> None:
    """It is still at work; when it waits again, the freeze delay begins anew."""
    assert (
        idle()
        >> ExchangeClosed(E1, 3)
        >> wait(1)
        << states(E1="idle")
        >> RuntimeNext(E1, 4)
        >> wait(0.01)
        << FreezeEnvironment(E1)
        >> EnvironmentFrozen(E1)
        << states(E1="frozen")
    )


def test_a_runtime_that_hangs_up_for_good_is_reclaimed() -> None:
    """It never freezes, and the idle time ends it."""
    assert idle() >> ExchangeClosed(E1, 3) >> wait(2399) << states(E1="idle") >> wait(2) << DestroyEnvironment(E1)


def test_late_words_while_it_freezes_are_refused() -> None:
    """A response without an invocation does not disturb the freeze."""
    assert freezing() >> responded(E1, 4, "a") << Answer(4, UNKNOWN_ID) << states(E1="freezing")


def test_the_report_shows_the_peak_of_memory() -> None:
    """What the sandbox measured last."""
    dialogue = (
        busy() >> MemorySampled(E1, 36) >> responded(E1, 2, "a") << resolves("a", Succeeded) << answers(2, Accepted) >> RuntimeNext(E1, 3)
    )
    assert dialogue
    assert "Max Memory Used: 36 MB" in dialogue.texts()[-1]


def test_late_words_from_an_unknown_environment_are_ignored() -> None:
    """An environment that is gone has nobody to answer."""
    assert busy() >> RuntimeNext("nowhere", 9) >> EnvironmentFrozen("nowhere") << states(E1="busy")


def test_the_arn_is_qualified_when_the_caller_qualified_it() -> None:
    """Recorded on AWS: who names `$LATEST` reads it in the ARN."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"
    arrived = InvocationArrived(function="f", request_id="b", payload=Payload(b""), qualified=True)
    assert idle(policy=NO_FREEZE) >> arrived << answers(3, NextInvocation, request_id="b", function_arn=arn)
