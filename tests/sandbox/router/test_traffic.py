"""What is told of the bytes that go over connections: bursts, PINGs, what waited in a freeze, and by which clock."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.conditions import Conditions
from frostline.core.events import ConnectionClosed, ConnectionOpened, ConnectionTraffic, NetworkRestored
from frostline.core.fates import Fates
from frostline.sandbox.router.relay import Side
from frostline.sandbox.router.traffic import LONGEST_S, PING_EVERY_S, PREFACE, QUIET_S, Traffic, pings
from tests.sandbox.router.conftest import Lab
from tests.sandbox.router.pairs import NAME, Listener

pytestmark = pytest.mark.asyncio(loop_scope="module")
linux = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

PING = bytes.fromhex("000008 06 00 00000000") + b"12345678"
ACK = bytes.fromhex("000008 06 01 00000000") + b"12345678"
DATA = bytes.fromhex("000005 00 01 00000003") + b"hello"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (PING, ["ping"]),
        (ACK, ["ping_ack"]),
        (DATA + PING + DATA, ["ping"]),
        (ACK + PING, ["ping_ack", "ping"]),
        (DATA, []),
        (b"", []),
        (PING[:-1], []),
        (PING + b"x", []),
        (PING[:8], []),
        (PING.replace(b"\x06", b"\x07"), []),
        (b"GET / HTTP/1.1\r\n\r\n", []),
    ],
)
async def test_pings_are_found_in_whole_frames_only(data: bytes, found: list[str]) -> None:
    assert pings(data) == found


@given(st.binary(max_size=100))
async def test_whatever_bytes_there_are_pings_are_looked_for_to_their_end(data: bytes) -> None:
    assert len(pings(data)) <= len(data) // 17


class Watch:
    """Traffic on a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[ConnectionTraffic] = []
        self.traffic = Traffic("e", 1, lambda: self.now, self.told.append)

    def pass_on(self, side: Side, data: bytes, after_s: float = 0.0) -> None:
        self.now += after_s
        self.traffic.passed(side, memoryview(data))


async def test_a_server_may_speak_first() -> None:
    """HTTP/2's may send its SETTINGS before the client's preface is there."""
    watch = Watch()
    watch.pass_on("peer", bytes.fromhex("000000 04 00 00000000"))
    watch.pass_on("environment", PREFACE)
    watch.pass_on("environment", PING, 5.0)
    assert [burst.kind for burst in watch.told if burst.sent and burst.at > 104] == ["ping"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("environment", "peer")),
            st.sampled_from((PING, ACK, b"x", bytes(5000))),
            st.sampled_from((0, 0.001, 0.04, 0.2)),
        ),
        max_size=300,
    )
)
async def test_every_byte_is_told_once_and_little_is_said(steps: list[tuple[Side, bytes, float]]) -> None:
    watch = Watch()
    watch.pass_on("environment", PREFACE)
    for side, data, after_s in steps:
        watch.pass_on(side, data, after_s)
    watch.traffic.close()
    sent = len(PREFACE) + sum(len(data) for side, data, _ in steps if side == "environment")
    assert sum(event.sent for event in watch.told) == sent
    assert sum(event.received for event in watch.told) == sum(len(data) for side, data, _ in steps if side == "peer")
    assert all(0 <= event.until - event.at < LONGEST_S for event in watch.told)
    lasted = watch.now - 100
    assert len([event for event in watch.told if event.kind != "data"]) <= 1 + lasted / PING_EVERY_S
    assert len([event for event in watch.told if event.kind == "data"]) <= 2 + lasted / QUIET_S


async def test_seventeen_bytes_that_look_like_a_ping_are_none_without_http_2() -> None:
    watch = Watch()
    watch.pass_on("environment", b"hello")
    watch.pass_on("environment", PING)
    watch.traffic.close()
    assert [(event.kind, event.sent) for event in watch.told] == [("data", 22)]


async def test_what_waited_is_not_told_again_when_it_goes_on() -> None:
    watch = Watch()
    watch.pass_on("environment", PREFACE)
    watch.traffic.flush()
    watch.now = 200.0
    watch.traffic.waited(17, ACK, 150.0)
    watch.pass_on("peer", ACK + b"more")
    watch.traffic.close()
    waited, more = watch.told[1:]
    assert (waited.kind, waited.while_frozen, waited.at, waited.until, waited.received) == ("ping_ack", True, 150.0, 200.0, 17)
    assert (more.kind, more.while_frozen, more.received) == ("data", False, 4)


# In the kernel ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def listener(shared_lab: Lab) -> AsyncIterator[Listener]:
    shared_lab.forget()
    made = Listener(shared_lab)
    yield made
    made.close()
    shared_lab.router.decide(None)
    shared_lab.router.observe(time.time() - time.monotonic(), recording=False)


