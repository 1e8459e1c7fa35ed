"""The Runtime API, version 2018-06-01: requests of a function's runtime into events, replies into bytes.

Sources: AWS's "Using the Lambda runtime API" and "Building a custom runtime" pages, and RIE (`internal/lambda/rapi`) for statuses and
bodies. What depends on the environment's state (is this the current request id? may a response come now?) is decided by the core.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Literal

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import decode, encode

from ..core.effects import NextInvocation
from ..core.events import (
    RuntimeEvent,
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
from ..core.payload import EMPTY, Payload
from .http import Plan, Request
from .refusals import INVALID_REQUEST_ID, INVALID_RESPONSE_MODE, NOT_FOUND, entity_too_large, method_not_allowed
from .responses import PLAIN, header_value, response

PREFIX = "/2018-06-01/"

MAX_RESPONSE = 6 * 1024 * 1024 + 100
"""Bytes of a buffered response (RIE `interop.MaxPayloadSize`; AWS's message names the same number)."""

MAX_STREAMED_RESPONSE = 200 * 1024 * 1024
"""Bytes of a streamed response. AWS: "response streaming functions can return payloads up to 200 MB" (20 MB until July 2025), a MB being
1,024 KB."""

MAX_OTHER = 1024 * 1024
"""Bytes of any other body: an init error's report."""

_RESPONSE = Plan(MAX_RESPONSE)
_STREAM = Plan(MAX_STREAMED_RESPONSE, stream=True)
_OTHER = Plan(MAX_OTHER)

_NEXT = PREFIX + "runtime/invocation/next"
_INVOCATION = PREFIX + "runtime/invocation/"
_INIT_ERROR = PREFIX + "runtime/init/error"
_PING = PREFIX + "ping"

_MODE = b"lambda-runtime-function-response-mode"
_ERROR_TYPE = b"lambda-runtime-function-error-type"
_ERROR_BODY = b"lambda-runtime-function-error-body"

_PONG = response(200, b"pong", PLAIN)
_GET_ONLY = method_not_allowed("GET")
_POST_ONLY = method_not_allowed("POST")


class Override(Struct, frozen=True):
    """An event whose exchange, when the core accepts it, is still answered with an error: the invocation ends, and the runtime hears
    why.
    """

    event: RuntimeEvent
    answer: bytes


RuntimeRequest = RuntimeEvent | Override | bytes
"""What a request becomes. Bytes are a ready answer: nobody needs to be asked."""


def plan(request: Request) -> Plan:
    """How to take the body of a request to this API."""
    if request.path.startswith(_INVOCATION):
        if request.method == "POST" and request.path.endswith("/response") and request.header(_MODE) == "streaming":
            return _STREAM
        return _RESPONSE
    return _OTHER


def parse(environment: str, exchange: int, request: Request) -> RuntimeRequest:
    """A complete request, or the head of a streamed response, as an event.

    `/restore/next` and `/restore/error` are unknown paths, as in RIE when the function does not use SnapStart.
    """
    path = request.path
    if path == _NEXT:
        return RuntimeNext(environment, exchange) if request.method == "GET" else _GET_ONLY
    if path.startswith(_INVOCATION):
        request_id, _, action = path[len(_INVOCATION) :].partition("/")
        if action == "response":
            if request.method != "POST":
                return _POST_ONLY
            return _response(environment, exchange, request_id, request) if request_id else INVALID_REQUEST_ID
        if action == "error":
            if request.method != "POST":
                return _POST_ONLY
            return _failure(environment, exchange, request_id, request) if request_id else INVALID_REQUEST_ID
        return NOT_FOUND
    if path == _INIT_ERROR:
        if request.method != "POST":
            return _POST_ONLY
        error_type, body = _error(request)
        return RuntimeInitFailed(environment, exchange, error_type=error_type, payload=Payload(body))
    if path == _PING:
        return _PONG if request.method == "GET" else _GET_ONLY
    return NOT_FOUND


def too_large(environment: str, exchange: int, request: Request, size: int) -> RuntimeRequest:
    """A body over its plan's limit: of an invocation's response or error an event, otherwise the ready 413."""
    request_id, action = _target(request)
    answer = entity_too_large(plan(request).limit)
    if action not in ("response", "error"):
        return answer
    return Override(RuntimeResponseTooLarge(environment, exchange, request_id=request_id, size=size), answer)


def truncated(environment: str, exchange: int, request: Request) -> RuntimeResponseTruncated | None:
    """The connection closed, or stopped being HTTP, in the middle of this request's body. None when it was not an invocation's response."""
    request_id, action = _target(request)
    return RuntimeResponseTruncated(environment, exchange, request_id=request_id) if action == "response" else None


def response_chunk(environment: str, exchange: int, data: bytes) -> RuntimeResponseChunk:
    """Part of a streamed response."""
    return RuntimeResponseChunk(environment, exchange, payload=Payload(data))


def response_ended(environment: str, exchange: int, trailers: dict[bytes, bytes]) -> RuntimeResponseEnded:
    """The end of a streamed response. The error body is base64 in its trailer; what is not base64 is taken as it is."""
    error_type = trailers.get(_ERROR_TYPE)
    body = trailers.get(_ERROR_BODY)
    if not error_type:
        return RuntimeResponseEnded(environment, exchange)
    payload = EMPTY
    if body:
        try:
            payload = Payload(b64decode(body, validate=True))
        except Base64Error:
            payload = Payload(body)
    return RuntimeResponseEnded(environment, exchange, error_type=error_type.decode("latin-1"), error_body=payload)


def next_invocation(reply: NextInvocation) -> bytes:
    """The answer to `/next`: the event and its headers, each omitted when it is empty, in RIE's order."""
    optional = b""
    if reply.trace_id:
        optional = b"Lambda-Runtime-Trace-Id: %b\r\n" % header_value(reply.trace_id)
    if reply.client_context:
        optional += b"Lambda-Runtime-Client-Context: %b\r\n" % header_value(reply.client_context)
    if reply.cognito_identity:
        optional += b"Lambda-Runtime-Cognito-Identity: %b\r\n" % header_value(reply.cognito_identity)
    data = reply.payload.data
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Lambda-Runtime-Aws-Request-Id: %b\r\n%bLambda-Runtime-Invoked-Function-Arn: %b\r\nLambda-Runtime-Deadline-Ms: %d\r\n"
        b"Content-Length: %d\r\n\r\n%b"
    ) % (reply.request_id.encode(), optional, reply.function_arn.encode(), reply.deadline_ms, len(data), data)


