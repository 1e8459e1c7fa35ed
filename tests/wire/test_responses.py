"""Responses as bytes, and their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from frostline.wire import responses
from frostline.wire.responses import CONTINUE, LAST_CHUNK, ResponseOrder, chunk, json_response, stream_head

from .dialogue import response
from .dialogue import responses as read

A, B, C = (json_response(200, name) for name in "abc")


def test_a_json_response_reads_as_one() -> None:
    answer = response(json_response(404, {"a": 1}, [("X-Y", "z")]))
    assert (answer.status, answer.json(), answer.headers["x-y"], answer.headers["content-type"]) == (404, {"a": 1}, "z", "application/json")


def test_204_has_no_length_and_an_empty_200_has() -> None:
    assert b"Content-Length" not in responses.response(204)
    assert b"Content-Length: 0" in responses.response(200)


def test_a_header_value_cannot_end_its_line() -> None:
    answer = response(json_response(200, {}, [("X", "a\r\nEvil: 1\nb"), ("Y", "Ω")]))
    assert answer.headers["x"] == "a  Evil: 1 b" and "evil" not in answer.headers and answer.headers["y"] == "Ω"


def test_a_stream_reads_as_one_response() -> None:
    assert response(stream_head(200, "text/plain") + chunk(b"he") + chunk(b"") + chunk(b"llo") + LAST_CHUNK).body == b"hello"


def test_responses_go_out_in_the_order_of_requests() -> None:
    order = ResponseOrder()
    for key in (1, 2, 3):
        order.expect(key)
    assert order.write(3, C) == b""
    assert order.write(2, B) == b""
    assert order.keys == [1]
    assert order.write(1, A) == A + B + C
    assert order.keys == [] and not order.closed


def test_a_stream_that_becomes_first_goes_on_at_once() -> None:
    order = ResponseOrder()
    order.expect(1)
    order.expect(2)
    assert order.write(2, b"head", done=False) == b""
    assert order.write(1, A) == A + b"head"
    assert order.write(2, b"more", done=False) == b"more"
    assert order.write(2, b"end") == b"end"


def test_an_unknown_key_is_nobody() -> None:
    order = ResponseOrder()
    assert order.write(7, A) == b""
    order.expect(1)
    assert order.write(7, A) == b""
    assert order.write(1, A) == A
    assert order.write(1, A) == b""


def test_the_last_response_says_that_it_closes_and_does() -> None:
    order = ResponseOrder()
    order.expect(1)
    order.expect(2, last=True)
    assert not order.closed
    order.write(2, B)
    sent = order.write(1, A)
    assert order.closed
    first, second = read(sent)
    assert "connection" not in first.headers and second.headers["connection"] == "close"


def test_an_http_1_0_client_hears_that_the_connection_stays_open() -> None:
    order = ResponseOrder()
    order.expect(1, http_1_0=True)
    assert response(order.write(1, A)).headers["connection"] == "keep-alive"
    assert not order.closed


def test_100_continue_waits_for_earlier_responses() -> None:
    order = ResponseOrder()
    assert order.interim(CONTINUE) == CONTINUE
    order.expect(1)
    assert order.interim(CONTINUE) == b""
    assert order.write(1, A) == A + CONTINUE
    order.expect(2)
    assert order.write(2, B) == B


def test_100_continue_is_left_out_when_the_body_came_anyway() -> None:
    order = ResponseOrder()
    order.expect(1)
    order.interim(CONTINUE)
    order.expect(2)
    assert order.write(1, A) == A
    assert order.write(2, B) == B


@given(st.permutations(range(6)))
def test_any_order_of_answers_gives_the_order_of_requests(answered: list[int]) -> None:
    order = ResponseOrder()
    for key in range(6):
        order.expect(key)
    assert b"".join(order.write(key, b"%d" % key) for key in answered) == b"012345"
