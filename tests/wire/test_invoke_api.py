"""The Lambda API's requests, from botocore and by hand."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.events import InvocationArrived
from frostline.core.function import Function
from frostline.core.payload import Payload
from frostline.wire import invoke_api
from frostline.wire.http import Request
from frostline.wire.invoke_api import MAX_EVENT_REQUEST, MAX_REQUEST, InvokeCall

from .dialogue import request, response
from .sdk import REQUEST_ID, Service

FUNCTION = Function(name="my-function", runtime="python3.12", handler="app.handler", revision="1")


@pytest.fixture
def service() -> Service:
    return Service(FUNCTION)


def failure(service: Service, operation: str, **parameters: object) -> dict[str, Any]:
    """The parsed answer of an operation that fails."""
    with pytest.raises(ClientError) as caught:
        getattr(service.client, operation)(**parameters)
    return dict(caught.value.response)


def test_a_plain_invocation(service: Service) -> None:
    service.client.invoke(FunctionName="my-function", Payload=b'{"a":1}')
    assert service.call == InvokeCall(function="my-function", request_id=REQUEST_ID, payload=Payload(b'{"a":1}'))
    assert service.call.arrived() == InvocationArrived(function="my-function", request_id=REQUEST_ID, payload=Payload(b'{"a":1}'))


def test_an_invocation_with_everything(service: Service) -> None:
    context = b64encode(b'{"custom":{"a":1}}').decode()
    service.client.invoke(
        FunctionName="my-function", LogType="Tail", ClientContext=context, Qualifier="$LATEST", InvocationType="RequestResponse"
    )
    assert service.call == InvokeCall(
        function="my-function",
        request_id=REQUEST_ID,
        payload=Payload(b"{}"),
        tail=True,
        client_context='{"custom":{"a":1}}',
        qualified=True,
    )


def test_nothing_at_all_as_payload_is_an_empty_object(service: Service) -> None:
    service.client.invoke(FunctionName="my-function")
    assert isinstance(service.call, InvokeCall) and service.call.payload.data == b"{}"


def test_an_asynchronous_invocation_has_neither_tail_nor_context(service: Service) -> None:
    context = b64encode(b"{}").decode()
    service.client.invoke(FunctionName="my-function", InvocationType="Event", LogType="Tail", ClientContext=context)
    assert service.call == InvokeCall(function="my-function", request_id=REQUEST_ID, payload=Payload(b"{}"), mode="event")


def test_a_streamed_invocation(service: Service) -> None:
    service.client.invoke_with_response_stream(FunctionName="my-function", Payload=b"1")
    assert service.call == InvokeCall(function="my-function", request_id=REQUEST_ID, payload=Payload(b"1"), mode="stream")


@pytest.mark.parametrize("operation", ["invoke", "invoke_with_response_stream"])
def test_a_dry_run_checks_and_does_nothing(service: Service, operation: str) -> None:
    answer = getattr(service.client, operation)(FunctionName="my-function", InvocationType="DryRun")
    assert answer["StatusCode"] == 204 and service.call is None
    assert failure(service, "invoke", FunctionName="other", InvocationType="DryRun")["Error"]["Code"] == "ResourceNotFoundException"


def test_the_trace_header_is_passed_on(service: Service) -> None:
    service.answer(request("POST", "/2015-03-31/functions/my-function/invocations", [("X-Amzn-Trace-Id", "Root=1-2-3")]))
    assert isinstance(service.call, InvokeCall) and service.call.trace_id == "Root=1-2-3"


@pytest.mark.parametrize(
    "name", ["my-function", "my-function%3A%24LATEST", "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Amy-function"]
)
def test_names_are_percent_encoded_by_sdks(service: Service, name: str) -> None:
    assert response(service.answer(request("POST", f"/2015-03-31/functions/{name}/invocations"))).status == 200


def test_ries_path_means_the_only_function(service: Service) -> None:
    path = "/2015-03-31/functions/function/invocations"
    service.answer(request("POST", path, [("Content-Type", "application/x-www-form-urlencoded")], b"{}"))
    assert isinstance(service.call, InvokeCall) and service.call.function == "my-function"
    both = Service(FUNCTION, msgspec.structs.replace(FUNCTION, name="other"))
    assert response(both.answer(request("POST", path))).status == 404
    named = Service(FUNCTION, msgspec.structs.replace(FUNCTION, name="function"))
    named.answer(request("POST", path))
    assert isinstance(named.call, InvokeCall) and named.call.function == "function"


def test_a_payload_that_is_not_json(service: Service) -> None:
    found = failure(service, "invoke", FunctionName="my-function", Payload=b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt")
    message = (
        "Could not parse request body into json: Could not parse payload into json: Invalid UTF-8 start byte 0x87\n at [Source: REDACTED "
        "(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 3]"
    )
    assert found["Error"] == {"Code": "InvalidRequestContentException", "Message": message}
    assert (found["Type"], found["message"]) == ("User", message)
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_payload_over_the_limit(service: Service) -> None:
    service.client.invoke(FunctionName="my-function", Payload=b'"' + b"x" * (MAX_REQUEST - 2) + b'"')
    found = failure(service, "invoke", FunctionName="my-function", Payload=b"x" * 7_000_000)
    assert found["Error"] == {
        "Code": "RequestEntityTooLargeException",
        "Message": "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    }
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize("size", [MAX_EVENT_REQUEST + 1, MAX_REQUEST + 1])
def test_an_asynchronous_payload_over_the_limit(service: Service, size: int) -> None:
    service.client.invoke(FunctionName="my-function", InvocationType="Event", Payload=b"1" * MAX_EVENT_REQUEST)
    found = failure(service, "invoke", FunctionName="my-function", InvocationType="Event", Payload=b"1" * size)
    assert found["Error"]["Message"] == f"{size} byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize(
    ("parameters", "code", "part"),
    [
        ({"InvocationType": "Other"}, "ValidationException", "Value 'Other' at 'invocationType' failed to satisfy constraint"),
        ({"LogType": "All"}, "ValidationException", "Member must satisfy enum value set: [None, Tail]"),
        ({"LogType": "All", "InvocationType": "X"}, "ValidationException", "2 validation errors detected"),
        ({"ClientContext": "%%%"}, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."),
        ({"ClientContext": "eA=="}, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."),
        ({"ClientContext": "A" * 3584}, "InvalidRequestContentException", "3583"),
        ({"Qualifier": "1"}, "ResourceNotFoundException", "function:my-function:1"),
    ],
)
def test_parameters_that_lambda_refuses(service: Service, parameters: dict[str, str], code: str, part: str) -> None:
    found = failure(service, "invoke", FunctionName="my-function", **parameters)
    assert found["Error"]["Code"] == code and part in found["Error"]["Message"]


def test_a_payload_of_another_type(service: Service) -> None:
    data = request("POST", "/2015-03-31/functions/my-function/invocations", [("Content-Type", "text/xml")], b"<a/>")
    answer = response(service.answer(data))
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (415, "UnsupportedMediaTypeException")


@pytest.mark.parametrize(
    ("method", "path", "status", "part"),
    [
        ("GET", "/2015-03-31/functions/my-function/invocations", 405, "POST is"),
        ("GET", "/2021-11-15/functions/my-function/response-streaming-invocations", 405, "POST is"),
        ("DELETE", "/2015-03-31/functions/my-function", 404, "does not implement"),
        ("POST", "/2015-03-31/functions", 404, "does not implement"),
        ("GET", "/2015-03-31/functions/my-function/other", 404, "does not implement"),
        ("POST", "/2015-03-31/functions/my-function/configuration", 405, "GET, PUT"),
        ("GET", "/", 404, "does not implement"),
        ("GET", "/2021-11-15/functions/my-function/x", 404, "does not implement"),
    ],
)
def test_what_is_not_there(service: Service, method: str, path: str, status: int, part: str) -> None:
    answer = response(service.answer(request(method, path)))
    body = answer.json()
    assert answer.status == status and isinstance(body, dict) and part in body["message"]
    assert answer.headers["x-amzn-requestid"] == REQUEST_ID


def test_head_gets_no_body(service: Service) -> None:
    assert service.answer(request("HEAD", "/")).endswith(b"\r\n\r\n")


def test_create_function_says_where_functions_come_from(service: Service) -> None:
    found = failure(service, "create_function", FunctionName="x", Role="r", Code={})
    assert "template" in found["Error"]["Message"]


paths = st.one_of(
    st.text("/%$:.-_abz019", max_size=30).map(lambda text: "/2015-03-31/functions/" + text),
    st.sampled_from(
        ["/2015-03-31/functions/my-function/invocations", "/2015-03-31/functions", "/2015-03-31/functions/my-function/configuration"]
    ),
)
headers = st.dictionaries(
    st.sampled_from([b"x-amz-invocation-type", b"x-amz-log-type", b"x-amz-client-context", b"content-type"]),
    st.binary(max_size=12),
    max_size=3,
)


@given(
    st.sampled_from(["GET", "POST", "PUT"]), paths, st.text("Qualifier=MaxItems&Marker%1$", max_size=20), headers, st.binary(max_size=20)
)
def test_any_request_is_a_call_or_an_answer(method: str, path: str, query: str, named: dict[bytes, bytes], body: bytes) -> None:
    found = invoke_api.parse(Request(method, path, query, named, True, body=body), {"my-function": FUNCTION}, REQUEST_ID)
    if isinstance(found, bytes):
        assert response(found).status in (204, 400, 404, 405, 412, 413, 415)
