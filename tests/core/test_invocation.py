"""One answer for every invocation: whole or streamed, asked for whole or as a stream, with or without the log's tail."""

from __future__ import annotations

import msgspec
import pytest

from frostline.core.effects import (
    Accepted,
    FunctionFailed,
    KillProcesses,
    Refused,
    StreamChunk,
    StreamEnd,
    StreamStart,
    Succeeded,
)
from frostline.core.events import (
    EnvironmentStarted,
    Logged,
    RuntimeNext,
    RuntimeResponseChunk,
    RuntimeResponseEnded,
    RuntimeResponseStarted,
    RuntimeResponseTruncated,
)
from frostline.core.invocation import MAX_RESPONSE_BYTES, TAIL_BYTES, Invocation
from frostline.core.payload import EMPTY, Payload
from frostline.testing.builders import Like, answers, delivers, exited, failed, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import E1, Dialogue, states, wait

from .prologues import failure


def serving(mode: str = "request_response", *, tail: bool = False) -> Dialogue:
    """E1 serves `a`, whose invoker wants its answer this way."""
    dialogue = Dialogue(function()) >> invocation("a", mode=mode, tail=tail) << starts(E1)
    return dialogue >> EnvironmentStarted(E1) << runs(E1) >> RuntimeNext(E1, 1) << delivers(1, "a")


def chunk(text: bytes) -> RuntimeResponseChunk:
    """Part of the response on exchange 2."""
    return RuntimeResponseChunk(E1, 2, payload=Payload(text))


def test_whole_asked_for_whole() -> None:
    """One Resolve."""
    assert serving() >> responded(E1, 2, "a", b"1") << resolves("a", Succeeded, payload=Payload(b"1")) << answers(2, Accepted)


def test_whole_asked_for_as_a_stream() -> None:
    """A stream of one part."""
    assert (
        serving("stream")
        >> responded(E1, 2, "a", b"1")
        << StreamStart(request_id="a", content_type="application/json")
        << StreamChunk(request_id="a", payload=Payload(b"1"))
        << StreamEnd(request_id="a")
        << answers(2, Accepted)
    )


def test_streamed_asked_for_whole() -> None:
    """Collected, and answered when it has ended."""
    assert (
        serving()
        >> RuntimeResponseStarted(E1, 2, request_id="a", content_type="text/plain")
        >> chunk(b"1")
        >> chunk(b"2")
        >> RuntimeResponseEnded(E1, 2)
        << resolves("a", Succeeded, payload=Payload(b"12"), content_type="text/plain")
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )


def test_streamed_asked_for_as_a_stream() -> None:
    """Passed on part by part; an empty part is none."""
    assert (
        serving("stream")
        >> RuntimeResponseStarted(E1, 2, request_id="a", content_type="text/plain")
        << StreamStart(request_id="a", content_type="text/plain")
        >> chunk(b"1")
        << StreamChunk(request_id="a", payload=Payload(b"1"))
        >> chunk(b"")
        >> RuntimeResponseEnded(E1, 2)
        << StreamEnd(request_id="a")
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )


ERROR = Payload(b'{"errorType":"E","errorMessage":"m"}')


def test_an_error_in_the_trailers_ends_the_stream_with_it() -> None:
    """The function failed in the middle and said so."""
    assert (
        serving("stream")
        >> RuntimeResponseStarted(E1, 2, request_id="a")
        << Like(StreamStart, request_id="a")
        >> chunk(b"1")
        << StreamChunk(request_id="a", payload=Payload(b"1"))
        >> RuntimeResponseEnded(E1, 2, error_type="E", error_body=ERROR)
        << StreamEnd(request_id="a", error_type="E", error_payload=ERROR)
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )


def test_an_error_in_the_trailers_is_the_answer_of_a_whole_one() -> None:
    """What was collected is dropped."""
    assert (
        serving()
        >> RuntimeResponseStarted(E1, 2, request_id="a")
        >> chunk(b"1")
        >> RuntimeResponseEnded(E1, 2, error_type="E", error_body=ERROR)
        << resolves("a", FunctionFailed, payload=ERROR)
        << answers(2, Accepted)
    )


def test_a_handlers_error_asked_for_as_a_stream() -> None:
    """A stream that ends with the error."""
    assert (
        serving("stream")
        >> failed(E1, 2, "a", "ValueError", ERROR.data)
        << Like(StreamStart, request_id="a")
        << StreamEnd(request_id="a", error_type="ValueError", error_payload=ERROR)
        << answers(2, Accepted)
    )


@pytest.mark.parametrize("how", ["crash", "timeout", "truncated"])
def test_a_stream_that_breaks_is_ended(how: str) -> None:
    """A crash, a timeout or a broken connection in the middle: the invoker's stream ends, with the reason."""
    dialogue = serving("stream") >> RuntimeResponseStarted(E1, 2, request_id="a") << Like(StreamStart, request_id="a")
    match how:
        case "crash":
            dialogue = dialogue >> exited(E1, status=1) << Like(StreamEnd, error_type="Runtime.ExitError") << KillProcesses(E1)
        case "timeout":
            dialogue = dialogue >> wait(3.01) << Like(StreamEnd, error_type="Sandbox.Timedout") << KillProcesses(E1)
        case "truncated":
            dialogue = (
                dialogue >> RuntimeResponseTruncated(E1, 2, request_id="a") << Like(StreamEnd, error_type="Runtime.TruncatedResponse")
            )
    assert dialogue >> chunk(b"late") >> RuntimeResponseEnded(E1, 2)
    dialogue.laws.finished()


