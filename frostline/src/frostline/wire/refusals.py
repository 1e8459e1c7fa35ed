"""Errors of the APIs inside an environment (Runtime, Extensions, Telemetry, Logs), in their common shape.

Statuses, types and messages are RIE's (`rapi/rendering/render_error.go`, `rapi/handler/constants.go`), which is AWS's own code.
"""

from __future__ import annotations

from .responses import PLAIN, json_response, response


def refusal(status: int, error_type: str, message: str) -> bytes:
    """`{"errorMessage": ..., "errorType": ...}`."""
    return json_response(status, {"errorMessage": message, "errorType": error_type})


NOT_FOUND = response(404, b"404 page not found\n", PLAIN, [("X-Content-Type-Options", "nosniff")])
"""No such path: Go's `http.NotFound`, which RIE answers with."""

INVALID_REQUEST_ID = refusal(400, "InvalidRequestID", "Invalid request ID")
"""The path has no request id at all. A wrong one is the core's business."""

INVALID_RESPONSE_MODE = refusal(400, "InvalidFunctionResponseMode", "Invalid function response mode")


def entity_too_large(limit: int) -> bytes:
    return refusal(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({limit} bytes).")


def method_not_allowed(allowed: str) -> bytes:
    return response(405, headers=[("Allow", allowed)])


def bad_request(reason: str) -> bytes:
    """Not HTTP; the connection is closed after it."""
    return response(400, f"400 Bad Request: {reason}\n".encode(), PLAIN)
