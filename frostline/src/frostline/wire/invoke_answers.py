"""The Lambda service API: what came of a call, as response bytes. The calls are in `invoke_api`."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from itertools import islice

from ..core.effects import FunctionFailed, Outcome, Queued, StreamEnd, Succeeded, Throttled, Unavailable
from ..core.function import DEFAULT_CONCURRENCY, Function
from . import eventstream
from .aws_errors import error
from .function_configuration import configuration
from .function_names import LATEST
from .invoke_api import GetConfigurationCall, GetFunctionCall, ListFunctionsCall, UpdateConfigurationCall
from .responses import LAST_CHUNK, chunk, header_value, json_response, stream_head

MAX_TAIL = 4096
"""Bytes of log in `X-Amz-Log-Result`. AWS: "the last 4 KB of the execution log"."""


def outcome_response(outcome: Outcome, request_id: str) -> bytes:
    """The answer to Invoke."""
    match outcome:
        case Succeeded(payload=payload, content_type=content_type, log_tail=log_tail):
            return _invoked(payload.data, content_type, b"", log_tail, request_id)
        case FunctionFailed(payload=payload, log_tail=log_tail):
            return _invoked(payload.data, "application/json", b"X-Amz-Function-Error: Unhandled\r\n", log_tail, request_id)
        case Queued():
            return b"HTTP/1.1 202 Accepted\r\nx-amzn-RequestId: %b\r\nContent-Length: 0\r\n\r\n" % request_id.encode()
        case Throttled(reason=reason):
            # No Retry-After: AWS sends none for this (recorded 2025-11).
            return error(429, "TooManyRequestsException", "Rate Exceeded.", request_id, Reason=reason)
        case Unavailable(message=message):
            return error(500, "ServiceException", message, request_id)


def stream_started(request_id: str) -> bytes:
    """The head of InvokeWithResponseStream's answer; `stream_chunk` and `stream_ended` follow."""
    return stream_head(200, eventstream.CONTENT_TYPE, [("x-amzn-RequestId", request_id), ("X-Amz-Executed-Version", LATEST)])


def stream_chunk(data: bytes) -> bytes:
    """Part of the payload."""
    return chunk(eventstream.payload_chunk(data)) if data else b""


def stream_ended(end: StreamEnd) -> bytes:
    """The end of the payload, and of the response."""
    details = end.error_payload.data.decode("utf-8", "replace") if end.error_type else None
    log_result = tail_header(end.log_tail).decode() if end.log_tail is not None else None
    return chunk(eventstream.invoke_complete(end.error_type, details, log_result)) + LAST_CHUNK


def stream_outcome(outcome: Outcome, request_id: str) -> bytes:
    """The whole answer to an InvokeWithResponseStream whose function did not stream, or did not come to it."""
    match outcome:
        case Succeeded(payload=payload, log_tail=log_tail):
            end = StreamEnd(request_id=request_id, log_tail=log_tail)
            return stream_started(request_id) + stream_chunk(payload.data) + stream_ended(end)
        case FunctionFailed(payload=payload, log_tail=log_tail):
            end = StreamEnd(request_id=request_id, error_type="Unhandled", error_payload=payload, log_tail=log_tail)
            return stream_started(request_id) + stream_ended(end)
        case _:
            return outcome_response(outcome, request_id)


def list_functions_response(call: ListFunctionsCall, functions: Mapping[str, Function], request_id: str) -> bytes:
    """A page of functions by name. The marker names the last function of the page before, so functions may come and go between pages."""
    names = sorted(name for name in functions if name > call.marker)
    page = [functions[name] for name in islice(names, call.max_items)]
    suffix = f":{LATEST}" if call.all_versions else ""
    body: dict[str, object] = {"Functions": [configuration(function, arn=function.arn + suffix, listed=True) for function in page]}
    if len(names) > len(page):
        body["NextMarker"] = urlsafe_b64encode(page[-1].name.encode()).decode()
    return json_response(200, body, [("x-amzn-RequestId", request_id)])


def function_response(call: GetFunctionCall, request_id: str) -> bytes:
    """GetFunction. The code's location is left out: there is nothing to download."""
    function = call.target.function
    body: dict[str, object] = {"Configuration": configuration(function, arn=call.target.arn), "Code": {"RepositoryType": "S3"}}
    if function.concurrency != DEFAULT_CONCURRENCY:
        body["Concurrency"] = {"ReservedConcurrentExecutions": function.concurrency}
    return json_response(200, body, [("x-amzn-RequestId", request_id)])


def configuration_response(
    call: GetConfigurationCall | UpdateConfigurationCall, request_id: str, function: Function | None = None
) -> bytes:
    """GetFunctionConfiguration and UpdateFunctionConfiguration; for the latter, `function` is the updated one."""
    return json_response(200, configuration(function or call.target.function, arn=call.target.arn), [("x-amzn-RequestId", request_id)])


def tail_header(log_tail: str) -> bytes:
    """The end of a log as base64."""
    return b64encode(log_tail.encode("utf-8", "replace")[-MAX_TAIL:])


def _invoked(payload: bytes, content_type: str, error_header: bytes, log_tail: str | None, request_id: str) -> bytes:
    tail = b"X-Amz-Log-Result: %b\r\n" % tail_header(log_tail) if log_tail is not None else b""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nx-amzn-RequestId: %b\r\nX-Amz-Executed-Version: $LATEST\r\n%b%bContent-Length: %d\r\n\r\n"
    )
    return head % (header_value(content_type), request_id.encode(), error_header, tail, len(payload)) + payload
