"""Freezing the network of an environment, in the real kernel: what its connections meet afterwards.

No processes are frozen here. The environment's sockets are the test's, which keeps still between `hold` and `release`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from frostline.core.conditions import Conditions
from frostline.core.events import ConnectionClosed, ConnectionLost, ConnectionOpened, ConnectionRefused, FirstWriteAnswered, NetworkRestored
from frostline.core.fates import Fate, Fates, parse
from frostline.sandbox.router import HOST_ADDRESS
from tests.sandbox.router.conftest import LIMIT_S, Lab
from tests.sandbox.router.pairs import (
    NAME,
    SILENCE_S,
    TCP_CLOSE,
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    TIMES,
    End,
    Listener,
    Pair,
    until,
    write_and_read,
)
from tests.sandbox.router.test_egress import ask, connect

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
]


@pytest.fixture
async def listener(shared_lab: Lab) -> AsyncIterator[Listener]:
    shared_lab.forget()
    made = Listener(shared_lab)
    yield made
    made.close()
    shared_lab.router.decide(None)


MET: dict[tuple[Fate, End], bytes | type[BaseException]] = {
    ("lost", "fin"): ConnectionResetError,
    ("lost", "rst"): ConnectionResetError,
    ("survive", "fin"): b"",
    ("survive", "rst"): ConnectionResetError,
    ("fin_delivered", "fin"): b"",
    ("fin_delivered", "rst"): ConnectionResetError,
    ("blackhole", "fin"): TimeoutError,
    ("blackhole", "rst"): TimeoutError,
}


@pytest.mark.parametrize("wait_s", [0.0, 2.0], ids=["at once", "2 s later"])
async def test_each_fate_is_met_thirty_times_of_thirty_whenever_the_first_write_comes(shared_lab: Lab, wait_s: float) -> None:
    shared_lab.forget()
    listeners = {each: Listener(shared_lab) for each in MET}
    shared_lab.router.decide(Conditions(fates=parse(f"localhost:{listener.port}={fate}" for (fate, _), listener in listeners.items())))
    pairs = {each: await listener.pairs() for each, listener in listeners.items()}
    await shared_lab.saw(ConnectionOpened, len(MET) * TIMES)
    await shared_lab.hold(NAME)
    for (_, how), group in pairs.items():
        for pair in group:
            pair.end(how)
    await asyncio.sleep(0.05)
    await shared_lab.release(NAME)
    await asyncio.sleep(wait_s)
    for each, group in pairs.items():
        limit_s = SILENCE_S if MET[each] is TimeoutError else LIMIT_S
        assert await asyncio.gather(*(write_and_read(pair, limit_s) for pair in group)) == [MET[each]] * TIMES, each
    for listener in listeners.values():
        listener.close()
    shared_lab.router.decide(None)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_lost_end_is_told_by_nobody_until_the_first_write(shared_lab: Lab, listener: Listener, how: End) -> None:
    pairs = await listener.pairs()
    await shared_lab.hold(NAME)
    for pair in pairs:
        pair.end(how)
    await asyncio.sleep(0.05)
    assert {pair.state for pair in pairs} == {TCP_ESTABLISHED}
    await shared_lab.release(NAME)
    await asyncio.sleep(0.1)
    assert {pair.state for pair in pairs} == {TCP_ESTABLISHED}, "nothing tells the environment before it writes"
    assert [await write_and_read(pair) for pair in pairs] == [ConnectionResetError] * TIMES
    closed = await shared_lab.saw(ConnectionClosed, TIMES)
    assert {(event.by, event.how, event.frozen, event.reached) for event in closed} == {("peer", how, True, "never")}
    assert len(await shared_lab.saw(ConnectionLost, TIMES)) == TIMES
    answers = await shared_lab.saw(FirstWriteAnswered, TIMES)
    assert {event.answer for event in answers} == {"rst"}
    assert {event.connection for event in answers} == {event.connection for event in closed}
    (restored,) = await shared_lab.saw(NetworkRestored)
    assert (restored.fins + restored.resets, restored.lost, restored.drained) == (TIMES, TIMES, True)


async def test_an_end_behind_data_is_lost_with_the_data(shared_lab: Lab, listener: Listener) -> None:
    pairs = await listener.pairs(5)
    await shared_lab.hold(NAME)
    for pair in pairs:
        pair.far.sendall(b"goodbye")
        pair.end("fin")
    await asyncio.sleep(0.05)
    await shared_lab.release(NAME)
    assert [await write_and_read(pair) for pair in pairs] == [ConnectionResetError] * 5


@pytest.mark.parametrize(("how", "state"), [("fin", TCP_CLOSE_WAIT), ("rst", TCP_CLOSE)])
async def test_fin_delivered_reaches_the_frozen_environments_kernel(shared_lab: Lab, listener: Listener, how: End, state: int) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="fin_delivered")))
    pairs = await listener.pairs()
    await shared_lab.hold(NAME)
    for pair in pairs:
        pair.end(how)
    await until(lambda: {pair.state for pair in pairs} == {state})
    await shared_lab.release(NAME)
    closed = await shared_lab.saw(ConnectionClosed, TIMES)
    assert {(event.by, event.how, event.frozen, event.reached) for event in closed} == {("peer", how, True, "at_once")}


@pytest.mark.parametrize("fate", ["survive", "lost", "fin_delivered"])
async def test_what_a_living_peer_sent_meanwhile_arrives(shared_lab: Lab, listener: Listener, fate: Fate) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default=fate)))
    pairs = await listener.pairs(5)
    await shared_lab.hold(NAME)
    for pair in pairs:
        pair.far.sendall(b"news")
    if fate != "fin_delivered":
        await asyncio.sleep(0.05)
        for pair in pairs:
            with pytest.raises(BlockingIOError):
                pair.near.recv(1)
    before = retransmissions(shared_lab)
    await shared_lab.release(NAME)
    assert [await pair.read() for pair in pairs] == [b"news"] * 5
    assert retransmissions(shared_lab) == before, "nothing waited for one"
    for pair in pairs:
        question = asyncio.create_task(pair.answer())  # noqa: TID251 - a test's
        await pair.write()
        assert await pair.read() == b"answer"
        await question
    assert {event.answer for event in await shared_lab.saw(FirstWriteAnswered, 5)} == {"data"}


def retransmissions(lab: Lab) -> int:
    """Segments that the router's kernel has sent again, to whomever."""
    names, values = (
        line.split()
        for line in Path(f"/proc/{lab.router._helpers['lab'].pid}/net/snmp").read_text().splitlines()
        if line.startswith("Tcp:")
    )
    return int(values[names.index("RetransSegs")])


