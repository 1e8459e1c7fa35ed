"""Subscribing to the Telemetry API (2022-07-01) and the older Logs API (2020-08-15): requests into subscriptions.

Sources: AWS's "Telemetry API reference" and "Using the Lambda Logs API" pages for ranges, defaults and the error's shape, RIE's
`telemetry-subscription-schema.json` for the destinations. What telemetry looks like when it is delivered: `telemetry`.
"""

from __future__ import annotations

from typing import Literal, cast
from urllib.parse import urlsplit

from msgspec import DecodeError
from msgspec.json import decode

from ..core.events import Subscription, TelemetrySubscribe
from .extensions_api import extension_identifier
from .http import Plan, Request
from .refusals import method_not_allowed
from .responses import PLAIN, json_response, response

TELEMETRY_PATH = "/2022-07-01/telemetry"
LOGS_PATH = "/2020-08-15/logs"

PLAN = Plan(1024 * 1024)

SUBSCRIBED = response(200, b'"OK"', PLAIN)
"""AWS's documentation shows the quotation marks; RIE sends them too."""

RESERVED_PORT = 9001
"""AWS: "Lambda reserves port 9001"."""

_HOSTS = ("sandbox.localdomain", "sandbox")
_SCHEMAS = {
    "telemetry": ("2022-07-01", "2022-12-13", "2025-01-29"),
    "logs": ("2020-08-15", "2021-03-18"),
}
_TYPES = ("platform", "function", "extension")
_BUFFERING = {"maxItems": (1000, 10_000), "maxBytes": (262_144, 1_048_576), "timeoutMs": (25, 30_000)}
"""Smallest and largest value, inclusive."""

_DEFAULT_ITEMS = {"telemetry": 1000, "logs": 10_000}
_PUT_ONLY = method_not_allowed("PUT")

Api = Literal["telemetry", "logs"]


def parse(environment: str, exchange: int, request: Request) -> TelemetrySubscribe | bytes:
    """A complete request as an event; bytes are a ready answer."""
    if request.method != "PUT":
        return _PUT_ONLY
    identifier = extension_identifier(request)
    if isinstance(identifier, bytes):
        return identifier
    subscription = subscription_of(request.body, "logs" if request.path.startswith(LOGS_PATH) else "telemetry")
    if isinstance(subscription, Subscription):
        return TelemetrySubscribe(environment, exchange, extension_id=identifier, subscription=subscription)
    return json_response(400, {"errorType": "ValidationError", "errorMessage": "; ".join(subscription)})


def subscription_of(body: bytes, api: Api) -> Subscription | list[str]:
    """A subscription from a request's body, or everything that is wrong with it, one sentence each."""
    try:
        wanted = decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [f"the body is not JSON: {error}"]
    if not isinstance(wanted, dict):
        return ["the body should be a JSON object"]
    wrong: list[str] = []
    version = wanted.get("schemaVersion", _SCHEMAS[api][0] if api == "logs" else "")
    if version not in _SCHEMAS[api]:
        wrong.append(f"schemaVersion should be one of {', '.join(_SCHEMAS[api])}, not {version!r}")
    protocol, port, path, method = _destination(wanted.get("destination"), wrong)
    types = _types(wanted.get("types"), wrong)
    buffering = _buffering(wanted.get("buffering"), wrong)
    if wrong:
        return wrong
    return Subscription(
        protocol=cast("Literal['HTTP', 'TCP']", protocol),
        port=port,
        path=path,
        method=cast("Literal['POST', 'PUT']", method),
        types=types,
        max_items=buffering.get("maxItems", _DEFAULT_ITEMS[api]),
        max_bytes=buffering.get("maxBytes", 262_144),
        timeout_ms=buffering.get("timeoutMs", 1000),
        schema_version=version,
        api=api,
    )


def _types(value: object, wrong: list[str]) -> tuple[Literal["platform", "function", "extension"], ...]:
    if not isinstance(value, list) or not value:
        wrong.append("types should not be empty")
        return ()
    wrong += [f"types should be among {', '.join(_TYPES)}, not {item!r}" for item in value if item not in _TYPES]
    return tuple(item for item in _TYPES if item in value)  # type: ignore[misc]


def _buffering(value: object, wrong: list[str]) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong.append("buffering should be an object")
        return {}
    found: dict[str, int] = {}
    for name, (least, most) in _BUFFERING.items():
        number = value.get(name)
        if number is None:
            continue
        if type(number) is not int or not least <= number <= most:
            wrong.append(f"buffering.{name} should be a number from {least} to {most}, not {number!r}")
        else:
            found[name] = number
    return found


def _destination(value: object, wrong: list[str]) -> tuple[str, int, str, str]:
    """Protocol, port, path and method. A port comes in the URI, or (TCP, as in AWS's examples) by itself."""
    nowhere = ("HTTP", 0, "/", "POST")
    if not isinstance(value, dict):
        wrong.append("destination is not provided")
        return nowhere
    protocol = value.get("protocol")
    if protocol not in ("HTTP", "TCP"):
        wrong.append(f"destination.protocol should be HTTP or TCP, not {protocol!r}")
        return nowhere
    method = value.get("method", "POST")
    if method not in ("POST", "PUT"):
        wrong.append(f"destination.method should be POST or PUT, not {method!r}")
    if value.get("encoding", "JSON") != "JSON":
        wrong.append(f"destination.encoding should be JSON, not {value['encoding']!r}")
    uri = value.get("URI")
    if uri is None and protocol == "TCP":
        return protocol, _port(value.get("port"), "destination.port", wrong), "/", method
    if not isinstance(uri, str) or not uri:
        wrong.append("URI is not provided")
        return nowhere
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        wrong.append(f"URI {uri!r} is not a URI: {error}")
        return nowhere
    if parts.scheme != protocol.lower():
        wrong.append(f"URI should begin with {protocol.lower()}://")
    if parts.hostname not in _HOSTS:
        wrong.append(f"URI's host should be {_HOSTS[0]}, not {parts.hostname!r}: telemetry stays inside the environment")
    if port is None:
        wrong.append("URI port is not provided")
        return nowhere
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        wrong.append("URI's path has characters that a request line cannot carry")
    return protocol, _port(port, "URI port", wrong), path, method


def _port(value: object, what: str, wrong: list[str]) -> int:
    if type(value) is not int:
        wrong.append(f"{what} is not provided")
        return 0
    if not 1 <= value <= 65_535:
        wrong.append(f"{what} should be from 1 to 65535, not {value}")
    elif value == RESERVED_PORT:
        wrong.append(f"{what} {RESERVED_PORT} is reserved for Lambda's own APIs")
    return value
