"""Invocations from a caller's bytes to a runtime's and back, over loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from frostline.core.effects import Succeeded, Unavailable
from frostline.core.events import InvocationAbandoned
from frostline.testing.fake_runtime import Event, Exit, Process, runtime
from frostline.testing.http_client import request
from tests.control.rig import POLICY, Rig, eventually, function, invocations

ECHO = runtime(lambda process, event: event.payload)


class Turnstile:
    """A handler that waits inside until it is let through."""

    def __init__(self) -> None:
        self.inside: list[Event] = []
        self.open = asyncio.Event()

    async def __call__(self, process: Process, event: Event) -> bytes:
        del process
        self.inside.append(event)
        await self.open.wait()
        return event.payload

    async def until(self, count: int) -> None:
        await eventually(lambda: len(self.inside) >= count)


# Whole answers ---------------------------------------------------------------------------------------------------------------------------


async def test_a_caller_is_answered_with_what_its_function_says(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    response = await rig.invoke({"greeting": "hello"})
    assert response.status == 200
    assert response.json() == {"greeting": "hello"}
    assert response.headers["x-amz-executed-version"] == "$LATEST"
    assert "x-amz-function-error" not in response.headers


async def test_the_function_sees_the_request_id_that_the_caller_gets(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(lambda process, event: json.dumps(event.request_id).encode())
    await rig.start()
    response = await rig.invoke()
    assert response.json() == response.headers["x-amzn-requestid"]


async def test_boto3_invokes_with_a_client_context_and_reads_the_log_tail(rig: Rig) -> None:
    def handler(process: Process, event: Event) -> bytes:
        process.print("in the handler")
        return event.headers["lambda-runtime-client-context"].encode()

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    context = base64.b64encode(b'{"client":{"app":"x"}}').decode()

    def call(client: Any) -> tuple[dict[str, Any], bytes]:
        answer = client.invoke(FunctionName="f", Payload=b"{}", LogType="Tail", ClientContext=context)
        return answer, answer["Payload"].read()

    answer, payload = await rig.boto(call)
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads(payload) == {"client": {"app": "x"}}
    first, *rest = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert first.startswith("START RequestId: ")
    assert rest[0] == "in the handler"
    assert [line.split()[0] for line in rest[1:]] == ["END", "REPORT"]


async def test_boto3_sees_a_function_s_error_and_the_environment_is_used_again(rig: Rig) -> None:
    def handler(process: Process, event: Event) -> bytes:
        del process
        raise ValueError(f"no {event.json()}")

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()

    def call(client: Any) -> tuple[dict[str, Any], Any]:
        answer = client.invoke(FunctionName="f", Payload=b'"good"')
        return answer, json.load(answer["Payload"])

    for _ in range(2):
        answer, payload = await rig.boto(call)
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        assert payload == {"errorType": "ValueError", "errorMessage": "no good", "stackTrace": []}
    assert len(rig.sandbox.called("start")) == 1


async def test_a_process_that_exits_fails_its_invocation_and_the_next_one_has_a_new_process(rig: Rig) -> None:
    def handler(process: Process, event: Event) -> bytes:
        if event.json() == "die":
            process.write(b"last words without a line's end")
            raise Exit(7)
        return event.payload

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    died = await rig.invoke("die", tail=True)
    assert died.headers["x-amz-function-error"] == "Unhandled"
    request_id = died.headers["x-amzn-requestid"]
    assert died.json() == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: exit status 7",
    }
    assert "last words without a line's end\n" in base64.b64decode(died.headers["x-amz-log-result"]).decode()
    assert (await rig.invoke("live")).json() == "live"
    assert len(rig.sandbox.called("start")) == 1
    assert len(rig.sandbox.called("run")) == 2


async def test_a_timeout_answers_the_caller_and_resets_the_environment(rig: Rig) -> None:
    turnstile = Turnstile()
    rig.sandbox.programs["runtime"] = runtime(turnstile)
    await rig.start(function(timeout_s=0.05))
    response = await rig.invoke()
    request_id = response.headers["x-amzn-requestid"]
    assert response.json() == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 0.05 seconds",
    }
    turnstile.open.set()
    assert (await rig.invoke("again")).json() == "again"


async def test_a_log_line_printed_before_the_response_belongs_to_its_invocation(rig: Rig) -> None:
    """Output lies in a pipe and the response comes by TCP: whichever is read first, the line comes first."""

    def handler(process: Process, event: Event) -> bytes:
        process.print(f"line of {event.json()}")
        process.log("framed\nin two lines")
        return b"{}"

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    for number in range(5):
        tail = base64.b64decode((await rig.invoke(number, tail=True)).headers["x-amz-log-result"]).decode()
        assert f"\nline of {number}\nframed\nin two lines\nEND" in tail


async def test_rie_s_path_reaches_the_only_function(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start(function("my-only-one"))
    response = await rig.http("POST", invocations("function"), body=b'"x"')
    assert (response.status, response.json()) == (200, "x")


async def test_the_memory_that_the_sandbox_measured_is_in_the_report(rig: Rig) -> None:
    def handler(process: Process, event: Event) -> bytes:
        del event
        rig.sandbox.environments[process.environment].memory_peak_mb = 77
        return b"{}"

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    tail = base64.b64decode((await rig.invoke(tail=True)).headers["x-amz-log-result"]).decode()
    assert "Max Memory Used: 77 MB" in tail


# Many at once ----------------------------------------------------------------------------------------------------------------------------


async def test_more_callers_than_the_function_may_run_at_once_get_429(rig: Rig) -> None:
    turnstile = Turnstile()
    rig.sandbox.programs["runtime"] = runtime(turnstile)
    await rig.start(function(concurrency=2))
    async with asyncio.TaskGroup() as group:
        served = [group.create_task(rig.invoke(number)) for number in range(2)]
        await turnstile.until(2)
        refused = await rig.invoke(3)
        turnstile.open.set()
    assert refused.status == 429
    assert refused.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert refused.json()["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert [task.result().json() for task in served] == [0, 1]


async def test_pipelined_requests_are_answered_in_their_order(rig: Rig) -> None:
    """The second is done first, and the third is refused at once: both wait for the first."""
    first = asyncio.Event()
    second = asyncio.Event()

    async def handler(process: Process, event: Event) -> bytes:
        del process
        if event.json() == 1:
            await first.wait()
        else:
            second.set()
        return event.payload

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    connection = await rig.connect()
    await connection.send(
        b"".join(request("POST", invocations(name), body=body) for name, body in (("f", b"1"), ("f", b"2"), ("none", b"3")))
    )
    await second.wait()
    first.set()
    answers = [await connection.read() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 404]
    assert [answer.json() for answer in answers[:2]] == [1, 2]


async def test_a_connection_that_pipelines_without_end_is_read_no_faster_than_it_is_answered(rig: Rig) -> None:
    turnstile = Turnstile()
    rig.sandbox.programs["runtime"] = runtime(turnstile)
    await rig.start(function(concurrency=1000))
    connection = await rig.connect()
    for number in range(70):
        await connection.send(request("POST", invocations(), body=b"%d" % number))
        if number < 64:
            await turnstile.until(number + 1)
    await asyncio.sleep(0.02)
    assert len(turnstile.inside) == 64
    turnstile.open.set()
    assert [(await connection.read()).json() for _ in range(70)] == list(range(70))


async def test_many_connections_are_each_answered_with_their_own(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start(function(concurrency=300))
    answers = await asyncio.gather(*(rig.invoke({"number": number}) for number in range(200)))
    assert [answer.json()["number"] for answer in answers] == list(range(200))


async def test_a_caller_that_hangs_up_loses_its_answer_and_nobody_else_does(rig: Rig) -> None:
    turnstile = Turnstile()
    rig.sandbox.programs["runtime"] = runtime(turnstile)
    await rig.start()
    leaving = await rig.connect()
    await leaving.send(request("POST", invocations(), body=b'"leaving"'))
    await turnstile.until(1)
    async with asyncio.TaskGroup() as group:
        staying = group.create_task(rig.invoke("staying"))
        await turnstile.until(2)
        leaving.abort()
        await eventually(lambda: bool(rig.seen(InvocationAbandoned)))
        assert len(rig.plane.invokers) == 1
        turnstile.open.set()
    assert staying.result().json() == "staying"
    await eventually(lambda: sum(line.type == "platform.report" for line in rig.plane.logs.lines("f")) == 2)  # the abandoned one went on
    assert (await rig.invoke("next")).json() == "next"


async def test_a_caller_that_waits_for_permission_to_send_its_payload_gets_it(rig: Rig) -> None:
    """As curl does for a payload of a megabyte and more."""
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    connection = await rig.connect()
    await connection.send_head("POST", invocations(), [("Expect", "100-continue"), ("Content-Length", "3")])
    assert (await connection.read_head()).status == 100
    await connection.send(b'"x"')
    assert (await connection.read()).json() == "x"


async def test_keep_alive_holds_and_a_connection_closes_when_it_is_asked_to(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    connection = await rig.connect()
    for number in range(3):
        assert (await connection.request("POST", invocations(), body=b"%d" % number)).json() == number
    last = await connection.request("POST", invocations(), [("Connection", "close")], b"3")
    assert last.headers["connection"] == "close"
    assert await connection.rest() == b""


# Streams ---------------------------------------------------------------------------------------------------------------------------------


async def test_boto3_reads_a_streamed_response_part_by_part(rig: Rig) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"part %d;" % number
            await asyncio.sleep(0.005)

    rig.sandbox.programs["runtime"] = runtime(lambda process, event: parts())
    await rig.start()

    def call(client: Any) -> list[dict[str, Any]]:
        return list(client.invoke_with_response_stream(FunctionName="f", Payload=b"{}", LogType="Tail")["EventStream"])

    *chunks, complete = await rig.boto(call)
    assert b"".join(event["PayloadChunk"]["Payload"] for event in chunks) == b"part 0;part 1;part 2;"
    assert len(chunks) == 3
    assert b"REPORT RequestId" in base64.b64decode(complete["InvokeComplete"]["LogResult"])
    assert "ErrorCode" not in complete["InvokeComplete"]


async def test_a_stream_that_fails_half_way_says_so_at_its_end(rig: Rig) -> None:
    async def program(process: Process) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half"

        event = await process.next()
        await process.stream(event.request_id, parts(), error="Function.Broken")
        await process.next()

    rig.sandbox.programs["runtime"] = program
    await rig.start()
    chunk, complete = await rig.boto(lambda client: list(client.invoke_with_response_stream(FunctionName="f")["EventStream"]))
    assert chunk["PayloadChunk"]["Payload"] == b"half"
    assert complete["InvokeComplete"]["ErrorCode"] == "Function.Broken"


async def test_a_streamed_response_comes_whole_to_who_asked_for_it_whole(rig: Rig) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'["a",'
        yield b'"b"]'

    rig.sandbox.programs["runtime"] = runtime(lambda process, event: parts())
    await rig.start()
    assert (await rig.invoke()).json() == ["a", "b"]


async def test_a_whole_response_comes_as_a_stream_to_who_asked_for_one(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    events = await rig.boto(lambda client: list(client.invoke_with_response_stream(FunctionName="f", Payload=b'"x"')["EventStream"]))
    assert [next(iter(event)) for event in events] == ["PayloadChunk", "InvokeComplete"]
    assert events[0]["PayloadChunk"]["Payload"] == b'"x"'


# Asynchronous ----------------------------------------------------------------------------------------------------------------------------


async def test_an_event_invocation_is_accepted_and_tried_three_times(rig: Rig) -> None:
    attempts: list[str] = []

    def handler(process: Process, event: Event) -> bytes:
        del process
        attempts.append(event.request_id)
        raise ValueError("always")

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    answer = await rig.boto(lambda client: client.invoke(FunctionName="f", InvocationType="Event", Payload=b"{}"))
    assert answer["StatusCode"] == 202
    await eventually(lambda: sum(line.type == "platform.report" for line in rig.plane.logs.lines("f")) == 3)
    await asyncio.sleep(0.05)  # a fourth attempt would be due by now
    assert attempts == [answer["ResponseMetadata"]["RequestId"]] * 3


async def test_an_event_invocation_that_finds_no_room_runs_later(rig: Rig) -> None:
    turnstile = Turnstile()
    rig.sandbox.programs["runtime"] = runtime(turnstile)
    await rig.start(function(concurrency=1))
    async with asyncio.TaskGroup() as group:
        group.create_task(rig.invoke("first"))
        await turnstile.until(1)
        assert (await rig.invoke("later", kind="Event")).status == 202
        turnstile.open.set()
    await turnstile.until(2)
    assert turnstile.inside[1].json() == "later"
    await eventually(lambda: sum(line.type == "platform.report" for line in rig.plane.logs.lines("f")) == 2)


async def test_events_that_wait_for_another_attempt_are_counted_when_frostline_ends(rig: Rig) -> None:
    def handler(process: Process, event: Event) -> bytes:
        raise ValueError("always")

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start(policy=replace(POLICY, retry_delay_s=60.0))
    await rig.invoke(kind="Event")
    await eventually(lambda: any(line.type == "platform.report" for line in rig.plane.logs.lines("f")))
    await rig.plane.close()
    assert [note for note in rig.notes if "asynchronous" in note] == [
        "1 asynchronous invocation was unfinished and is lost: the queue is in memory only"
    ]


# What is refused -------------------------------------------------------------------------------------------------------------------------


async def test_an_unknown_function_is_404(rig: Rig) -> None:
    await rig.start()

    def call(client: Any) -> Any:
        with pytest.raises(ClientError) as caught:
            client.invoke(FunctionName="nobody")
        return caught.value.response

    response = await rig.boto(call)
    assert response["Error"]["Code"] == "ResourceNotFoundException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert "nobody" in response["Error"]["Message"]


@pytest.mark.parametrize(
    ("payload", "status", "error"),
    [
        (b"{not json", 400, "InvalidRequestContentException"),
        (b"\xff\xfe", 400, "InvalidRequestContentException"),
        (b'"' + b"x" * (7 * 1024 * 1024) + b'"', 413, "RequestEntityTooLargeException"),
    ],
    ids=["not JSON", "not text", "7 MB"],
)
async def test_a_bad_payload_is_refused_and_the_connection_is_good_for_the_next(rig: Rig, payload: bytes, status: int, error: str) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    connection = await rig.connect()
    refused = await connection.request("POST", invocations(), body=payload)
    assert (refused.status, refused.headers["x-amzn-errortype"]) == (status, error)
    assert (await connection.request("POST", invocations(), body=b"1")).json() == 1
    assert len(rig.sandbox.called("start")) == 1


async def test_a_payload_at_the_limit_passes(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(lambda process, event: b"%d" % len(event.payload))
    await rig.start()
    payload = b'"' + b"x" * (6 * 1024 * 1024 - 2) + b'"'
    assert (await rig.http("POST", invocations(), body=payload)).json() == 6 * 1024 * 1024


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"HELO there\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"A" * 200_000,
    ],
    ids=["TLS", "another protocol", "no length", "no end"],
)
async def test_garbage_closes_its_own_connection_only(rig: Rig, garbage: bytes) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    good = await rig.connect()
    assert (await good.request("POST", invocations(), body=b"1")).json() == 1
    bad = await rig.connect()
    await bad.send(garbage)
    assert (await bad.read_head()).status == 400
    assert (await good.request("POST", invocations(), body=b"2")).json() == 2


async def test_a_request_that_stops_half_way_is_no_invocation(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    half = await rig.connect()
    await half.send(request("POST", invocations(), body=b'"whole"')[:-3])
    await half.close()
    assert (await rig.invoke(1)).json() == 1
    assert len(rig.witness.laws._invoked) == 1


async def test_a_machine_that_cannot_build_environments_says_so(rig: Rig) -> None:
    rig.sandbox.fails["start"] = "no room on this machine"
    await rig.start()
    response = await rig.invoke()
    assert (response.status, response.headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert "no room on this machine" in response.json()["Message"]
    assert any("no room on this machine" in note for note in rig.notes)


async def test_a_program_can_call_without_http(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    request_id, outcome = await rig.plane.call("f", b'"x"', tail=True)
    assert isinstance(outcome, Succeeded)
    assert outcome.payload.data == b'"x"'
    assert outcome.log_tail is not None
    assert request_id in outcome.log_tail
    _, unknown = await rig.plane.call("nobody", b"{}")
    assert unknown == Unavailable(message="Function not found: nobody")