async def test_with_survive_an_end_arrives_after_the_thaw(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="survive")))
    pairs = await listener.pairs()
    await shared_lab.hold(NAME)
    for pair in pairs:
        pair.end("fin")
    await asyncio.sleep(0.05)
    assert {pair.state for pair in pairs} == {TCP_ESTABLISHED}
    await shared_lab.release(NAME)
    assert [await pair.read() for pair in pairs] == [b""] * TIMES
    assert {event.reached for event in await shared_lab.saw(ConnectionClosed, TIMES)} == {"after_thaw"}


async def test_a_black_hole_swallows_everything_both_ways(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="blackhole")))
    pairs = await listener.pairs()
    await shared_lab.hold(NAME)
    for pair in pairs[:10]:
        pair.end("fin")
    await shared_lab.release(NAME)
    for pair in pairs[10:]:
        pair.far.sendall(b"news")
    answers = await asyncio.gather(*(write_and_read(pair, SILENCE_S) for pair in pairs))
    assert answers == [TimeoutError] * TIMES
    for pair in pairs[10:]:
        with pytest.raises(BlockingIOError):
            pair.far.recv(1)
    fresh = await listener.pair()
    question = asyncio.create_task(fresh.answer())  # noqa: TID251 - a test's
    await fresh.write()
    assert await fresh.read() == b"answer", "what is opened after the thaw is well"
    await question
    assert {event.answer for event in await shared_lab.saw(FirstWriteAnswered, TIMES)} == {"nothing"}


async def test_fates_go_by_the_name_that_was_looked_up(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=parse(["survive", f"host.docker.internal:{listener.port}=blackhole"])))
    await ask(shared_lab.environments[0], "host.docker.internal")
    pair = await listener.pair()
    opened = (await shared_lab.saw(ConnectionOpened))[-1]
    assert (opened.host, opened.address, opened.port, opened.fate) == ("host.docker.internal", HOST_ADDRESS, listener.port, "blackhole")
    assert opened.local_port == pair.near.getsockname()[1]
    await shared_lab.hold(NAME)
    await shared_lab.release(NAME)
    assert await write_and_read(pair, SILENCE_S) is TimeoutError


