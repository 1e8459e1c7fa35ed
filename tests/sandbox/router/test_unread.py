"""What an environment sends on connections that nobody reads any more, in the real kernel: when, how much, and whether it is a request."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import AsyncIterator

import pytest

from frostline.core.conditions import Conditions
from frostline.core.events import FirstWriteAnswered
from frostline.core.fates import Fate, Fates
from frostline.sandbox.router.resets import MAX_PORTS
from tests.sandbox.router.conftest import Lab
from tests.sandbox.router.pairs import NAME, Listener, Pair

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
]

REQUEST = b"POST /orders HTTP/1.1\r\nHost: orders.local:8080\r\nContent-Length: 2\r\n\r\n{}"
GET, QUIT = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"*1\r\n$4\r\nQUIT\r\n"


@pytest.fixture
async def listener(shared_lab: Lab) -> AsyncIterator[Listener]:
    shared_lab.forget()
    made = Listener(shared_lab)
    yield made
    made.close()
    shared_lab.router.decide(None)


async def freeze(lab: Lab, listener: Listener, fate: Fate, count: int) -> list[Pair]:
    """Connections whose servers end them in a freeze."""
    lab.router.decide(Conditions(fates=Fates(default=fate)))
    pairs = await listener.pairs(count)
    await lab.hold(NAME)
    for pair in pairs:
        pair.end("rst")
    await lab.turn()
    await lab.release(NAME)
    return pairs


def probe_soon(sock: socket.socket) -> None:
    """The kernel sends keep-alive probes from now on, the first one in a second."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)


@pytest.mark.parametrize(("fate", "answer"), [("lost", "rst"), ("blackhole", "nothing")])
async def test_how_much_was_sent_is_told_and_whether_it_is_a_request(shared_lab: Lab, listener: Listener, fate: Fate, answer: str) -> None:
    said = (REQUEST, GET, QUIT, b"")
    pairs = await freeze(shared_lab, listener, fate, len(said))
    for number, (pair, data) in enumerate(zip(pairs, said, strict=True), 1):
        before = time.time()
        if data:
            pair.near.send(data)
        else:
            pair.near.shutdown(socket.SHUT_WR)
        after = time.time()
        event = (await shared_lab.saw(FirstWriteAnswered, number))[-1]
        assert (event.answer, event.sent, event.farewell) == (answer, len(data), data in (QUIT, b""))
        assert before - 0.05 <= event.at <= after + 0.05, "it is known when, not only that"


async def test_a_probe_into_a_black_hole_is_not_the_first_write(shared_lab: Lab, listener: Listener) -> None:
    (pair,) = await freeze(shared_lab, listener, "blackhole", 1)
    (first,) = await listener.pairs(1)
    probe_soon(pair.near)
    probe_soon(first.near)
    probes = _counted(pair.near)
    while _counted(pair.near) == probes:
        await shared_lab.turn()
    pair.near.send(GET)
    (event,) = await shared_lab.saw(FirstWriteAnswered)
    assert (event.answer, event.sent) == ("nothing", len(GET))


def _counted(sock: socket.socket) -> int:
    """Segments that a socket has sent (`tcp_info.tcpi_segs_out`, `linux/tcp.h`)."""
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)[136:140], sys.byteorder)


async def test_of_more_than_can_be_watched_resets_are_told_of_all(shared_lab: Lab, listener: Listener) -> None:
    at_once, count = 50, MAX_PORTS + 60
    pairs = await freeze(shared_lab, listener, "lost", count)
    for begin in range(0, count, at_once):
        group = pairs[begin : begin + at_once]
        for pair in group:
            pair.near.send(GET)
        events = await shared_lab.saw(FirstWriteAnswered, begin + at_once)
    told = [event.sent for event in events]
    assert told.count(len(GET)) >= MAX_PORTS and set(told) <= {len(GET), None}
