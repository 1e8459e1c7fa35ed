"""AWS's framed log pipe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.wire.log_frames import FrameReader, LogMessage


def frame(kind: int, message: bytes, timestamp: int | None = 1_700_000_000_000_000) -> bytes:
    stamp = b"" if timestamp is None else timestamp.to_bytes(8, "big")
    return kind.to_bytes(4, "big") + len(message).to_bytes(4, "big") + stamp + message


def read(*pieces: bytes, limit: int = 1000) -> list[LogMessage]:
    reader = FrameReader(limit)
    return [message for piece in pieces for message in reader.feed(piece)] + reader.flush()


@pytest.mark.parametrize(
    ("kind", "level", "is_json"),
    [
        (0xA55A0003, None, False),
        (0xA55A0002, None, True),
        (0xA55A000B, "DEBUG", False),
        (0xA55A000E, "INFO", True),
        (0xA55A0013, "WARN", False),
        (0xA55A0016, "ERROR", True),
        (0xA55A001B, "FATAL", False),
        (0xA55A0007, "TRACE", False),
        (0xA55A00FF, None, False),
    ],
)
def test_the_types_that_awss_runtime_client_sends(kind: int, level: str | None, is_json: bool) -> None:
    (message,) = read(frame(kind, b"hello\nworld\n"))
    assert message == LogMessage("hello\nworld", level, is_json, 1_700_000_000_000_000)  # type: ignore[arg-type]


def test_older_frames_have_no_timestamp() -> None:
    assert read(frame(0xA55A0001, b"hello", None)) == [LogMessage("hello")]


def test_an_empty_message_is_nothing() -> None:
    assert read(frame(0xA55A0003, b"") + frame(0xA55A0003, b"a", 7)) == [LogMessage("a", timestamp_us=7)]


def test_a_message_over_the_limit_comes_in_pieces() -> None:
    found = read(frame(0xA55A0003, b"x" * 25, 7), limit=10)
    assert [message.text for message in found] == ["x" * 10, "x" * 10, "x" * 5]
    assert {message.timestamp_us for message in found} == {7}


def test_a_frame_that_lies_about_its_length_costs_no_memory() -> None:
    reader = FrameReader(1000)
    reader.feed(b"\xa5\x5a\x00\x03\xff\xff\xff\xff" + bytes(8))
    for _ in range(1000):
        reader.feed(b"x" * 1000)
        assert len(reader._buffer) <= 2001


def test_bytes_that_are_no_frame_are_lines_and_the_next_frame_is_found() -> None:
    found = read(b"stray\nmore" + frame(0xA55A000F, b"hello", 7) + b"\xa5end")
    assert found == [LogMessage("stray"), LogMessage("more"), LogMessage("hello", "INFO", timestamp_us=7), LogMessage("\ufffdend")]


def test_the_end_of_the_pipe_hands_out_what_is_there() -> None:
    assert read(frame(0xA55A0003, b"hello", 7)[:-2]) == [LogMessage("hel", timestamp_us=7)]
    assert read(b"\xa5\x5a") == [LogMessage("\ufffdZ")]


frames = st.builds(frame, st.sampled_from([0xA55A0002, 0xA55A0003, 0xA55A001B]), st.binary(max_size=40), st.integers(0, 2**64 - 1))


@given(st.lists(st.one_of(frames, st.binary(max_size=10)), max_size=6), st.data())
def test_messages_are_the_same_however_the_bytes_are_split(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*pieces, limit=16) == read(stream, limit=16)


@given(st.lists(frames, max_size=6))
def test_every_frame_is_a_message(sent: list[bytes]) -> None:
    assert [message.text for message in read(b"".join(sent))] == [
        one[16:].decode("utf-8", "replace").removesuffix("\n") for one in sent if len(one) > 16
    ]
