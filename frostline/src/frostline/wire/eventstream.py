"""AWS's `vnd.amazon.eventstream` framing, as far as InvokeWithResponseStream needs it.

A message is big-endian: total length, headers' length, CRC-32 of those eight bytes, headers, payload, CRC-32 of everything before. A
header is its name's length (1 byte), its name, the value's type (7: string), the value's length (2 bytes), the value.
Source: AWS's "Amazon Transcribe: event stream encoding" page and Smithy's `aws.protocols` specification; checked here against botocore's
decoder.
"""

from __future__ import annotations

import struct
from zlib import crc32

from msgspec.json import encode

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_OVERHEAD = 16
"""Prelude (12) and the last checksum (4)."""

MAX_PAYLOAD = 16 * 1024 * 1024 - 1024
"""Decoders refuse payloads over 16 MiB."""


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message; every header is a string."""
    return _frame(_headers(headers), payload)


def payload_chunk(data: bytes) -> bytes:
    """A `PayloadChunk` event (more than one when `data` is over what a message may hold)."""
    if len(data) <= MAX_PAYLOAD:
        return _frame(_PAYLOAD_CHUNK, data)
    return b"".join(_frame(_PAYLOAD_CHUNK, data[at : at + MAX_PAYLOAD]) for at in range(0, len(data), MAX_PAYLOAD))


def invoke_complete(error_code: str | None = None, error_details: str | None = None, log_result: str | None = None) -> bytes:
    """The `InvokeComplete` event, which ends a stream. `log_result` is base64, as in `X-Amz-Log-Result`."""
    members = {"ErrorCode": error_code, "ErrorDetails": error_details, "LogResult": log_result}
    return _frame(_INVOKE_COMPLETE, encode({name: value for name, value in members.items() if value is not None}))


def _headers(headers: dict[str, str]) -> bytes:
    return b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())


def _header(name: bytes, value: bytes) -> bytes:
    return b"%c%b%c%b%b" % (len(name), name, _STRING, len(value).to_bytes(2, "big"), value)


def _frame(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", _OVERHEAD + len(headers) + len(payload), len(headers))
    body = b"".join((prelude, struct.pack(">I", crc32(prelude)), headers, payload))
    return body + struct.pack(">I", crc32(body))


_PAYLOAD_CHUNK = _headers({":message-type": "event", ":event-type": "PayloadChunk", ":content-type": "application/octet-stream"})
_INVOKE_COMPLETE = _headers({":message-type": "event", ":event-type": "InvokeComplete", ":content-type": "application/json"})