_KNOWN_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")


def error_type_of(reported: str) -> str:
    """The error type that Lambda records for what a runtime reported (RIE `fatalerror.GetValidRuntimeOrFunctionErrorType`): its own kind
    of names pass, everything else is unknown. The caller of the function sees the report itself, whatever its type.
    """
    if _KNOWN_TYPE.search(reported):
        return reported
    return "Function.Unknown" if reported.startswith("Function.") else "Runtime.Unknown"


def _target(request: Request) -> tuple[str, str]:
    """The request id and the action of `POST /runtime/invocation/{id}/{action}`; empty for anything else."""
    if request.method != "POST" or not request.path.startswith(_INVOCATION):
        return "", ""
    request_id, _, action = request.path[len(_INVOCATION) :].partition("/")
    return (request_id, action) if request_id else ("", "")


def _response(environment: str, exchange: int, request_id: str, request: Request) -> RuntimeRequest:
    content_type = request.header(b"content-type")
    mode = request.headers.get(_MODE)
    if not mode:
        return RuntimeResponded(
            environment, exchange, request_id=request_id, payload=Payload(request.body), content_type=content_type or "application/json"
        )
    if mode == b"streaming":
        return RuntimeResponseStarted(environment, exchange, request_id=request_id, content_type=content_type or "application/octet-stream")
    failed = RuntimeFailed(environment, exchange, request_id=request_id, error_type=_BAD_MODE_TYPE, payload=_BAD_MODE)
    return Override(failed, INVALID_RESPONSE_MODE)


_BAD_MODE_TYPE: Literal["Runtime.InvalidResponseModeHeader"] = "Runtime.InvalidResponseModeHeader"
_BAD_MODE = Payload(encode({"errorType": _BAD_MODE_TYPE, "errorMessage": "Invalid function response mode"}))


def _failure(environment: str, exchange: int, request_id: str, request: Request) -> RuntimeFailed:
    error_type, body = _error(request)
    return RuntimeFailed(environment, exchange, request_id=request_id, error_type=error_type, payload=Payload(body))


class _ErrorReport(Struct, rename="camel", omit_defaults=True):
    """The body that AWS documents for an error. A runtime may post anything; then there is no report in it."""

    error_message: str = ""
    error_type: str = ""
    stack_trace: list[str] | None = None


def _error(request: Request) -> tuple[str, bytes]:
    """The recorded type of a reported error, and the body that the invoker gets."""
    body = request.body
    try:
        report = decode(body, type=_ErrorReport) if body else _ErrorReport()
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError):
        report = None
    if request.header(b"content-type") == "application/vnd.aws.lambda.error.cause+json":
        # The cause is for X-Ray; the caller gets the rest (RIE `getErrorBodyForErrorCauseContentType`).
        body = b'"Invalid error body"' if report is None else _without_cause(report)
    return error_type_of(request.header(_ERROR_TYPE) or (report.error_type if report else "")), body


def _without_cause(report: _ErrorReport) -> bytes:
    rest = {"errorMessage": report.error_message, "errorType": report.error_type}
    return encode(rest | {"stackTrace": report.stack_trace} if report.stack_trace else rest)
