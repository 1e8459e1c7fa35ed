"""The Runtime API, as a runtime speaks it. Statuses and bodies are RIE's."""

from __future__ import annotations

from base64 import b64encode

import msgspec
import pytest

from frostline.core.effects import Accepted, NextInvocation, Refused
from frostline.core.events import (
    RuntimeFailed,
    RuntimeInitFailed,
    RuntimeNext,
    RuntimeResponded,
    RuntimeResponseChunk,
    RuntimeResponseEnded,
    RuntimeResponseStarted,
    RuntimeResponseTooLarge,
    RuntimeResponseTruncated,
)
from frostline.core.payload import Payload
from frostline.wire.runtime_api import MAX_RESPONSE, MAX_STREAMED_RESPONSE, error_type_of

from .dialogue import ID, NEXT, Process, chunked, request, respond

INVOCATION = NextInvocation(
    request_id=ID,
    deadline_ms=1542409706888,
    function_arn="arn:aws:lambda:us-east-1:123456789012:function:f",
    payload=Payload(b'{"a":1}'),
    trace_id="Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
)
STREAMING = [("Lambda-Runtime-Function-Response-Mode", "streaming")]
RESPONSE_PATH = f"/2018-06-01/runtime/invocation/{ID}/response"


def test_next_waits_and_then_gets_the_event_with_its_headers() -> None:
    runtime = Process()
    assert runtime.send(NEXT) == [RuntimeNext("e1", 1)]
    assert runtime.received == b""
    runtime.answer(1, INVOCATION)
    answer = runtime.read()
    assert answer.status == 200 and answer.body == b'{"a":1}'
    assert answer.headers == {
        "content-type": "application/json",
        "content-length": "7",
        "lambda-runtime-aws-request-id": ID,
        "lambda-runtime-deadline-ms": "1542409706888",
        "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "lambda-runtime-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
    }


def test_client_context_and_identity_are_headers_that_stay_on_their_line() -> None:
    runtime = Process()
    runtime.send(NEXT)
    runtime.answer(
        1, msgspec.structs.replace(INVOCATION, client_context='{"custom":\r\n{"a":"ä"}}', cognito_identity='{"cognitoIdentityId":"i"}')
    )
    headers = runtime.read().headers
    assert headers["lambda-runtime-client-context"] == '{"custom":  {"a":"ä"}}'
    assert headers["lambda-runtime-cognito-identity"] == '{"cognitoIdentityId":"i"}'


def test_a_response_is_accepted_with_202() -> None:
    runtime = Process()
    event = runtime.send_one(respond(b'"done"', headers=[("Content-Type", "application/json")]))
    assert event == RuntimeResponded("e1", 1, request_id=ID, payload=Payload(b'"done"'), content_type="application/json")
    runtime.answer(1, Accepted())
    answer = runtime.read()
    assert (answer.status, answer.json()) == (202, {"status": "OK"})


