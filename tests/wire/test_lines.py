"""Raw output into lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from frostline.wire.lines import LineSplitter, character_boundary


def split(*pieces: bytes, limit: int = 100) -> list[str]:
    splitter = LineSplitter(limit)
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.flush()


def test_lines_come_when_they_are_complete() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o\n\nthree") == ["two", ""]
    assert splitter.flush() == ["three"]
    assert splitter.flush() == []


def test_a_character_in_two_pieces_is_one() -> None:
    assert split("ä".encode()[:1], "ä".encode()[1:] + b"\n") == ["ä"]


def test_invalid_utf_8_is_replaced() -> None:
    assert split(b"a\xffb\n") == ["a\ufffdb"]


def test_a_carriage_return_stays() -> None:
    assert split(b"a\r\n") == ["a\r"]


def test_a_long_line_is_cut_between_characters() -> None:
    assert split(b"x" * 150 + b"\n") == ["x" * 100, "x" * 50]
    assert split(b"x" * 99 + "ä".encode() + b"\n") == ["x" * 99, "ä"]
    assert split(b"x" * 100 + b"\n") == ["x" * 100]


def test_bytes_that_are_no_utf_8_are_cut_at_the_limit() -> None:
    assert character_boundary(b"\x80" * 50, 10) == 10


@given(st.binary(max_size=300), st.data())
def test_lines_are_the_same_however_the_bytes_are_split_and_none_is_too_long(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.sets(st.integers(0, len(data)), max_size=8)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert split(*pieces, limit=10) == split(data, limit=10)
    assert all(len(line) <= 10 for line in split(*pieces, limit=10))


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_text_is_not_lost(text: str) -> None:
    assert "".join(split(text.encode(), limit=10)) == text.replace("\n", "")
