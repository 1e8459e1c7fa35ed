"""Bytes in, requests out."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.wire.http import (
    MAX_HEAD,
    BodyChunk,
    BodyEnded,
    BodyStarted,
    Connection,
    ContinueExpected,
    Malformed,
    Plan,
    Received,
    Request,
    TooLarge,
)

LIMIT = 1000
STREAM = Plan(LIMIT, stream=True)
WHOLE = Plan(LIMIT)


def connection() -> Connection:
    """Bodies of requests to /stream... come in pieces."""
    return Connection(lambda request: STREAM if request.path.startswith("/stream") else WHOLE)


def receive(*pieces: bytes) -> list[Received]:
    peer = connection()
    return [received for piece in pieces for received in peer.receive(piece)]


def only_request(*pieces: bytes) -> Request:
    (request,) = receive(*pieces)
    assert isinstance(request, Request)
    return request


def test_a_request_has_method_path_query_and_headers_in_lower_case() -> None:
    request = only_request(b"GET /a/b?c=d&e HTTP/1.1\r\nHost: x\r\nX-Amz-Log-Type: Tail\r\n\r\n")
    assert (request.method, request.path, request.query) == ("GET", "/a/b", "c=d&e")
    assert request.header(b"x-amz-log-type") == "Tail"
    assert request.header(b"missing") == ""
    assert request.keep_alive and not request.http_1_0 and request.body == b""


def test_of_a_repeated_header_the_first_counts() -> None:
    assert only_request(b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\n\r\n").header(b"a") == "1"


def test_header_values_are_latin_1() -> None:
    assert only_request(b"GET / HTTP/1.1\r\nA: caf\xe9\r\n\r\n").header(b"a") == "café"


def test_a_body_of_known_length_comes_whole() -> None:
    assert only_request(b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe", b"ll", b"o").body == b"hello"


def test_a_chunked_body_comes_whole() -> None:
    assert only_request(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n").body == b"hello"


def test_the_absolute_form_of_a_target_is_a_path() -> None:
    request = only_request(b"GET http://169.254.100.1:9001/a?b HTTP/1.1\r\n\r\n")
    assert (request.path, request.query) == ("/a", "b")


def test_the_asterisk_form_of_a_target_is_no_path_of_ours() -> None:
    assert only_request(b"OPTIONS * HTTP/1.1\r\n\r\n").path == "/*"


def test_pipelined_requests_come_in_order() -> None:
    found = receive(b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /3 HTTP/1.1\r\n\r\n")
    assert [request.path for request in found if isinstance(request, Request)] == ["/1", "/2", "/3"]


def test_a_body_can_come_in_pieces_with_trailers() -> None:
    peer = connection()
    (started,) = peer.receive(b"POST /stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: Error\r\n\r\n")
    assert isinstance(started, BodyStarted) and started.request.body == b""
    assert peer.receive(b"2\r\nhe\r\n") == [BodyChunk(b"he")]
    assert peer.receive(b"3\r\nllo\r\n0\r\nError: bad\r\n\r\n") == [BodyChunk(b"llo"), BodyEnded({b"error": b"bad"})]
    assert isinstance(peer.receive(b"GET /next HTTP/1.1\r\n\r\n")[0], Request)


def test_trailers_of_a_whole_body_do_not_become_headers() -> None:
    request = only_request(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nLate: 1\r\n\r\n")
    assert request.header(b"late") == ""


@pytest.mark.parametrize("path", ["/a", "/stream"])
def test_a_body_that_announces_too_much_is_refused_at_once_and_thrown_away(path: str) -> None:
    peer = connection()
    head = f"POST {path} HTTP/1.1\r\nContent-Length: {LIMIT + 1}\r\n\r\n".encode()
    (refused,) = peer.receive(head)
    assert isinstance(refused, TooLarge) and refused.size == LIMIT + 1
    assert peer.receive(b"x" * LIMIT) == []
    (following,) = peer.receive(b"xGET /b HTTP/1.1\r\n\r\n")
    assert isinstance(following, Request) and following.path == "/b"


def test_a_body_of_exactly_the_limit_is_accepted() -> None:
    assert len(only_request(b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % LIMIT, b"x" * LIMIT).body) == LIMIT


def test_a_chunked_body_is_refused_when_it_has_grown_too_large() -> None:
    peer = connection()
    assert peer.receive(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n") == []
    assert peer.receive(b"3e8\r\n" + b"x" * 1000 + b"\r\n") == []
    (refused,) = peer.receive(b"1\r\nx\r\n")
    assert isinstance(refused, TooLarge) and refused.size == LIMIT + 1
    (following,) = peer.receive(b"5\r\nhello\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert isinstance(following, Request)


def test_expect_100_continue_is_reported_before_the_body() -> None:
    peer = connection()
    assert peer.receive(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n") == [ContinueExpected()]
    (request,) = peer.receive(b"hi")
    assert isinstance(request, Request) and request.body == b"hi"


def test_nobody_is_told_to_continue_with_a_body_that_is_too_large() -> None:
    (refused,) = receive(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    assert isinstance(refused, TooLarge)


@pytest.mark.parametrize(
    ("head", "keep_alive", "http_1_0"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True, False),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False, False),
        (b"GET / HTTP/1.0\r\n\r\n", False, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True, True),
    ],
)
def test_who_keeps_a_connection_open(head: bytes, keep_alive: bool, http_1_0: bool) -> None:
    request = only_request(head)
    assert (request.keep_alive, request.http_1_0) == (keep_alive, http_1_0)


def test_nothing_is_read_after_the_last_request() -> None:
    peer = connection()
    assert len(peer.receive(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")) == 1
    assert peer.receive(b"GET /3 HTTP/1.1\r\n\r\n") == []
    assert peer.eof() == []


@pytest.mark.parametrize("cut", [20, 60, 90, 120, 150])
def test_an_upgrade_is_ignored_and_the_body_kept(cut: int) -> None:
    """Java's HttpClient asks for h2c with its first request."""
    data = (
        b"POST /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 5\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAEA\r\nX: y\r\n\r\nhello"
        b"GET /b HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /c HTTP/1.1\r\n\r\n"
    )
    found = receive(data[:cut], data[cut:])
    assert [(request.path, request.body) for request in found if isinstance(request, Request)] == [
        ("/a", b"hello"),
        ("/b", b""),
        ("/c", b""),
    ]