def test_a_stream_collected_over_the_limit_is_too_large() -> None:
    """An invoker that wants it whole cannot have more than 6 MiB and 100 bytes; what still comes is dropped."""
    dialogue = (
        serving()
        >> RuntimeResponseStarted(E1, 2, request_id="a")
        >> chunk(b"x" * MAX_RESPONSE_BYTES)
        >> chunk(b"x")
        << resolves("a", FunctionFailed)
        << answers(2, Refused, status=413)
        >> chunk(b"x")
        >> RuntimeResponseEnded(E1, 2)
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )
    assert dialogue
    assert failure(dialogue, "a")["errorType"] == "Function.ResponseSizeTooLarge"


def test_chunks_of_an_exchange_that_was_refused_are_dropped() -> None:
    """A streamed response with a wrong id is refused at its head."""
    assert (
        serving()
        >> RuntimeResponseStarted(E1, 2, request_id="other")
        << answers(2, Refused, status=400)
        >> chunk(b"1")
        >> RuntimeResponseEnded(E1, 2)
        >> responded(E1, 3, "a", b"3")
        << resolves("a", Succeeded, payload=Payload(b"3"))
        << answers(3, Accepted)
    )


# The log's tail --------------------------------------------------------------------------------------------------------------------------


def test_with_a_tail_the_answer_waits_for_the_log_to_be_complete() -> None:
    """START, the function's own lines, END and REPORT, to the letter; the init's lines are not part of it."""
    tail = (
        "START RequestId: a Version: $LATEST\nhello\nEND RequestId: a\n"
        "REPORT RequestId: a\tDuration: 500.00 ms\tBilled Duration: 500 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tInit Duration: 0.00 ms\t\n"
    )
    assert (
        serving(tail=True)
        >> Logged(environment=E1, process="runtime", text="hello")
        >> responded(E1, 2, "a", b"1")
        << answers(2, Accepted)
        >> wait(0.5)
        >> RuntimeNext(E1, 3)
        << resolves("a", Succeeded, payload=Payload(b"1"), log_tail=tail)
    )


def test_the_tail_of_a_failure() -> None:
    """A crash: the answer comes with the report."""
    dialogue = serving(tail=True) >> exited(E1, status=1) << resolves("a", FunctionFailed) << KillProcesses(E1)
    assert dialogue
    [answer] = [effect for effect in dialogue.effects if effect == resolves("a", FunctionFailed)]
    assert answer.outcome.log_tail.endswith("Status: error\tError Type: Runtime.ExitError\n")


def test_the_tail_of_a_stream() -> None:
    """Parts go on at once; only the end waits."""
    assert (
        serving("stream", tail=True)
        >> responded(E1, 2, "a", b"1")
        << Like(StreamStart, request_id="a")
        << Like(StreamChunk, payload=Payload(b"1"))
        << answers(2, Accepted)
        >> RuntimeNext(E1, 3)
        << Like(StreamEnd, request_id="a", error_type=None, error_payload=EMPTY)
    )


def test_the_tail_is_the_last_four_kibibytes() -> None:
    """AWS: "the last 4 KB of the execution log"; a line may be cut, a character never."""
    dialogue = serving(tail=True)
    for number in range(300):
        dialogue = dialogue >> Logged(environment=E1, process="runtime", text=f"{number} {'é' * 10}")
    dialogue = dialogue >> responded(E1, 2, "a") << answers(2, Accepted) >> RuntimeNext(E1, 3) << resolves("a", Succeeded)
    assert dialogue
    [answer] = [effect for effect in dialogue.effects if effect == resolves("a", Succeeded)]
    tail = answer.outcome.log_tail
    assert TAIL_BYTES - 3 <= len(tail.encode()) <= TAIL_BYTES
    assert tail.endswith("Init Duration: 0.00 ms\t\n")
    assert f"299 {'é' * 10}\nEND" in tail


def test_an_answer_is_given_once() -> None:
    """The law is asserted where it would be broken."""
    answered = Invocation(invocation("a"), 0.0)
    answered.succeed(EMPTY, "text/plain", 0.0, [])
    with pytest.raises(AssertionError, match="answered twice"):
        answered.succeed(EMPTY, "text/plain", 0.0, [])


def test_a_failure_after_the_answer_is_not_an_answer() -> None:
    """`fail` is called for whatever happens later."""
    answered = Invocation(invocation("a"), 0.0)
    answered.succeed(EMPTY, "text/plain", 0.0, [])
    out: list[msgspec.Struct] = []
    answered.fail("E", EMPTY, 1.0, out)
    assert (out, answered.failed) == ([], False)
