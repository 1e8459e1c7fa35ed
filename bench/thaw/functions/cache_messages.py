"""The requests of Frostline's cache service (`cache.proto`), as bytes: so few that nothing has to be generated."""

from __future__ import annotations

GET = "/frostline.cache.v1.Cache/Get"
SET = "/frostline.cache.v1.Cache/Set"


def get(key: str) -> bytes:
    return _text(1, key)


def set_for_a_second(key: str) -> bytes:
    """Key, value and a time to live of 1000 ms."""
    return _text(1, key) + _text(2, "1") + b"\x18\xe8\x07"


def _text(field: int, text: str) -> bytes:
    assert len(text) < 128, "its length would take a second byte"
    return bytes([field << 3 | 2, len(text)]) + text.encode()