def test_a_great_many_pipelined_upgrades_are_served_one_after_the_other() -> None:
    assert len(receive(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" * 3000)) == 3000


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * MAX_HEAD,
    ],
)
def test_garbage_is_malformed_and_ends_the_connection(garbage: bytes) -> None:
    peer = connection()
    found = peer.receive(garbage)
    assert isinstance(found[-1], Malformed) and found[-1].reason
    assert peer.receive(b"GET / HTTP/1.1\r\n\r\n") == []
    assert peer.eof() == []


def test_malformed_names_the_request_whose_body_it_was() -> None:
    found = receive(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx")[-1]
    assert isinstance(found, Malformed) and found.request is not None and found.request.path == "/a"


@pytest.mark.parametrize(
    "endless",
    [
        (b"GET /", b"a" * 100),
        (b"GET / HTTP/1.1\r\nA: ", b"a" * 100),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 20),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 100),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n" * 20),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", b"a" * 100),
    ],
)
def test_what_never_ends_is_cut_off(endless: tuple[bytes, bytes]) -> None:
    peer = connection()
    beginning, more = endless
    peer.receive(beginning)
    for _ in range(2 * MAX_HEAD // 100):
        found = peer.receive(more)
        if found:
            assert isinstance(found[0], Malformed)
            return
    pytest.fail("still listening")


def test_a_body_in_tiny_chunks_costs_no_more_memory_than_the_body() -> None:
    peer = Connection(lambda _request: Plan(1_000_000))
    peer.receive(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    tracemalloc.start()
    try:
        for _ in range(100):
            peer.receive(b"2\r\nab\r\n" * 1000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    (request,) = peer.receive(b"0\r\n\r\n")
    assert isinstance(request, Request) and len(request.body) == 200_000


def test_a_refused_body_is_not_thrown_away_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.wire.http.MAX_DISCARDED", 5000)
    peer = connection()
    (refused,) = peer.receive(b"POST /a HTTP/1.1\r\nContent-Length: 9000\r\n\r\n")
    assert isinstance(refused, TooLarge)
    assert peer.receive(b"x" * 5000) == []
    (malformed,) = peer.receive(b"x")
    assert malformed == Malformed("the body is far over its limit")


def test_the_end_of_a_refused_body_is_nothing_new() -> None:
    peer = connection()
    peer.receive(b"POST /a HTTP/1.1\r\nContent-Length: 9000\r\n\r\nx")
    assert peer.eof() == []


@pytest.mark.parametrize(
    ("sent", "request_known"),
    [(b"GE", False), (b"GET / HTTP/1.1\r\nHost", False), (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe", True)],
)
def test_the_end_in_the_middle_of_a_request_is_told(sent: bytes, request_known: bool) -> None:
    peer = connection()
    peer.receive(sent)
    (truncated,) = peer.eof()
    assert (truncated.request is not None) == request_known
    assert peer.eof() == []


def test_the_end_between_requests_is_nothing() -> None:
    peer = connection()
    assert peer.eof() == []
    peer = connection()
    peer.receive(b"GET / HTTP/1.1\r\n\r\n")
    assert peer.eof() == []


STREAMS = [
    b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nLate: 1\r\n\r\n",
    b"POST /stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nLate: 1\r\n\r\n",
    b"POST /stream HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
    b"POST /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
]


def normal(found: list[Received]) -> list[object]:
    """The same whatever the split: adjacent chunks joined, the size at which a body was refused left out."""
    joined: list[object] = []
    for received in found:
        if isinstance(received, BodyChunk) and joined and isinstance(joined[-1], BodyChunk):
            joined[-1] = BodyChunk(joined[-1].data + received.data)
        else:
            joined.append(received)
    return joined


@given(st.lists(st.sampled_from(STREAMS), min_size=1, max_size=4), st.data())
def test_the_same_bytes_mean_the_same_however_they_are_split(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert normal(receive(*pieces)) == normal(receive(stream))


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60), st.sampled_from([*STREAMS, b"\r\n", b"GET ", b" HTTP/1.1\r\n", b"0\r\n\r\n", b"Upgrade: h2c\r\n"])
        )
    )
)
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    peer = connection()
    for piece in pieces:
        peer.receive(piece)
    peer.eof()
