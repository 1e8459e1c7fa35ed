"""Is a payload JSON? And if not, what would Lambda say.

Lambda's front parses payloads with Jackson and hands its message on. The common ones are reproduced here word for word (recorded from AWS
2025-11, and from public reports); for rarer ones the words are ours, the place is right.
"""

from __future__ import annotations

import json
import re

from msgspec import DecodeError, Raw
from msgspec.json import decode

_PREFIX = "Could not parse request body into json: Could not parse payload into json: "
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_SOURCE = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]"
_TOKEN = re.compile(r"[A-Za-z_$][\w$]*")
_TOO_DEEP = "Document nesting depth exceeds the maximum allowed"

_EXPECTATIONS = {
    "Expecting property name": "was expecting double-quote to start field name",
    "Expecting ',' delimiter": "was expecting comma to separate entries",
    "Expecting ':' delimiter": "was expecting a colon to separate field name and value",
    "Extra data": "Expected space separating root-level values",
    "Illegal trailing comma": f"expected a valid value {_VALUES}",
}
"""What Python's parser calls a mistake, and how Jackson does."""


def payload_error(payload: bytes) -> str | None:
    """AWS's message for a payload that is not JSON in UTF-8; None when it is."""
    try:
        decode(payload, type=Raw)  # the syntax; it does not look into strings, so UTF-8 is checked apart
        if payload.isascii():
            return None
        payload.decode()
    except UnicodeDecodeError as error:
        return _PREFIX + _not_utf8(payload, error.start)
    except RecursionError:
        return _PREFIX + _TOO_DEEP
    except DecodeError:
        return _PREFIX + _malformed(payload)
    return None


def _not_utf8(payload: bytes, at: int) -> str:
    text = payload.decode("latin-1")
    if not payload[:at].strip():
        return f"Unexpected character ((CTRL-CHAR, code {payload[at]})): expected a valid value {_VALUES}{_at(text, at)}"
    return f"Invalid UTF-8 start byte 0x{payload[at]:x}{_at(text, at + 1)}"


def _malformed(payload: bytes) -> str:
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(payload, error.start)
    try:
        json.loads(text, parse_constant=_refuse)
        return "the payload is not JSON" + _at(text, 0)
    except json.JSONDecodeError as error:
        at, mistake = error.pos, error.msg
    except (ValueError, RecursionError):
        at, mistake = 0, ""
    if mistake.startswith("Unterminated string"):
        return "Unexpected end-of-input: was expecting closing quote for a string value" + _at(text, len(text))
    if at >= len(text):
        return _unfinished(text)
    character = f"'{text[at]}' (code {ord(text[at])})"
    for python, jackson in _EXPECTATIONS.items():
        if mistake.startswith(python):
            return f"Unexpected character ({character}): {jackson}{_at(text, at)}"
    token = _TOKEN.match(text, at)
    if token:  # Jackson has read on by one character when it complains about a word
        return f"Unrecognized token '{token[0]}': was expecting {_VALUES}{_at(text, token.end() + (token.end() < len(text)))}"
    return f"Unexpected character ({character}): expected a valid value {_VALUES}{_at(text, at)}"


def _unfinished(text: str) -> str:
    opened = re.search(r"[\[{]", text)
    if opened is None:
        return "No content to map due to end-of-input" + _at(text, len(text))
    kind = "Object" if opened[0] == "{" else "Array"
    start = _source(text, opened.start())
    return f"Unexpected end-of-input: expected close marker for {kind} (start marker at {start}){_at(text, len(text))}"


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _source(text: str, at: int) -> str:
    """Jackson counts lines and columns from 1."""
    return _SOURCE % (text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _at(text: str, at: int) -> str:
    return "\n at " + _source(text, at)
