"""Opaque bytes, and the configuration's derived names."""

from __future__ import annotations

from frostline.core.payload import EMPTY, Payload
from frostline.testing.builders import function


def test_a_payload_is_its_bytes() -> None:
    """Equality, hash and length."""
    assert Payload(b"1") == Payload(b"1") != Payload(b"2")
    assert Payload(b"1") != b"1"
    assert len({Payload(b"1"), Payload(b"1"), EMPTY}) == 2
    assert len(Payload(b"123")) == 3


def test_its_repr_is_short() -> None:
    """Six megabytes do not belong into a log."""
    assert repr(Payload(b"{}")) == "Payload(b'{}', 2 B)"
    assert repr(Payload(b"x" * 1000)) == "Payload(b'xxxxxxxxxxxxxxxxxxxxxxxx'..., 1000 B)"


def test_a_functions_names() -> None:
    """ARN and log group, as AWS forms them."""
    assert function("g", region="eu-west-1").arn == "arn:aws:lambda:eu-west-1:123456789012:function:g"
    assert function("g").log_group == "/aws/lambda/g"
