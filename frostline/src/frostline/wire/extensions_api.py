"""The Extensions API, version 2020-01-01: requests of extensions into events, replies into bytes.

Here a request's form is checked: the name, the identifier, the headers. Whether an extension with that identifier exists and may do what
it asks for is the core's business. Sources: AWS's "Using the Lambda Extensions API" page and RIE (`rapi/handler/agent*.go`).
"""

from __future__ import annotations

import re

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import decode, encode

from ..core.effects import NextInvoke, NextShutdown, Registered
from ..core.events import ExtensionEvent, ExtensionExitFailed, ExtensionInitFailed, ExtensionNext, ExtensionRegister
from .http import Plan, Request
from .refusals import NOT_FOUND, method_not_allowed, refusal
from .responses import header_value

PREFIX = "/2020-01-01/extension/"

PLAN = Plan(1024 * 1024)

_IDENTIFIER = b"lambda-extension-identifier"
_ERROR_TYPE = b"lambda-extension-function-error-type"

_MISSING_IDENTIFIER = refusal(403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
_INVALID_IDENTIFIER = refusal(403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
_MISSING_ERROR_TYPE = refusal(403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
_MISSING_NAME = refusal(403, "Extension.InvalidExtensionName", "Empty extension name")
_GET_ONLY = method_not_allowed("GET")
_POST_ONLY = method_not_allowed("POST")


class _RegisterBody(Struct, rename="camel"):
    events: list[str] | None = None
    configuration_keys: list[str] | None = None


def parse(environment: str, exchange: int, request: Request) -> ExtensionEvent | bytes:
    """A complete request as an event; bytes are a ready answer."""
    action = request.path[len(PREFIX) :]
    if action == "event/next":
        if request.method != "GET":
            return _GET_ONLY
        identifier = extension_identifier(request)
        return ExtensionNext(environment, exchange, extension_id=identifier) if isinstance(identifier, str) else identifier
    if action == "register":
        return _register(environment, exchange, request) if request.method == "POST" else _POST_ONLY
    if action in ("init/error", "exit/error"):
        return _error(environment, exchange, request, initial=action == "init/error") if request.method == "POST" else _POST_ONLY
    return NOT_FOUND


def extension_identifier(request: Request) -> str | bytes:
    """The identifier in a request's header, in the form in which it was given out; bytes are the refusal when there is none, or not a
    UUID.
    """
    value = request.header(_IDENTIFIER)
    if not value:
        return _MISSING_IDENTIFIER
    match = _UUID.fullmatch(value)
    if match is None:
        return _INVALID_IDENTIFIER
    return "-".join(match[1].replace("-", "").lower()[start:end] for start, end in _UUID_GROUPS)


_UUID = re.compile(r"(?:urn:uuid:|\{)?([0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\2[0-9a-fA-F]{4}\2[0-9a-fA-F]{4}\2[0-9a-fA-F]{12})\}?")
"""The spellings that the Go library in RIE reads."""
_UUID_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def registered(reply: Registered) -> bytes:
    """The answer to a registration."""
    account = {"accountId": reply.account_id} if reply.account_id else {}
    body = encode(
        account | {"functionName": reply.function_name, "functionVersion": reply.function_version, "handler": reply.handler},
    )
    return _json(b"Lambda-Extension-Identifier: " + header_value(reply.extension_id), body + b"\n")


def next_invoke(reply: NextInvoke) -> bytes:
    """The INVOKE event."""
    event: dict[str, object] = {
        "eventType": "INVOKE",
        "deadlineMs": reply.deadline_ms,
        "requestId": reply.request_id,
        "invokedFunctionArn": reply.function_arn,
    }
    if reply.trace_id:
        event["tracing"] = {"type": "X-Amzn-Trace-Id", "value": reply.trace_id}
    return _json(b"Lambda-Extension-Event-Identifier: " + header_value(reply.event_id), encode(event))


def next_shutdown(reply: NextShutdown) -> bytes:
    """The SHUTDOWN event."""
    event = {"eventType": "SHUTDOWN", "deadlineMs": reply.deadline_ms, "shutdownReason": reply.reason}
    return _json(b"Lambda-Extension-Event-Identifier: " + header_value(reply.event_id), encode(event))


def _json(header: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (header, len(body), body)


def _register(environment: str, exchange: int, request: Request) -> ExtensionRegister | bytes:
    name = request.header(b"lambda-extension-name")
    if not name:
        return _MISSING_NAME
    try:
        body = decode(request.body, type=_RegisterBody)
    except (DecodeError, ValidationError, UnicodeDecodeError, RecursionError) as error:
        return refusal(403, "InvalidRequestFormat", f"the body of /extension/register is not what is expected there: {error}")
    if body.configuration_keys:
        return refusal(403, "InvalidRequestFormat", "configurationKeys are deprecated; use environment variables instead")
    features = [feature.strip() for feature in request.header(b"lambda-extension-accept-feature").split(",")]
    return ExtensionRegister(environment, exchange, name=name, events=tuple(body.events or ()), account_id_wanted="accountId" in features)


def _error(environment: str, exchange: int, request: Request, *, initial: bool) -> ExtensionEvent | bytes:
    identifier = extension_identifier(request)
    if isinstance(identifier, bytes):
        return identifier
    error_type = request.header(_ERROR_TYPE)
    if not error_type:
        return _MISSING_ERROR_TYPE
    if initial:
        return ExtensionInitFailed(environment, exchange, extension_id=identifier, error_type=error_type)
    return ExtensionExitFailed(environment, exchange, extension_id=identifier, error_type=error_type)