async def test_healthy_connections_survive_two_hundred_freezes_under_load(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="survive")))
    pairs = await listener.pairs(4)
    stop = asyncio.Event()
    answers = [0] * len(pairs)

    async def serve(pair: Pair) -> None:
        while not stop.is_set():
            await pair.answer()

    async def call(number: int) -> None:
        while not stop.is_set():
            await pairs[number].write()
            assert await pairs[number].read() == b"answer"
            answers[number] += 1

    servers = [asyncio.create_task(serve(pair)) for pair in pairs]  # noqa: TID251 - a test's
    callers = [asyncio.create_task(call(number)) for number in range(len(pairs))]  # noqa: TID251 - a test's
    for number in range(200):
        await shared_lab.hold(NAME)
        await asyncio.sleep(0.002)
        await shared_lab.release(NAME)
        await until(lambda: min(answers) > number or any(caller.done() for caller in callers))  # noqa: B023 - it is called here
    stop.set()
    await asyncio.gather(*callers)
    for server in servers:
        server.cancel()
    await asyncio.gather(*servers, return_exceptions=True)
    assert not [event for event in shared_lab.seen if isinstance(event, ConnectionClosed | ConnectionLost)]


async def test_what_was_sent_before_the_freeze_reaches_the_server_during_it(shared_lab: Lab, listener: Listener) -> None:
    pair = await listener.pair()
    pair.near.send(b"last words")
    await shared_lab.hold(NAME)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(pair.far, 100), LIMIT_S) == b"last words"
    pair.near.send(b"not from a frozen one")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(pair.far, 100), 0.1)
    await shared_lab.release(NAME)
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(pair.far, 100), LIMIT_S) == b"not from a frozen one"


async def test_a_server_that_reads_nothing_holds_up_a_freeze_no_longer_than_the_drain_limit(shared_lab: Lab, listener: Listener) -> None:
    pair = await listener.pair()
    await fill(shared_lab, pair)
    began = time.monotonic()
    await shared_lab.hold(NAME)
    assert time.monotonic() - began > 0.2, "it is waited for"
    await shared_lab.release(NAME)
    assert not (await shared_lab.saw(NetworkRestored))[-1].drained


async def test_keep_alive_probes_are_answered_in_a_freeze(shared_lab: Lab, listener: Listener) -> None:
    """Go's sockets have them every 15 s, and are given up after nine: a frozen environment would lose every connection after 150 s."""
    pair = await listener.pair()
    pair.near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1)):
        pair.near.setsockopt(socket.IPPROTO_TCP, option, value)
    await shared_lab.hold(NAME)
    await asyncio.sleep(3.5)
    assert pair.state == TCP_ESTABLISHED
    await shared_lab.release(NAME)
    question = asyncio.create_task(pair.answer())  # noqa: TID251 - a test's
    await pair.write()
    assert await pair.read() == b"answer"
    await question


async def test_a_hold_that_is_called_off_is_not_answered_and_harms_nothing(shared_lab: Lab, listener: Listener) -> None:
    pair, clogged = await listener.pair(), await listener.pair()
    await fill(shared_lab, clogged)
    held: list[bool] = []
    for _ in range(20):
        shared_lab.router.hold(NAME, lambda: held.append(True))
        await shared_lab.release(NAME)
    assert held == []
    question = asyncio.create_task(pair.answer())  # noqa: TID251 - a test's
    await pair.write()
    assert await pair.read() == b"answer"
    await question


async def test_an_environment_that_goes_while_frozen_leaves_nothing(shared_lab: Lab, listener: Listener) -> None:
    namespace = await shared_lab.environment("mayfly")
    near = await connect(namespace, listener.port)
    far, _ = await asyncio.get_running_loop().sock_accept(listener._sock)
    far.setblocking(False)
    await shared_lab.hold("mayfly")
    shared_lab.router.detach("mayfly")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(far, 1), 5)
    near.close()
    far.close()
    await shared_lab.release("mayfly")


async def test_a_destination_that_refuses_is_recorded(shared_lab: Lab, listener: Listener) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with contextlib.suppress(ConnectionResetError):
            (await connect(shared_lab.environments[0], port)).close()
        (refused,) = await shared_lab.saw(ConnectionRefused)
    assert (refused.port, refused.reason) == (port, "Connection refused")


async def fill(lab: Lab, pair: Pair) -> None:
    """Send until every buffer on the way is full: until nothing fits although the router has had turn after turn to make room."""
    turns = 0
    while turns < 10:
        try:
            pair.near.send(bytes(1 << 20))
            turns = 0
        except BlockingIOError:
            await lab.turn()
            turns += 1
