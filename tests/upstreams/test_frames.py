"""Frames that pass by: which streams are open, however the bytes are cut."""

from __future__ import annotations

import itertools
import struct

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated
from hypothesis import given
from hypothesis import strategies as st

from frostline.upstreams.frames import DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Frames, goaway

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING, SETTINGS, CONTINUATION = 0x6, 0x4, 0x9


def frame(kind: int, stream: int = 0, flags: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!BHBBI", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def test_a_stream_is_open_until_the_server_ends_it() -> None:
    frames = Frames()
    assert not frames.client(PREFACE + frame(SETTINGS))
    assert frames.client(frame(HEADERS, 1, 0, b"head") + frame(CONTINUATION, 1, 4, b"more"))
    assert frames.client(frame(DATA, 1, END_STREAM, b"body"))
    assert frames.open == {1}
    frames.server(frame(SETTINGS) + frame(HEADERS, 1, 4, b"head") + frame(DATA, 1, 0, b"body"))
    assert frames.open == {1}
    frames.server(frame(HEADERS, 1, 4 | END_STREAM, b"trailers"))
    assert (frames.open, frames.highest) == (set(), 1)


@pytest.mark.parametrize("side", ["client", "server"])
def test_either_side_may_reset_a_stream(side: str) -> None:
    frames = Frames()
    frames.client(PREFACE + frame(HEADERS, 1) + frame(HEADERS, 3))
    reset = frame(RST_STREAM, 1, 0, bytes(4))
    if side == "client":
        frames.client(reset)
    else:
        frames.server(reset)
    assert frames.open == {3}


def test_trailers_of_the_client_open_nothing_and_pings_are_no_request() -> None:
    frames = Frames()
    frames.client(PREFACE + frame(HEADERS, 1))
    frames.server(frame(HEADERS, 1, END_STREAM))
    assert frames.client(frame(HEADERS, 1, END_STREAM))
    assert not frames.client(frame(PING, 0, 0, bytes(8)))
    assert frames.open == set()


def test_what_the_server_says_last_is_kept() -> None:
    frames = Frames()
    frames.server(frame(GOAWAY, 0, 0, bytes(7) + b"\x0b" + b"too_many_pings"))
    assert frames.goaway == "too_many_pings"


@given(
    st.lists(
        st.tuples(st.sampled_from([DATA, HEADERS, RST_STREAM, PING, GOAWAY]), st.integers(1, 9), st.integers(0, 5), st.binary(max_size=300))
    ),
    st.data(),
)
def test_it_does_not_matter_how_the_bytes_are_cut(parts: list[tuple[int, int, int, bytes]], data: st.DataObject) -> None:
    sent = b"".join(frame(kind, stream, flags, payload) for kind, stream, flags, payload in parts)
    whole, cut = Frames(), Frames()
    whole.client(PREFACE + sent)
    whole.server(sent)
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=20))), len(sent)]
    cut.client(PREFACE)
    for begin, end in itertools.pairwise(cuts):
        cut.client(sent[begin:end])
    for begin, end in itertools.pairwise(cuts):
        cut.server(sent[begin:end])
    assert (cut.open, cut.highest, cut.goaway) == (whole.open, whole.highest, whole.goaway)


def test_our_goaway_is_understood() -> None:
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.receive_data(frame(SETTINGS))
    (event,) = (one for one in client.receive_data(goaway(7)) if isinstance(one, ConnectionTerminated))
    assert (event.last_stream_id, event.error_code) == (7, 0)
