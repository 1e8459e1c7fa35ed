"""What came of a call, as botocore reads it."""

from __future__ import annotations

from base64 import b64decode

import msgspec
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError

from frostline.core.effects import FunctionFailed, Queued, StreamEnd, Succeeded, Throttled, Unavailable
from frostline.core.function import Function
from frostline.core.payload import Payload
from frostline.wire import invoke_answers

from .sdk import REQUEST_ID, Service

FUNCTION = Function(name="f", runtime="python3.12", handler="app.handler", revision="1")


@pytest.fixture
def service() -> Service:
    return Service(FUNCTION)


def test_success(service: Service) -> None:
    service.outcome = Succeeded(payload=Payload(b'"done"'))
    answer = service.client.invoke(FunctionName="f")
    assert answer["Payload"].read() == b'"done"'
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer and "LogResult" not in answer
    assert answer["ResponseMetadata"]["RequestId"] == REQUEST_ID


def test_a_function_error_is_a_200(service: Service) -> None:
    payload = b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: x Error: Task timed out after 1.00 seconds"}'
    service.outcome = FunctionFailed(payload=Payload(payload))
    answer = service.client.invoke(FunctionName="f")
    assert (answer["StatusCode"], answer["FunctionError"], answer["Payload"].read()) == (200, "Unhandled", payload)


def test_the_log_tail_is_base64_and_at_most_4_kib(service: Service) -> None:
    service.outcome = Succeeded(payload=Payload(b"1"), log_tail="START ä\n" + "x" * 5000 + "END\n")
    tail = b64decode(service.client.invoke(FunctionName="f", LogType="Tail")["LogResult"])
    assert len(tail) == 4096 and tail.endswith(b"xEND\n")


def test_an_asynchronous_invocation_is_accepted(service: Service) -> None:
    service.outcome = Queued()
    answer = service.client.invoke(FunctionName="f", InvocationType="Event")
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b"" and "ExecutedVersion" not in answer


@pytest.mark.parametrize("operation", ["invoke", "invoke_with_response_stream"])
def test_throttling_as_recorded_on_aws(service: Service, operation: str) -> None:
    service.outcome = Throttled(reason="ReservedFunctionConcurrentInvocationLimitExceeded")
    with pytest.raises(service.client.exceptions.TooManyRequestsException) as caught:
        getattr(service.client, operation)(FunctionName="f")
    found = caught.value.response
    metadata = found.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == 429
    assert found == {
        "Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."},
        "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    }


def test_a_machine_that_cannot(service: Service) -> None:
    service.outcome = Unavailable(message="no sandbox could be built: no space left on device")
    with pytest.raises(service.client.exceptions.ServiceException) as caught:
        service.client.invoke(FunctionName="f")
    assert caught.value.response["Error"]["Message"] == "no sandbox could be built: no space left on device"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_an_unknown_function_as_recorded_on_aws(service: Service) -> None:
    with pytest.raises(service.client.exceptions.ResourceNotFoundException) as caught:
        service.client.invoke(FunctionName="doesnotexist")
    found = caught.value.response
    found.pop("ResponseMetadata")
    message = "Function not found: arn:aws:lambda:us-east-1:123456789012:function:doesnotexist:$LATEST"
    assert found == {"Error": {"Code": "ResourceNotFoundException", "Message": message}, "Message": message, "Type": "User"}


