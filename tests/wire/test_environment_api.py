"""One connection inside an environment: order, closing, and misbehaviour that stays where it is."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.effects import Accepted, NextInvocation, NextShutdown, Refused, Subscribed
from frostline.core.events import Event, ExchangeClosed, ExtensionNext, RuntimeNext, RuntimeResponded
from frostline.core.payload import Payload
from frostline.wire.environment_api import MAX_PIPELINED, ApiConnection, reply_bytes

from .dialogue import EXTENSION, ID, NEXT, Process, chunked, request, respond, response, responses

INVOCATION = NextInvocation(request_id=ID, deadline_ms=1, function_arn="arn", payload=Payload(b"{}"))


def test_every_reply_has_a_response() -> None:
    assert response(reply_bytes(Accepted())).json() == {"status": "OK"}
    assert response(reply_bytes(Subscribed())).body == b'"OK"'
    assert response(reply_bytes(NextShutdown(event_id="e", reason="spindown", deadline_ms=5))).status == 200
    assert response(reply_bytes(Refused(status=403, error_type="T", message="m"))).status == 403


def test_two_requests_at_once_are_answered_in_their_order() -> None:
    process = Process()
    events = process.send(respond(b"1") + NEXT)
    assert [type(event) for event in events] == [RuntimeResponded, RuntimeNext]
    process.answer(2, INVOCATION)
    assert process.received == b""
    process.answer(1, Accepted())
    assert [answer.status for answer in responses(process.received)] == [202, 200]


def test_an_answer_that_needs_no_core_also_waits_for_its_turn() -> None:
    process = Process()
    process.send(NEXT + request("GET", "/2018-06-01/ping"))
    assert process.received == b""
    process.answer(1, INVOCATION)
    assert [answer.body for answer in responses(process.received)] == [b"{}", b"pong"]


def test_head_gets_no_body_that_would_be_read_as_the_next_response() -> None:
    process = Process()
    process.send(request("HEAD", "/nothing") + request("GET", "/2018-06-01/ping"))
    head, _, following = process.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404") and following.startswith(b"HTTP/1.1 200")


def test_exchange_numbers_are_drawn_from_one_series() -> None:
    numbers = count(1).__next__
    one, two = ApiConnection("e", numbers), ApiConnection("e", numbers)
    assert one.receive(NEXT)[0] == [RuntimeNext("e", 1)]
    assert two.receive(NEXT)[0] == [RuntimeNext("e", 2)]
    assert one.answer(2, INVOCATION) == b""
    assert two.answer(2, INVOCATION) != b""


def test_connection_close_is_answered_and_obeyed() -> None:
    process = Process()
    process.send(request("GET", "/2018-06-01/runtime/invocation/next", [("Connection", "close")]))
    assert not process.connection.closed
    process.answer(1, INVOCATION)
    assert process.read().headers["connection"] == "close"
    assert process.connection.closed
    assert process.send(NEXT) == []


def test_hanging_up_while_waiting_closes_the_exchanges() -> None:
    process = Process()
    process.send(NEXT)
    process.send(request("GET", "/2020-01-01/extension/event/next", [("Lambda-Extension-Identifier", EXTENSION)]))
    assert process.connection.eof() == [ExchangeClosed("e1", 1), ExchangeClosed("e1", 2)]
    assert process.connection.eof() == []
    process.answer(1, INVOCATION)
    assert process.received == b""


def test_an_answered_exchange_is_not_closed_again() -> None:
    process = Process()
    process.send(NEXT)
    process.answer(1, INVOCATION)
    assert process.connection.eof() == []


def test_continue_is_said_before_the_body() -> None:
    process = Process()
    data = respond(b"hello", headers=[("Expect", "100-continue")])
    assert process.send(data[:-5]) == []
    assert process.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert isinstance(process.send_one(data[-5:]), RuntimeResponded)


def test_continue_waits_for_an_earlier_answer() -> None:
    process = Process()
    data = respond(b"hello", headers=[("Expect", "100-continue")])
    process.send(NEXT + data[:-5])
    assert process.received == b""
    process.answer(1, INVOCATION)
    assert process.received.endswith(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_garbage_is_answered_400_and_the_connection_closes() -> None:
    process = Process()
    assert process.send(b"\x16\x03\x01 hello") == []
    answer = process.read()
    assert answer.status == 400 and answer.headers["connection"] == "close"
    assert process.connection.closed
    assert process.send(NEXT) == []


def test_garbage_after_a_waiting_request_leaves_that_request_its_answer() -> None:
    process = Process()
    assert process.send(NEXT + b"garbage\r\n\r\n") == [RuntimeNext("e1", 1)]
    assert not process.connection.closed
    process.answer(1, INVOCATION)
    assert [answer.status for answer in responses(process.received)] == [200, 400]
    assert process.connection.closed


def test_too_many_unanswered_requests_close_the_connection_once_they_are_answered() -> None:
    process = Process()
    assert len(process.send(NEXT * (MAX_PIPELINED + 5))) == MAX_PIPELINED
    assert process.send(NEXT) == []
    for exchange in range(1, MAX_PIPELINED + 1):
        process.answer(exchange, INVOCATION)
    answers = responses(process.received)
    assert [answer.status for answer in answers] == [200] * MAX_PIPELINED + [400]
    assert process.connection.closed


def test_a_stream_behind_an_immediate_answer_that_waits_belongs_to_nobody() -> None:
    """The head of a streamed body for an unknown path, behind an unanswered request: its chunks must not reach the earlier exchange."""
    process = Process()
    stream = chunked("POST", "/2018-06-01/runtime/invocation//response", [("Lambda-Runtime-Function-Response-Mode", "streaming")], [b"x"])
    assert process.send(NEXT + stream) == [RuntimeNext("e1", 1)]
    process.answer(1, INVOCATION)
    assert [answer.status for answer in responses(process.received)] == [200, 400]


def test_a_body_too_large_for_an_extension_is_refused_without_the_core() -> None:
    process = Process()
    assert process.send(b"POST /2020-01-01/extension/register HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n") == []
    assert process.read().status == 413


PIECES = [
    NEXT,
    respond(b"hello"),
    respond(b"hello")[:-2],
    chunked(
        "POST", f"/2018-06-01/runtime/invocation/{ID}/response", [("Lambda-Runtime-Function-Response-Mode", "streaming")], [b"a", b"b"]
    ),
    chunked("POST", f"/2018-06-01/runtime/invocation/{ID}/response", [("Lambda-Runtime-Function-Response-Mode", "streaming")], [b"a"])[:-3],
    request("GET", "/2020-01-01/extension/event/next", [("Lambda-Extension-Identifier", EXTENSION)]),
    request("POST", "/2020-01-01/extension/register", [("Lambda-Extension-Name", "x")], b'{"events":["INVOKE"]}'),
    request("PUT", "/2022-07-01/telemetry", [("Lambda-Extension-Identifier", EXTENSION)], b"{}"),
    request("GET", "/2018-06-01/ping", [("Connection", "close")]),
    b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 7000000\r\n\r\n",
]


def exchanges(events: list[Event]) -> list[int]:
    return [event.exchange for event in events if hasattr(event, "exchange")]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=50)), max_size=8))
def test_whatever_a_process_sends_the_connection_keeps_its_promises(pieces: list[bytes]) -> None:
    """Nothing raises; every response is well-formed; an exchange is answered at most once; nothing waits after the end."""
    connection = ApiConnection("e1", count(1).__next__)
    sent = b""
    for piece in pieces:
        events, ready = connection.receive(piece)
        sent += ready
        for exchange in set(exchanges(events)):
            if exchange % 3:
                sent += connection.answer(exchange, Accepted())
                assert connection.answer(exchange, Accepted()) == b""
    events = connection.eof()
    assert connection.closed
    for exchange in exchanges(events):
        assert connection.answer(exchange, Accepted()) == b""
    finals = [answer for answer in responses(sent) if answer.status != 100]
    assert all(answer.status in (200, 202, 400, 403, 404, 405, 413) for answer in finals)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_an_extension_that_dribbles_is_understood(size: int) -> None:
    process = Process()
    data = request("GET", "/2020-01-01/extension/event/next", [("Lambda-Extension-Identifier", EXTENSION)])
    events = [event for start in range(0, len(data), size) for event in process.send(data[start : start + size])]
    assert events == [ExtensionNext("e1", 1, extension_id=EXTENSION)]
