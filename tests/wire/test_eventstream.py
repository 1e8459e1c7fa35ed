"""Event streams, read by botocore."""

from __future__ import annotations

import msgspec
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from frostline.wire import eventstream


def read(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(event.headers, event.payload) for event in buffer]


def test_a_payload_chunk() -> None:
    assert read(eventstream.payload_chunk(b"hello")) == [
        ({":message-type": "event", ":event-type": "PayloadChunk", ":content-type": "application/octet-stream"}, b"hello")
    ]


def test_a_chunk_larger_than_a_message_becomes_several() -> None:
    data = bytes(eventstream.MAX_PAYLOAD + 10)
    assert b"".join(payload for _, payload in read(eventstream.payload_chunk(data))) == data


def test_the_end_of_a_stream() -> None:
    ((headers, payload),) = read(eventstream.invoke_complete("Runtime.StreamError", "details", "bG9n"))
    assert headers[":event-type"] == "InvokeComplete"
    assert msgspec.json.decode(payload) == {"ErrorCode": "Runtime.StreamError", "ErrorDetails": "details", "LogResult": "bG9n"}
    assert read(eventstream.invoke_complete())[0][1] == b"{}"


@given(
    st.dictionaries(st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256), st.text(max_size=50)),
    st.binary(max_size=200),
)
def test_any_message_reads_back(headers: dict[str, str], payload: bytes) -> None:
    assert read(eventstream.message(headers, payload)) == [(headers, payload)]
