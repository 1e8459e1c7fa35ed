"""The protobuf of `cache.proto`: messages of strings, bytes, integers and booleans (protobuf's "Encoding" page). No I/O here.

Not the protobuf package: code that its compiler makes refuses other versions of the package than its own, and the functions' own clients,
whatever they are made with, are the test of these few lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["string", "bytes", "uint64", "bool"]
Fields = Mapping[str, tuple[int, Kind]]
"""A message's fields: name -> number and type."""

Value = str | bytes | int | bool

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_EMPTY: dict[Kind, Value] = {"string": "", "bytes": b"", "uint64": 0, "bool": False}


def encode(fields: Fields, values: Mapping[str, Value]) -> bytes:
    """A message. Fields at their default are left out, as proto3 has it."""
    out = bytearray()
    for name, (number, kind) in fields.items():
        value = values.get(name, _EMPTY[kind])
        if value == _EMPTY[kind]:
            continue
        if isinstance(value, int):
            out += _varint(number << 3 | _VARINT) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | _LENGTH) + _varint(len(data)) + data
    return bytes(out)


def decode(fields: Fields, data: bytes) -> dict[str, Any]:
    """A message's fields, all of them. Fields that are not known are passed over. Raises ValueError for what is no message."""
    numbers = {number: (name, kind) for name, (number, kind) in fields.items()}
    found: dict[str, Any] = {name: _EMPTY[kind] for name, (_, kind) in fields.items()}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value: int | bytes
        if (wire := tag & 7) == _VARINT:
            value, at = _read_varint(data, at)
        else:
            if wire == _LENGTH:
                length, at = _read_varint(data, at)
            elif wire in (_FIXED32, _FIXED64):
                length = 4 if wire == _FIXED32 else 8
            else:
                raise ValueError(f"wire type {wire} at byte {at}")
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise ValueError("a field is longer than the message")
        name, kind = numbers.get(tag >> 3, ("", "bytes"))
        if name:
            found[name] = _value(name, kind, value)
    return found


def _value(name: str, kind: Kind, value: int | bytes) -> Value:
    if isinstance(value, int) != (kind in ("uint64", "bool")):
        raise ValueError(f"the field {name} has another type")
    if kind == "bool":
        return bool(value)
    if kind == "string" and isinstance(value, bytes):
        return value.decode()  # UnicodeDecodeError is a ValueError
    return value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index in range(10):
        if at + index >= len(data):
            break
        byte = data[at + index]
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise ValueError(f"no varint at byte {at}")
