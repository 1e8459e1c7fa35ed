"""The Lambda service API: requests of boto3, the AWS CLI and other SDKs into typed calls.

    plan(request)                          how to take the body        (for `http.Connection`)
    parse(request, functions, request_id)  a call, or the ready answer  (an error, or DryRun's 204)

The answers to calls are in `invoke_answers`. Signatures are not checked: this is the caller's own machine.
Sources: AWS's Lambda API reference and service model; RIE for its path.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qs, unquote

from msgspec import Struct

from ..core.events import InvocationArrived, InvocationMode
from ..core.function import Function
from ..core.payload import Payload
from .aws_errors import bare_error, error, failed, must_be_one_of, validation_error
from .function_configuration import Update, parse_update
from .function_names import GET, INVOKE, UPDATE, Target, resolve
from .http import Plan, Request
from .payload_json import payload_error
from .responses import response, without_body

MAX_REQUEST = 6 * 1024 * 1024
"""Bytes of a synchronous invocation's payload. AWS: "Request must be smaller than 6291456 bytes"."""

MAX_EVENT_REQUEST = 1024 * 1024
"""Bytes of an asynchronous one. AWS: "1 MB for asynchronous invocations" (256 KB until October 2025)."""

MAX_CLIENT_CONTEXT = 3583
"""Bytes of the base64 text. AWS: "Up to 3,583 bytes of base64-encoded data"."""

MAX_LISTED = 50
"""AWS: "Lambda returns up to 50 functions per call"."""

_FUNCTIONS = "/2015-03-31/functions"
_STREAMING = "/2021-11-15/functions"

_INVOKE_PLAN = Plan(MAX_REQUEST)
_OTHER_PLAN = Plan(256 * 1024)

_EMPTY_EVENT = Payload(b"{}")
"""What a function gets when its caller sent nothing at all, as on AWS."""

_NOT_JSON = ("multipart/", "image/", "audio/", "video/", "text/xml", "text/html", "application/xml", "application/zip")
"""Content types that say the payload is no JSON. Others pass, `curl -d`'s default above all."""


class InvokeCall(Struct, frozen=True, kw_only=True):
    """Invoke, or (mode `stream`) InvokeWithResponseStream."""

    function: str
    request_id: str
    payload: Payload
    mode: InvocationMode = "request_response"
    tail: bool = False
    client_context: str | None = None
    trace_id: str | None = None
    qualified: bool = False

    def arrived(self) -> InvocationArrived:
        """The event for the core."""
        return InvocationArrived(
            function=self.function,
            request_id=self.request_id,
            payload=self.payload,
            mode=self.mode,
            tail=self.tail,
            client_context=self.client_context,
            trace_id=self.trace_id,
            qualified=self.qualified,
        )


class ListFunctionsCall(Struct, frozen=True, kw_only=True):
    """ListFunctions."""

    marker: str = ""
    """The name after which to go on."""
    max_items: int = MAX_LISTED
    all_versions: bool = False


class GetFunctionCall(Struct, frozen=True):
    target: Target


class GetConfigurationCall(Struct, frozen=True):
    target: Target


class UpdateConfigurationCall(Struct, frozen=True):
    target: Target
    update: Update


Call = InvokeCall | ListFunctionsCall | GetFunctionCall | GetConfigurationCall | UpdateConfigurationCall


def plan(request: Request) -> Plan:
    """How to take a request's body: whole, and how large."""
    return _INVOKE_PLAN if request.path.endswith("invocations") else _OTHER_PLAN


def parse(request: Request, functions: Mapping[str, Function], request_id: str) -> Call | bytes:
    """A complete request as a call; bytes are the answer already. `functions` are those that exist, by name."""
    found = _parse(request, functions, request_id)
    return without_body(found) if request.method == "HEAD" and isinstance(found, bytes) else found


def _parse(request: Request, functions: Mapping[str, Function], request_id: str) -> Call | bytes:
    path = request.path
    if path.startswith(_FUNCTIONS):
        name, _, action = path[len(_FUNCTIONS) + 1 :].partition("/")
        if action == "invocations":
            return _invoke(request, name, functions, request_id) if request.method == "POST" else _wrong_method(request, "POST", request_id)
        if not name:
            return _list(request, request_id)
        if action == "" and request.method == "GET":
            target = resolve(_named(name, functions), _query(request).get("Qualifier"), functions, GET, request_id)
            return target if isinstance(target, bytes) else GetFunctionCall(target)
        if action == "configuration":
            return _configuration(request, name, functions, request_id)
    elif path.startswith(_STREAMING):
        name, _, action = path[len(_STREAMING) + 1 :].partition("/")
        if action == "response-streaming-invocations":
            if request.method != "POST":
                return _wrong_method(request, "POST", request_id)
            return _invoke(request, name, functions, request_id, stream=True)
    return _unknown(request, request_id)


def too_large(request: Request, size: int, request_id: str) -> bytes:
    """The answer to a body over its plan's limit."""
    if request.header(b"x-amz-invocation-type") == "Event":
        return _event_too_large(size, request_id)
    operation = "InvokeFunction" if plan(request) is _INVOKE_PLAN else "UpdateFunctionConfiguration"
    message = f"Request must be smaller than {plan(request).limit} bytes for the {operation} operation"
    return bare_error(413, "RequestEntityTooLargeException", message, request_id)


