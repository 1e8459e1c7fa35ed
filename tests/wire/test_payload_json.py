"""Is it JSON, and what would Lambda say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.wire.payload_json import payload_error

PREFIX = "Could not parse request body into json: Could not parse payload into json: "
SOURCE = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, column: {}]"
VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("payload", "message", "line", "column"),
    [
        # recorded from AWS
        (b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87", 1, 3),
        (b"\x99\xeb,j\x07\xa1zYh", f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {VALUES}", 1, 1),
        # reported from AWS
        (b"'test'", f"Unexpected character (''' (code 39)): expected a valid value {VALUES}", 1, 1),
        (b"test data", f"Unrecognized token 'test': was expecting {VALUES}", 1, 6),
        # in the same form
        (b"hello", f"Unrecognized token 'hello': was expecting {VALUES}", 1, 6),
        (b"NaN", f"Unrecognized token 'NaN': was expecting {VALUES}", 1, 4),
        (b"{a:1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name", 1, 2),
        (b'{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", 1, 6),
        (b"[1\n 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate entries", 2, 2),
        (b"[1,]", f"Unexpected character (']' (code 93)): expected a valid value {VALUES}", 1, 4),
        (b"{} x", "Unexpected character ('x' (code 120)): Expected space separating root-level values", 1, 4),
        (b'{"a":"b', "Unexpected end-of-input: was expecting closing quote for a string value", 1, 8),
        (b"  ", "No content to map due to end-of-input", 1, 3),
    ],
)
def test_what_lambda_says(payload: bytes, message: str, line: int, column: int) -> None:
    assert payload_error(payload) == PREFIX + message + SOURCE.format(line, column)


def test_an_open_object_is_named_with_its_start() -> None:
    start = SOURCE.format(1, 1).removeprefix("\n at ")
    end = SOURCE.format(1, 7)
    assert payload_error(b'{"a":1') == f"{PREFIX}Unexpected end-of-input: expected close marker for Object (start marker at {start}){end}"


@pytest.mark.parametrize("payload", [b"{}", b" [1, 2.5e3] ", b"null", b'"\xc3\xa9"', b'"\\u00e9"', b"1"])
def test_json_is_json(payload: bytes) -> None:
    assert payload_error(payload) is None


@pytest.mark.parametrize("payload", [b"", b'"\xff"', b'{"a":"\x01"}', b"01", b"[" * 100_000, b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}"])
def test_other_bytes_are_not(payload: bytes) -> None:
    assert (payload_error(payload) or "").startswith(PREFIX)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        lambda part: st.lists(part) | st.dictionaries(st.text(st.characters(codec="utf-8")), part),
    )
)
def test_whatever_python_writes_is_json(value: object) -> None:
    assert payload_error(json.dumps(value, ensure_ascii=False).encode()) is None


@given(st.one_of(st.binary(max_size=30), st.text("{}[]\",:0123456789truefalsn \n\\u'", max_size=30).map(str.encode)))
def test_any_bytes_are_judged_as_python_judges_them(payload: bytes) -> None:
    try:
        json.loads(payload.decode(), parse_constant=lambda _name: 1 / 0)
        valid = True
    except (ValueError, ZeroDivisionError):
        valid = False
    if valid and b"\\u" in payload:
        return  # Python lets lone surrogates pass
    assert (payload_error(payload) is None) == valid
