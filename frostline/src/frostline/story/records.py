"""What a story holds, line by line.

The first line is a `Header`. Every other line is a `Line`: either an event, or an effect with the sequence number of the event that caused it. A line's
`at` is epoch seconds on a clock that never goes backwards within one story.

Payloads are not recorded whole: they can be six megabytes, and they are somebody's data. A line has their size and their first `HEAD_BYTES`.

The schema version changes whenever a field of an event or effect is renamed, removed or changes its meaning. New fields with defaults do not
change it: readers ignore what they do not know.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import reduce
from typing import Any

import msgspec
from msgspec import Struct

from ..core import effects, events, upstream
from ..core.payload import Payload

SCHEMA = 1

HEAD_BYTES = 256
"""How much of a payload a story keeps."""


class PayloadSummary(Payload):
    """A payload as a story remembers it: its size, and its beginning in `data`."""

    __slots__ = ("size",)

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__(head)
        self.size = size

    def __len__(self) -> int:
        return self.size


class Header(Struct, frozen=True, kw_only=True, tag_field="story", tag="frostline"):
    """The first line of a story."""

    schema: int
    version: str
    """Frostline's version."""
    started_at: float
    level: dict[str, object]
    """What the machine allowed: see `sandbox.port.Level`."""


def _concrete(base: type[Struct]) -> Iterator[type[Struct]]:
    for sub in base.__subclasses__():
        children = list(_concrete(sub))
        yield from children
        if not children:
            yield sub


def _union(base: type[Struct]) -> Any:
    return reduce(operator.or_, _concrete(base))


assert issubclass(upstream.UpstreamEvent, events.Event)  # imported, so its kinds are among those below
AnyEvent: Any = _union(events.Event)
AnyEffect: Any = _union(effects.Effect)


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event, or one effect."""

    seq: int
    at: float
    cause: int | None = None
    """For an effect: the event that it followed from."""
    event: events.Event | None = None
    effect: effects.Effect | None = None


_TypedLine = msgspec.defstruct(
    "_TypedLine",
    [
        ("seq", int),
        ("at", float),
        ("cause", int | None, None),
        ("event", AnyEvent | None, None),
        ("effect", AnyEffect | None, None),
    ],
    kw_only=True,
)


def _encode_payload(value: object) -> object:
    if isinstance(value, Payload):
        return {"bytes": len(value), "head": value.data[:HEAD_BYTES].decode("utf-8", "replace")}
    raise TypeError(f"a story cannot hold {type(value).__name__}")


def _decode_payload(kind: type, value: object) -> object:
    if kind is Payload and isinstance(value, dict):
        return PayloadSummary(str(value.get("head", "")).encode(), int(value.get("bytes", 0)))
    if kind is object:
        return value  # part of a telemetry record: any JSON
    raise TypeError(f"a story holds no {kind}")


encoder = msgspec.json.Encoder(enc_hook=_encode_payload)
_header_decoder = msgspec.json.Decoder(Header)
_line_decoder = msgspec.json.Decoder(_TypedLine, dec_hook=_decode_payload)


def decode_header(data: bytes) -> Header:
    """Raises msgspec.ValidationError or DecodeError."""
    return _header_decoder.decode(data)


def decode_line(data: bytes) -> Line:
    """Raises msgspec.ValidationError or DecodeError."""
    typed: Any = _line_decoder.decode(data)
    return Line(seq=typed.seq, at=typed.at, cause=typed.cause, event=typed.event, effect=typed.effect)