def test_a_stream(service: Service) -> None:
    end = StreamEnd(request_id=REQUEST_ID, log_tail="log")
    service.stream = (
        invoke_answers.stream_started(REQUEST_ID)
        + invoke_answers.stream_chunk(b"one")
        + invoke_answers.stream_chunk(b"")
        + invoke_answers.stream_chunk(b"two")
        + invoke_answers.stream_ended(end)
    )
    answer = service.client.invoke_with_response_stream(FunctionName="f", LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert list(answer["EventStream"]) == [
        {"PayloadChunk": {"Payload": b"one"}},
        {"PayloadChunk": {"Payload": b"two"}},
        {"InvokeComplete": {"LogResult": "bG9n"}},
    ]


def test_a_stream_that_fails_half_way(service: Service) -> None:
    end = StreamEnd(request_id=REQUEST_ID, error_type="Runtime.StreamError", error_payload=Payload(b'{"errorMessage":"late"}'))
    service.stream = invoke_answers.stream_started(REQUEST_ID) + invoke_answers.stream_ended(end)
    (event,) = list(service.client.invoke_with_response_stream(FunctionName="f")["EventStream"])
    assert event == {"InvokeComplete": {"ErrorCode": "Runtime.StreamError", "ErrorDetails": '{"errorMessage":"late"}'}}


def test_a_function_that_does_not_stream_is_one_chunk_of_a_stream(service: Service) -> None:
    service.outcome = Succeeded(payload=Payload(b'"whole"'))
    events = list(service.client.invoke_with_response_stream(FunctionName="f")["EventStream"])
    assert events == [{"PayloadChunk": {"Payload": b'"whole"'}}, {"InvokeComplete": {}}]
    service.outcome = FunctionFailed(payload=Payload(b'{"errorType":"E"}'))
    events = list(service.client.invoke_with_response_stream(FunctionName="f")["EventStream"])
    assert events == [{"InvokeComplete": {"ErrorCode": "Unhandled", "ErrorDetails": '{"errorType":"E"}'}}]


def test_a_damaged_stream_would_be_noticed(service: Service) -> None:
    """The reader we trust in these tests checks checksums."""
    service.stream = invoke_answers.stream_started(REQUEST_ID) + invoke_answers.stream_chunk(b"one").replace(b"one", b"two") + b"0\r\n\r\n"
    with pytest.raises((EventStreamError, ChecksumMismatch), match=r"[Cc]hecksum"):
        list(service.client.invoke_with_response_stream(FunctionName="f")["EventStream"])


def test_functions_are_listed_page_by_page() -> None:
    service = Service(*(msgspec.structs.replace(FUNCTION, name=f"f{number:03}") for number in range(120)))
    pages = list(service.client.get_paginator("list_functions").paginate())
    names = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert names == [f"f{number:03}" for number in range(120)]
    assert [len(page["Functions"]) for page in pages] == [50, 50, 20]


def test_a_listed_function_lacks_its_state() -> None:
    (found,) = Service(FUNCTION).client.list_functions(MaxItems=1)["Functions"]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & set(found)
    assert found["FunctionArn"] == FUNCTION.arn
    (found,) = Service(FUNCTION).client.list_functions(FunctionVersion="ALL")["Functions"]
    assert found["FunctionArn"] == FUNCTION.arn + ":$LATEST"


@pytest.mark.parametrize("parameters", [{"FunctionVersion": "invalid"}, {"MaxItems": 0}, {"MaxItems": 10001}, {"Marker": "\u00e4"}])
def test_a_list_with_wrong_parameters(service: Service, parameters: dict[str, object]) -> None:
    with pytest.raises(ClientError) as caught:
        service.client.list_functions(**parameters)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_wrong_function_version_as_recorded_on_aws(service: Service) -> None:
    with pytest.raises(ClientError) as caught:
        service.client.list_functions(FunctionVersion="invalid")
    assert caught.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy constraint: "
        "Member must satisfy enum value set: [ALL]",
    }


def test_get_function(service: Service) -> None:
    found = service.client.get_function(FunctionName="f")
    assert found["Configuration"]["FunctionArn"] == FUNCTION.arn and found["Code"] == {"RepositoryType": "S3"}
    assert "Concurrency" not in found
    reserved = Service(msgspec.structs.replace(FUNCTION, concurrency=2)).client.get_function(FunctionName="f:$LATEST")
    assert reserved["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    assert reserved["Configuration"]["FunctionArn"] == FUNCTION.arn + ":$LATEST"


def test_get_function_of_nobody_names_no_version(service: Service) -> None:
    with pytest.raises(service.client.exceptions.ResourceNotFoundException, match=r"function:other$"):
        service.client.get_function(FunctionName="other")


def test_waiters_find_the_function_ready(service: Service) -> None:
    service.client.get_waiter("function_active_v2").wait(FunctionName="f")
    service.client.get_waiter("function_updated").wait(FunctionName="f")