async def exchange(listener: Listener) -> None:
    pair = await listener.pair()
    loop = asyncio.get_running_loop()
    await pair.write(b"question")
    assert await asyncio.wait_for(loop.sock_recv(pair.far, 100), 5) == b"question"
    await loop.sock_sendall(pair.far, bytes(1000))
    assert len(await asyncio.wait_for(loop.sock_recv(pair.near, 2000), 5)) == 1000


async def until_told(lab: Lab, sent: int, received: int) -> list[ConnectionTraffic]:
    """Wait until bursts of so many bytes have been told; how many bursts they are depends on the machine's haste."""
    count = 1
    while True:
        bursts = await lab.saw(ConnectionTraffic, count)
        if (sum(event.sent for event in bursts), sum(event.received for event in bursts)) == (sent, received):
            return bursts
        count = len(bursts) + 1


@linux
async def test_bursts_are_told_when_somebody_records_and_not_otherwise(shared_lab: Lab, listener: Listener) -> None:
    await exchange(listener)
    shared_lab.router.observe(time.time() - time.monotonic(), recording=True)
    await exchange(listener)
    await exchange(listener)
    opened = [event.connection for event in await shared_lab.saw(ConnectionOpened, 3)]
    bursts = await until_told(shared_lab, 16, 2000)
    assert {event.kind for event in bursts} == {"data"}
    for connection in opened:
        own = [event for event in bursts if event.connection == connection]
        expected = (0, 0) if connection == opened[0] else (8, 1000)
        assert (sum(event.sent for event in own), sum(event.received for event in own)) == expected
    assert (await shared_lab.saw(ConnectionOpened, 3))[0].dialed_s > 0


@linux
async def test_times_are_those_of_the_clock_that_was_handed_over(shared_lab: Lab, listener: Listener) -> None:
    offset = 5_000_000.0
    shared_lab.router.observe(offset, recording=True)
    before = time.monotonic() + offset
    await exchange(listener)
    await shared_lab.hold(NAME)
    await shared_lab.release(NAME)
    (opened,), bursts = await shared_lab.saw(ConnectionOpened), await until_told(shared_lab, 8, 1000)
    (restored,) = await shared_lab.saw(NetworkRestored)
    after = time.monotonic() + offset
    for burst in bursts:
        assert before <= opened.at <= burst.at <= burst.until <= restored.at <= after


@linux
@pytest.mark.parametrize("ended", [False, True])
async def test_what_came_while_frozen_is_told_with_when_it_came_and_when_it_went_on(
    shared_lab: Lab, listener: Listener, ended: bool
) -> None:
    offset = time.time() - time.monotonic()
    shared_lab.router.decide(Conditions(fates=Fates(default="survive")))
    shared_lab.router.observe(offset, recording=True)
    pair = await listener.pair()
    await pair.write(PREFACE)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(pair.far, 100), 5) == PREFACE
    await shared_lab.hold(NAME)
    frozen_at = time.monotonic() + offset
    pair.far.sendall(ACK)
    if ended:
        pair.end("fin")
    await shared_lab.turn()
    thawed_at = time.monotonic() + offset
    await shared_lab.release(NAME)
    assert await pair.read() == ACK
    first, waited = await shared_lab.saw(ConnectionTraffic, 2)
    (restored,) = await shared_lab.saw(NetworkRestored)
    assert (first.sent, first.while_frozen) == (len(PREFACE), False)
    assert (waited.kind, waited.received, waited.while_frozen) == ("ping_ack", 17, True)
    assert frozen_at <= waited.at <= thawed_at <= waited.until <= restored.at
    if ended:
        (closed,) = await shared_lab.saw(ConnectionClosed)
        assert (closed.reached, closed.retransmitted) == ("after_thaw", 0)
    await asyncio.sleep(2 * QUIET_S)
    assert len(await shared_lab.saw(ConnectionTraffic, 2)) == 2, "it is not told twice"


@linux
async def test_a_long_transfer_is_told_in_few_words(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.observe(time.time() - time.monotonic(), recording=True)
    pair = await listener.pair()
    loop = asyncio.get_running_loop()
    total = 64 << 20
    began = time.monotonic()
    sending = asyncio.create_task(loop.sock_sendall(pair.far, bytes(total)))  # noqa: TID251 - a test's
    received = 0
    while received < total:
        received += len(await loop.sock_recv(pair.near, 1 << 20))
    await sending
    lasted = time.monotonic() - began
    bursts = await until_told(shared_lab, 0, total)
    assert len(bursts) <= 2 + 20 * lasted