def _invoke(request: Request, name: str, functions: Mapping[str, Function], request_id: str, *, stream: bool = False) -> InvokeCall | bytes:
    kind = request.header(b"x-amz-invocation-type") or "RequestResponse"
    log_type = request.header(b"x-amz-log-type") or "None"
    failures: list[str] = []
    kinds = ("RequestResponse", "DryRun") if stream else ("Event", "RequestResponse", "DryRun")
    if kind not in kinds:
        failures.append(failed(kind, "invocationType", must_be_one_of(*kinds)))
    if log_type not in ("None", "Tail"):
        failures.append(failed(log_type, "logType", must_be_one_of("None", "Tail")))
    if failures:
        return validation_error(failures, request_id)
    qualifier = _query(request).get("Qualifier") if request.query else None
    target = resolve(_named(name, functions), qualifier, functions, INVOKE, request_id)
    if isinstance(target, bytes):
        return target
    refused, client_context = _client_context(request, request_id)
    if refused := refused or _payload_refusal(request, kind, request_id):
        return refused
    if kind == "DryRun":
        return response(204, headers=[("x-amzn-RequestId", request_id)])
    mode: InvocationMode = "stream" if stream else "event" if kind == "Event" else "request_response"
    return InvokeCall(
        function=target.function.name,
        request_id=request_id,
        payload=Payload(request.body) if request.body else _EMPTY_EVENT,
        mode=mode,
        tail=log_type == "Tail" and mode != "event",
        client_context=client_context if mode != "event" else None,  # AWS passes it "for synchronous invocations only"
        trace_id=request.header(b"x-amzn-trace-id") or None,
        qualified=target.qualified,
    )


def _payload_refusal(request: Request, kind: str, request_id: str) -> bytes:
    """What is wrong with an invocation's payload, as the answer; empty when nothing is."""
    if request.header(b"content-type").lower().startswith(_NOT_JSON):
        message = f"The content type of the Invoke request body is not JSON: {request.header(b'content-type')}"
        return error(415, "UnsupportedMediaTypeException", message, request_id)
    body = request.body
    if kind == "Event" and len(body) > MAX_EVENT_REQUEST:
        return _event_too_large(len(body), request_id)
    wrong = payload_error(body) if body else None
    return error(400, "InvalidRequestContentException", wrong, request_id) if wrong else b""


def _event_too_large(size: int, request_id: str) -> bytes:
    message = f"{size} byte payload is too large for the Event invocation type (limit {MAX_EVENT_REQUEST} bytes)"
    return bare_error(413, "RequestEntityTooLargeException", message, request_id)


def _client_context(request: Request, request_id: str) -> tuple[bytes, str | None]:
    """The refusal (empty when there is none), and the client context as JSON text."""
    encoded = request.headers.get(b"x-amz-client-context")
    if not encoded:
        return b"", None
    code: Literal["InvalidRequestContentException"] = "InvalidRequestContentException"
    if len(encoded) > MAX_CLIENT_CONTEXT:
        message = f"Client context must be no more than {MAX_CLIENT_CONTEXT} bytes when base64-encoded, not {len(encoded)}."
        return error(400, code, message, request_id), None
    try:
        context = b64decode(encoded, validate=True)
    except (Base64Error, ValueError):
        context = b""
    if not context or not context.lstrip().startswith(b"{") or payload_error(context):
        return error(400, code, "Client context must be a valid Base64-encoded JSON object.", request_id), None
    return b"", context.decode()


def _list(request: Request, request_id: str) -> ListFunctionsCall | bytes:
    if request.method != "GET":
        return _unknown(request, request_id)
    query = _query(request)
    failures: list[str] = []
    version = query.get("FunctionVersion")
    if version not in (None, "ALL"):
        failures.append(failed(version, "functionVersion", must_be_one_of("ALL")))
    wanted = query.get("MaxItems", str(MAX_LISTED))
    if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:9]) <= 10_000):
        failures.append(failed(wanted, "maxItems", "Member must be a number from 1 to 10000"))
    if failures:
        return validation_error(failures, request_id)
    try:
        marker = b64decode(query.get("Marker", ""), altchars=b"-_", validate=True).decode()
    except (Base64Error, ValueError):
        return error(400, "InvalidParameterValueException", "The Marker is not one that ListFunctions gave out.", request_id)
    return ListFunctionsCall(marker=marker, max_items=min(int(wanted), MAX_LISTED), all_versions=version == "ALL")


def _configuration(request: Request, name: str, functions: Mapping[str, Function], request_id: str) -> Call | bytes:
    if request.method not in ("GET", "PUT"):
        return _wrong_method(request, "GET, PUT", request_id)
    naming = GET if request.method == "GET" else UPDATE
    target = resolve(_named(name, functions), _query(request).get("Qualifier"), functions, naming, request_id)
    if isinstance(target, bytes):
        return target
    if request.method == "GET":
        return GetConfigurationCall(target)
    update = parse_update(request.body, target.function, request_id)
    return update if isinstance(update, bytes) else UpdateConfigurationCall(target, update)


def _named(name: str, functions: Mapping[str, Function]) -> str:
    """A path's function name. RIE's clients call whatever function there is `function`."""
    if name == "function" and len(functions) == 1 and name not in functions:
        return next(iter(functions))
    return unquote(name) if "%" in name else name


def _query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.query, keep_blank_values=True).items()} if request.query else {}


def _wrong_method(request: Request, allowed: str, request_id: str) -> bytes:
    message = f"{request.method} is not allowed on {request.path}; {allowed} is."
    return bare_error(405, "MethodNotAllowedException", message, request_id)


def _unknown(request: Request, request_id: str) -> bytes:
    message = (
        f"Frostline does not implement {request.method} {request.path}. Functions come from a template or a directory; what can be called: "
        "Invoke, InvokeWithResponseStream, ListFunctions, GetFunction, GetFunctionConfiguration, UpdateFunctionConfiguration."
    )
    return bare_error(404, "UnknownOperationException", message, request_id)
