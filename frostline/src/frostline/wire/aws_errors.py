"""Errors of the Lambda service API, in AWS's shapes.

Three of them exist, and clients read all three (recorded from AWS, 2025-11): modelled exceptions say `Type` and a message whose key is
`Message` or `message` depending on the exception; failed validations and requests that are too large say only `message`. The code travels
in `x-amzn-ErrorType`.
"""

from __future__ import annotations

from .responses import json_response

_CAPITAL = frozenset({"ResourceNotFoundException", "ServiceException"})
"""Exceptions whose message key is `Message`, of those used here: so AWS's service model has it."""


def error(status: int, code: str, message: str, request_id: str, **members: str) -> bytes:
    """A modelled exception as a response."""
    kind = "Service" if status >= 500 else "User"
    body = {**members, "Type": kind, "Message" if code in _CAPITAL else "message": message}
    return _response(status, code, body, request_id)


def bare_error(status: int, code: str, message: str, request_id: str) -> bytes:
    """An error that AWS's front raises before Lambda sees the request."""
    return _response(status, code, {"message": message}, request_id)


def validation_error(failures: list[str], request_id: str) -> bytes:
    """`ValidationException`, with everything that failed."""
    plural = "" if len(failures) == 1 else "s"
    return bare_error(400, "ValidationException", f"{len(failures)} validation error{plural} detected: {'; '.join(failures)}", request_id)


def failed(value: object, member: str, constraint: str) -> str:
    """One failure: `Value 'x' at 'timeout' failed to satisfy constraint: Member must ...`."""
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"


def must_match(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def must_be_one_of(*values: str) -> str:
    return f"Member must satisfy enum value set: [{', '.join(values)}]"


def function_not_found(arn: str, request_id: str) -> bytes:
    """`arn` with its qualifier, where the caller named one (or, for Invoke, always)."""
    return error(404, "ResourceNotFoundException", f"Function not found: {arn}", request_id)


def _response(status: int, code: str, body: dict[str, str], request_id: str) -> bytes:
    return json_response(status, body, [("x-amzn-RequestId", request_id), ("x-amzn-ErrorType", code)])
