"""The protobuf of the cache service: the encoding page's own examples, and messages there and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.upstreams import cache
from frostline.upstreams.protobuf import Fields, decode, encode

ALL: Fields = {"text": (2, "string"), "data": (3, "bytes"), "number": (1, "uint64"), "truth": (16, "bool")}


def test_the_examples_of_the_encoding_page() -> None:
    assert encode(ALL, {"number": 150}) == bytes.fromhex("089601")
    assert encode(ALL, {"text": "testing"}) == bytes.fromhex("120774657374696e67")
    assert encode(ALL, {"truth": True}) == bytes.fromhex("800101")


def test_defaults_are_left_out_and_read() -> None:
    assert encode(ALL, {"number": 0, "text": "", "truth": False}) == b""
    assert decode(ALL, b"") == {"text": "", "data": b"", "number": 0, "truth": False}


@given(
    st.fixed_dictionaries(
        {"text": st.text(), "data": st.binary(), "number": st.integers(0, 2**64 - 1), "truth": st.booleans()},
    )
)
def test_a_message_goes_there_and_back(values: dict[str, Any]) -> None:
    assert decode(ALL, encode(ALL, values)) == values


def test_fields_of_other_versions_are_passed_over() -> None:
    newer: Fields = {**ALL, "more": (99, "bytes"), "count": (100, "uint64")}
    fixed = bytes([101 << 3 & 0x7F | 5 | 0x80, 101 << 3 >> 7]) + bytes(4) + bytes([102 << 3 & 0x7F | 1 | 0x80, 102 << 3 >> 7]) + bytes(8)
    data = encode(newer, {"text": "a", "more": b"xyz", "count": 7}) + fixed
    assert decode(ALL, data)["text"] == "a"


@pytest.mark.parametrize("data", ["08", "0aff", "0a0561", "0b", "12027aff", "0a0161", "1001", "ffffffffffffffffffffff01"])
def test_what_is_no_message_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(ALL, bytes.fromhex(data))


@given(st.binary())
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        decode(ALL, data)
    except ValueError:
        return


def test_the_fields_are_those_of_the_proto_file() -> None:
    text = (Path(cache.__file__).parent / "cache.proto").read_text()
    messages = dict(re.findall(r"message (\w+) \{(.*?)\}", text, re.DOTALL))
    for name, body in messages.items():
        ours: Fields = getattr(cache, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper())
        assert {field: (int(number), kind) for kind, field, number in re.findall(r"(\w+) (\w+) = (\d+);", body)} == dict(ours)
    package, service = re.search(r"package ([\w.]+);", text), re.search(r"^service (\w+)", text, re.MULTILINE)
    assert package is not None and service is not None
    assert f"{package[1]}.{service[1]}" == cache.SERVICE