def test_the_core_refuses_with_its_own_status_and_type() -> None:
    runtime = Process()
    runtime.send(respond(request_id="other"))
    runtime.answer(1, Refused(status=400, error_type="InvalidRequestID", message="Invalid request ID"))
    answer = runtime.read()
    assert (answer.status, answer.json()) == (400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"})


@pytest.mark.parametrize(
    ("header", "body", "recorded"),
    [
        ("Runtime.ImportModuleError", b"{}", "Runtime.ImportModuleError"),
        ("Function.MyError", b"{}", "Function.MyError"),
        ("Function.my", b"{}", "Function.Unknown"),
        ("Unhandled", b'{"errorType":"Runtime.Other"}', "Runtime.Unknown"),
        ("", b'{"errorType":"Runtime.Other","errorMessage":"x"}', "Runtime.Other"),
        ("", b'{"errorType":"ValueError"}', "Runtime.Unknown"),
        ("", b"not json", "Runtime.Unknown"),
        ("", b'{"errorType":7}', "Runtime.Unknown"),
        ("", b"", "Runtime.Unknown"),
    ],
)
def test_the_recorded_type_of_an_error_comes_from_header_or_body(header: str, body: bytes, recorded: str) -> None:
    runtime = Process()
    headers = [("Lambda-Runtime-Function-Error-Type", header)] if header else []
    event = runtime.send_one(request("POST", f"/2018-06-01/runtime/invocation/{ID}/error", headers, body))
    assert event == RuntimeFailed("e1", 1, request_id=ID, error_type=recorded, payload=Payload(body))


def test_an_error_with_a_cause_reaches_the_caller_without_it() -> None:
    body = b'{"errorMessage":"m","errorType":"T","stackTrace":["a"],"errorCause":{"message":"x"}}'
    headers = [("Content-Type", "application/vnd.aws.lambda.error.cause+json")]
    event = Process().send_one(request("POST", f"/2018-06-01/runtime/invocation/{ID}/error", headers, body))
    assert isinstance(event, RuntimeFailed)
    assert msgspec.json.decode(event.payload.data) == {"errorMessage": "m", "errorType": "T", "stackTrace": ["a"]}
    event = Process().send_one(request("POST", f"/2018-06-01/runtime/invocation/{ID}/error", headers, b"["))
    assert isinstance(event, RuntimeFailed) and event.payload.data == b'"Invalid error body"'


def test_an_init_error() -> None:
    runtime = Process()
    body = b'{"errorMessage":"No module named x","errorType":"Runtime.ImportModuleError","stackTrace":[]}'
    event = runtime.send_one(request("POST", "/2018-06-01/runtime/init/error", [], body))
    assert event == RuntimeInitFailed("e1", 1, error_type="Runtime.ImportModuleError", payload=Payload(body))


def test_a_streamed_response_arrives_in_pieces_and_is_answered_once() -> None:
    runtime = Process()
    data = chunked("POST", RESPONSE_PATH, [*STREAMING, ("Content-Type", "text/html")], [b"one", b"two"])
    events = runtime.send(data)
    assert events == [
        RuntimeResponseStarted("e1", 1, request_id=ID, content_type="text/html"),
        RuntimeResponseChunk("e1", 1, payload=Payload(b"one")),
        RuntimeResponseChunk("e1", 1, payload=Payload(b"two")),
        RuntimeResponseEnded("e1", 1),
    ]
    runtime.answer(1, Accepted())
    assert runtime.read().status == 202


@pytest.mark.parametrize("body", [b'{"errorMessage":"late"}', b"%%% not base64"])
def test_a_stream_can_fail_in_its_trailers(body: bytes) -> None:
    trailer = b64encode(body).decode() if body.startswith(b"{") else body.decode()
    trailers = [("Lambda-Runtime-Function-Error-Type", "Runtime.StreamError"), ("Lambda-Runtime-Function-Error-Body", trailer)]
    *_, ended = Process().send(chunked("POST", RESPONSE_PATH, STREAMING, [b"x"], trailers))
    assert ended == RuntimeResponseEnded("e1", 1, error_type="Runtime.StreamError", error_body=Payload(body))


def test_a_stream_that_the_core_refuses_half_way_is_read_to_its_end_and_ignored() -> None:
    runtime = Process()
    data = chunked("POST", RESPONSE_PATH, STREAMING, [b"one", b"two"])
    head, body = data[: data.index(b"3\r\none")], data[data.index(b"3\r\none") :]
    (started,) = runtime.send(head)
    assert isinstance(started, RuntimeResponseStarted)
    runtime.answer(1, Refused(status=403, error_type="InvalidStateTransition", message="no"))
    assert runtime.read().status == 403
    assert runtime.send(body) == []
    assert runtime.send(NEXT) == [RuntimeNext("e1", 2)]


def test_another_response_mode_ends_the_invocation_and_is_answered_400() -> None:
    runtime = Process()
    event = runtime.send_one(respond(headers=[("Lambda-Runtime-Function-Response-Mode", "buffered")]))
    assert isinstance(event, RuntimeFailed) and event.error_type == "Runtime.InvalidResponseModeHeader"
    runtime.answer(1, Accepted())
    answer = runtime.read()
    assert (answer.status, answer.json()) == (
        400,
        {"errorMessage": "Invalid function response mode", "errorType": "InvalidFunctionResponseMode"},
    )


@pytest.mark.parametrize("action", ["response", "error"])
def test_a_response_over_the_limit_is_told_at_once_and_answered_413(action: str) -> None:
    runtime = Process()
    head = f"POST /2018-06-01/runtime/invocation/{ID}/{action} HTTP/1.1\r\nContent-Length: {MAX_RESPONSE + 1}\r\n\r\n".encode()
    assert runtime.send(head) == [RuntimeResponseTooLarge("e1", 1, request_id=ID, size=MAX_RESPONSE + 1)]
    runtime.answer(1, Accepted())
    answer = runtime.read()
    assert (answer.status, answer.json()) == (
        413,
        {"errorMessage": "Exceeded maximum allowed payload size (6291556 bytes).", "errorType": "RequestEntityTooLarge"},
    )
    assert runtime.send(b"x" * (MAX_RESPONSE + 1)) == []
    assert runtime.send(NEXT) == [RuntimeNext("e1", 2)]


def test_a_response_of_exactly_the_limit_is_accepted() -> None:
    event = Process().send_one(respond(b"x" * MAX_RESPONSE))
    assert isinstance(event, RuntimeResponded) and len(event.payload) == MAX_RESPONSE


def test_a_stream_may_be_larger_than_a_response_but_not_endless() -> None:
    runtime = Process()
    runtime.send(request("POST", RESPONSE_PATH, [*STREAMING]).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
    block = b"%x\r\n%b\r\n" % (2**20, b"x" * 2**20)
    blocks = MAX_STREAMED_RESPONSE // 2**20
    for _ in range(blocks):
        (event,) = runtime.send(block)
        assert isinstance(event, RuntimeResponseChunk)
    (event,) = runtime.send(b"1\r\nx\r\n")
    assert event == RuntimeResponseTooLarge("e1", 1, request_id=ID, size=MAX_STREAMED_RESPONSE + 1)
    assert runtime.send(b"1\r\nx\r\n0\r\n\r\n") == []
    runtime.answer(1, Accepted())
    assert runtime.read().status == 413


@pytest.mark.parametrize("headers", [[], STREAMING])
def test_a_connection_that_ends_in_a_response_truncates_it(headers: list[tuple[str, str]]) -> None:
    runtime = Process()
    runtime.send(respond(b"0123456789", headers=headers)[:-3])
    assert runtime.connection.eof() == [RuntimeResponseTruncated("e1", 1, request_id=ID)]


def test_a_broken_chunk_truncates_the_response_and_is_answered_400() -> None:
    runtime = Process()
    data = chunked("POST", RESPONSE_PATH, STREAMING, [b"one"]).replace(b"0\r\n\r\n", b"oops\r\n")
    *_, last = runtime.send(data)
    assert last == RuntimeResponseTruncated("e1", 1, request_id=ID)
    answer = runtime.read()
    assert answer.status == 400 and answer.headers["connection"] == "close"
    assert runtime.connection.closed


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/2018-06-01/ping", 200),
        ("POST", "/2018-06-01/ping", 405),
        ("GET", "/2018-06-01/runtime/restore/next", 404),
        ("POST", "/2018-06-01/runtime/restore/error", 404),
        ("GET", "/2018-06-01/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/2018-06-01/runtime/invocation/next/", 404),
        ("POST", "/2018-06-01/runtime/invocation/next", 405),
        ("GET", f"/2018-06-01/runtime/invocation/{ID}/response", 405),
        ("PUT", f"/2018-06-01/runtime/invocation/{ID}/error", 405),
        ("POST", f"/2018-06-01/runtime/invocation/{ID}/other", 404),
        ("POST", "/2018-06-01/runtime/invocation//response", 400),
        ("GET", "/2018-06-01/runtime/init/error", 405),
        ("GET", "/2021-04-23/credentials", 404),
    ],
)
def test_what_needs_no_core_is_answered_at_once(method: str, path: str, status: int) -> None:
    process = Process()
    assert process.send(request(method, path)) == []
    assert process.read().status == status
    assert not process.connection.closed


def test_ping_says_pong() -> None:
    process = Process()
    process.send(request("GET", "/2018-06-01/ping"))
    assert process.read().body == b"pong"


def test_only_lambdas_own_kinds_of_error_types_are_recorded() -> None:
    assert error_type_of("prefix.Runtime.Abc") == "prefix.Runtime.Abc"
    assert error_type_of("Extension.Crash") == "Runtime.Unknown"
