"""Go's `encoding/gob`, as much of it as `net/rpc` with aws-lambda-go's messages needs.

A gob stream describes itself: a type is defined before its first value. What is sent has types known here; what comes is decoded by the definitions
that came with it, so fields that other versions of aws-lambda-go add or lack do no harm. Source: https://pkg.go.dev/encoding/gob, "Encoding Details".

A stream is a sequence of messages: length, type id, value. A negative id defines a type. A struct is a sequence of (distance to the next field
that is not zero, value), ended by 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

BOOL, INT, UINT, FLOAT, BYTES, STRING = 1, 2, 3, 4, 5, 6

Value = bool | int | bytes | str | float | list["Value"] | dict[str, "Value"]
Fields = tuple[tuple[str, int], ...]


class GobError(Exception):
    """The stream is not one that is understood here."""


# Writing ---------------------------------------------------------------------------------------------------------------------------------


def uint(number: int) -> bytes:
    """Below 128 one byte; otherwise the negated count of bytes, then the bytes, the highest first."""
    if number < 128:
        return bytes((number,))
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes((256 - len(raw),)) + raw


def signed(number: int) -> bytes:
    """The sign is the lowest bit."""
    return uint(number << 1 if number >= 0 else (~number << 1) | 1)


def text(value: str | bytes) -> bytes:
    """Length and bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return uint(len(raw)) + raw


def message(type_id: int, value: bytes) -> bytes:
    """One message of a stream."""
    body = signed(type_id) + value
    return uint(len(body)) + body


def define(type_id: int, name: str, fields: Fields) -> bytes:
    """The message that defines a struct."""
    described = b"".join(b"\x01" + text(field) + b"\x01" + signed(kind) + b"\x00" for field, kind in fields)
    common = b"\x01" + text(name) + b"\x01" + signed(type_id) + b"\x00"
    # wireType{StructT: structType{CommonType, Field}}
    return message(-type_id, b"\x03" + b"\x01" + common + b"\x01" + uint(len(fields)) + described + b"\x00" + b"\x00")


def struct(fields: Fields, values: dict[str, bytes | str | int | dict[str, int]], nested: dict[int, Fields]) -> bytes:
    """A struct's value; zero fields are left out."""
    written, last = b"", -1
    for index, (name, kind) in enumerate(fields):
        value = values.get(name)
        if not value:
            continue
        if kind in (BYTES, STRING):
            assert isinstance(value, (bytes, str))
            encoded = text(value)
        elif kind in nested:
            assert isinstance(value, dict)
            encoded = struct(nested[kind], dict(value), nested)
        else:
            assert isinstance(value, int)
            encoded = uint(value) if kind == UINT else signed(value)
        written += uint(index - last) + encoded
        last = index
    return written + b"\x00"


# Reading ---------------------------------------------------------------------------------------------------------------------------------


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise GobError("a value is longer than its message")
        piece = self.data[self.at : self.at + size]
        self.at += size
        return piece

    def uint(self) -> int:
        first = self.take(1)[0]
        return first if first < 128 else int.from_bytes(self.take(256 - first), "big")

    def signed(self) -> int:
        number = self.uint()
        return ~(number >> 1) if number & 1 else number >> 1


class Decoder:
    """Reads values from a stream of bytes: `read(n)` yields exactly n bytes, or raises."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read
        self.structs: dict[int, list[tuple[str, int]]] = {}
        self.slices: dict[int, int] = {}

    def value(self) -> dict[str, Value]:
        """The next value, which must be a struct. Definitions before it are remembered."""
        while True:
            cursor = _Cursor(self.read(self._length()))
            type_id = cursor.signed()
            if type_id >= 0:
                value = self._decode(cursor, type_id)
                if not isinstance(value, dict):
                    raise GobError("a struct was expected")
                return value
            self._learn(cursor, -type_id)

    def _length(self) -> int:
        first = self.read(1)[0]
        return first if first < 128 else int.from_bytes(self.read(256 - first), "big")

    def _learn(self, cursor: _Cursor, type_id: int) -> None:
        kind = cursor.uint()
        if kind == 2:  # SliceT: CommonType, Elem
            fields = self._common(cursor)
            self.slices[type_id] = cursor.signed() if fields == 1 else 0
        elif kind == 3:  # StructT: CommonType, Field
            self.structs[type_id] = []
            if self._common(cursor) == 1:
                for _ in range(cursor.uint()):
                    self.structs[type_id].append(self._field(cursor))
        else:
            raise GobError(f"a type of kind {kind} is not among aws-lambda-go's messages")

    def _common(self, cursor: _Cursor) -> int:
        """Skip a CommonType (a struct of Name and Id, like a field); the distance to the field after it, 0 at the end."""
        if cursor.uint() != 1:
            raise GobError("a type without a description")
        self._field(cursor)
        return cursor.uint()

    def _field(self, cursor: _Cursor) -> tuple[str, int]:
        name, kind, at = "", 0, 0
        while delta := cursor.uint():
            at += delta
            if at == 1:
                name = cursor.take(cursor.uint()).decode()
            else:
                kind = cursor.signed()
        return name, kind

    def _decode(self, cursor: _Cursor, type_id: int) -> Value:
        if type_id in (BYTES, STRING):
            raw = cursor.take(cursor.uint())
            return raw.decode("utf-8", "replace") if type_id == STRING else raw
        if type_id in (BOOL, INT, UINT):
            number = cursor.signed() if type_id == INT else cursor.uint()
            return bool(number) if type_id == BOOL else number
        if type_id in self.slices:
            return [self._decode(cursor, self.slices[type_id]) for _ in itertools.repeat(None, cursor.uint())]
        if type_id in self.structs:
            made: dict[str, Value] = {}
            fields, at = self.structs[type_id], -1
            while delta := cursor.uint():
                at += delta
                if at >= len(fields):
                    raise GobError("a field that its type does not have")
                name, kind = fields[at]
                made[name] = self._decode(cursor, kind)
            return made
        raise GobError(f"a value of the undefined type {type_id}")
