"""A function's error as it posted it, of which a story keeps the beginning only."""

from __future__ import annotations

import json
import re

_STRING = r'"%s"\s*:\s*"((?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*)'
"""A field whose value is a string, as far as it goes: an escape that was cut off does not belong to it."""


def error_of(response: str) -> tuple[str | None, str | None]:
    """`errorType` and `errorMessage` of a function's error, None where they are not there. The text may end in the middle of a string."""
    return _text_field(response, "errorType"), _text_field(response, "errorMessage")


def _text_field(response: str, name: str) -> str | None:
    found = re.search(_STRING % name, response)
    if found is None:
        return None
    try:
        text: str = json.loads(f'"{found[1]}"', strict=False)
    except ValueError:
        return found[1]
    return text
