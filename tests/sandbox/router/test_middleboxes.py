"""Paths that are forgotten while a connection is idle, in the real kernel: what both ends meet afterwards."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from frostline.core.conditions import Conditions
from frostline.core.events import ConnectionClosed, ConnectionLost, ConnectionOpened, FirstWriteAnswered, NetworkRestored, PathExpired
from frostline.core.fates import Fate, Fates
from frostline.core.middlebox import Then, parse
from frostline.sandbox.router.client import Router
from frostline.sandbox.router.hosts import LabHost, LabPort
from tests.sandbox.router.conftest import LIMIT_S, Lab
from tests.sandbox.router.machine import Machine
from tests.sandbox.router.pairs import (
    NAME,
    SILENCE_S,
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    Listener,
    Pair,
    until,
    write_and_read,
)
from tests.sandbox.router.test_egress import connect

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
]

COUNT = 5
IDLE_S = 0.3


@pytest.fixture
async def listener(shared_lab: Lab) -> AsyncIterator[Listener]:
    shared_lab.forget()
    made = Listener(shared_lab)
    yield made
    made.close()
    shared_lab.router.decide(None)


def conditions(then: Then, fate: Fate = "lost", idle_s: float = IDLE_S) -> Conditions:
    return Conditions(fates=Fates(default=fate), middleboxes=parse([f"idle={idle_s},then={then}"]))


async def served(pair: Pair) -> bytes:
    """A question, answered."""
    question = asyncio.create_task(pair.answer())  # noqa: TID251 - a test's
    await pair.write()
    answer = await pair.read()
    await question
    return answer


# While functions run ---------------------------------------------------------------------------------------------------------------------


async def test_rst_answers_who_sends_next_and_nobody_before(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(conditions("rst"))
    pairs = await listener.pairs(COUNT)
    expired = await shared_lab.saw(PathExpired, COUNT)
    assert {(event.middlebox, event.idle_s, event.then) for event in expired} == {(f"idle={IDLE_S},then=rst", IDLE_S, "rst")}
    await asyncio.sleep(0.05)
    assert {pair.state for pair in pairs} == {TCP_ESTABLISHED}
    assert [await write_and_read(pair) for pair in pairs] == [ConnectionResetError] * COUNT
    closed = await shared_lab.saw(ConnectionClosed, COUNT)
    assert {(event.by, event.how, event.frozen, event.reached) for event in closed} == {("middlebox", "rst", False, "at_once")}
    answers = await shared_lab.saw(FirstWriteAnswered, COUNT)
    assert {event.answer for event in answers} == {"rst"}
    assert all(event.idle_s is not None and IDLE_S < event.idle_s < 5 for event in answers)
    for pair in pairs:
        with pytest.raises(BlockingIOError):
            pair.far.recv(1)  # the server knows nothing of all this


async def test_fin_tells_both_ends(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(conditions("fin"))
    pairs = await listener.pairs(COUNT)
    for pair in pairs:
        assert await pair.read() == b""
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(pair.far, 1), LIMIT_S) == b""
    closed = await shared_lab.saw(ConnectionClosed, COUNT)
    assert {(event.by, event.how, event.frozen, event.reached) for event in closed} == {("middlebox", "fin", False, "at_once")}


async def test_silence_drops_what_either_end_sends(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(conditions("silence"))
    pairs = await listener.pairs(COUNT)
    await shared_lab.saw(PathExpired, COUNT)
    for pair in pairs:
        pair.far.sendall(b"news")
    assert await asyncio.gather(*(write_and_read(pair, SILENCE_S) for pair in pairs)) == [TimeoutError] * COUNT
    for pair in pairs:
        with pytest.raises(BlockingIOError):
            pair.far.recv(1)
    assert {event.answer for event in await shared_lab.saw(FirstWriteAnswered, COUNT)} == {"nothing"}
    assert not [event for event in shared_lab.seen if isinstance(event, ConnectionClosed)]


async def test_a_connection_that_is_used_is_not_forgotten(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(conditions("rst", idle_s=2))
    pair = await listener.pair()
    for _ in range(10):
        await asyncio.sleep(0.25)
        assert await served(pair) == b"answer"
    assert not [event for event in shared_lab.seen if isinstance(event, PathExpired)]
    await shared_lab.saw(PathExpired)


async def test_keep_alive_probes_count_where_packets_are_passed_on_and_end_at_a_proxy(shared_lab: Lab, listener: Listener) -> None:
    proxied = Listener(shared_lab)
    shared_lab.router.decide(Conditions(middleboxes=parse(["idle=2,then=rst", f"localhost:{proxied.port}=idle=2,then=fin"])))
    pair = await listener.pair()
    near = await connect(shared_lab.environments[0], proxied.port)
    for sock in (pair.near, near):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    await asyncio.sleep(3.5)
    assert [event.then for event in shared_lab.seen if isinstance(event, PathExpired)] == ["fin"]
    assert await served(pair) == b"answer"
    near.close()
    proxied.close()


# While an environment is frozen ----------------------------------------------------------------------------------------------------------

Met = bytes | type[BaseException]


@pytest.mark.parametrize(
    ("then", "fate", "met", "taken"),
    [
        ("rst", "lost", ConnectionResetError, "lost"),
        ("rst", "survive", ConnectionResetError, "lost"),
        ("rst", "blackhole", TimeoutError, "blackhole"),
        ("fin", "lost", ConnectionResetError, "lost"),
        ("fin", "survive", b"", None),
        ("fin", "blackhole", TimeoutError, "blackhole"),
        ("silence", "lost", TimeoutError, "blackhole"),
        ("silence", "survive", TimeoutError, "blackhole"),
    ],
)
async def test_what_the_first_write_after_a_freeze_meets_on_a_path_that_died_in_it(
    shared_lab: Lab, listener: Listener, then: Then, fate: Fate, met: Met, taken: str | None
) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default=fate)))
    pairs = await listener.pairs(COUNT)
    await shared_lab.hold(NAME)
    shared_lab.router.decide(conditions(then, fate))
    await shared_lab.saw(PathExpired, COUNT)
    await asyncio.sleep(0.05)
    assert {pair.state for pair in pairs} == {TCP_ESTABLISHED}, "nobody tells the frozen environment"
    await shared_lab.release(NAME)
    if met == b"":
        assert [await pair.read() for pair in pairs] == [b""] * COUNT
    else:
        limit_s = SILENCE_S if met is TimeoutError else LIMIT_S
        assert await asyncio.gather(*(write_and_read(pair, limit_s) for pair in pairs)) == [met] * COUNT
    (restored,) = await shared_lab.saw(NetworkRestored)
    assert (restored.lost, restored.black_holed, restored.fins) == (COUNT * (taken == "lost"), COUNT * (taken == "blackhole"), 0)
    if taken is not None:
        lost = await shared_lab.saw(ConnectionLost, COUNT)
        assert {(event.fate, event.by, event.ended_at is not None) for event in lost} == {(taken, "middlebox", True)}
        assert {event.answer for event in await shared_lab.saw(FirstWriteAnswered, COUNT)} == {"rst" if taken == "lost" else "nothing"}
    if then == "fin":
        closed = await shared_lab.saw(ConnectionClosed, COUNT)
        assert {(event.by, event.frozen, event.reached) for event in closed} == {("middlebox", True, "never" if taken else "after_thaw")}


async def test_with_fin_delivered_the_frozen_environments_kernel_is_told(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="fin_delivered")))
    pairs = await listener.pairs(COUNT)
    await shared_lab.hold(NAME)
    shared_lab.router.decide(conditions("fin", "fin_delivered"))
    await until(lambda: {pair.state for pair in pairs} == {TCP_CLOSE_WAIT})
    closed = await shared_lab.saw(ConnectionClosed, COUNT)
    assert {(event.by, event.frozen, event.reached) for event in closed} == {("middlebox", True, "at_once")}
    await shared_lab.release(NAME)


async def test_what_ends_first_counts(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="survive")))
    early, late = await listener.pair(), await listener.pair()
    await shared_lab.hold(NAME)
    early.end("fin")
    await shared_lab.saw(ConnectionClosed)
    shared_lab.router.decide(conditions("rst", "survive"))
    await shared_lab.saw(PathExpired)
    late.end("fin")
    await asyncio.sleep(0.05)
    await shared_lab.release(NAME)
    assert await early.read() == b"", "the peer ended it before the path could be forgotten"
    assert await write_and_read(late) is ConnectionResetError, "its end found no path"
    assert len([event for event in shared_lab.seen if isinstance(event, PathExpired)]) == 1


async def test_what_a_peer_sends_to_a_frozen_environment_keeps_the_path(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(conditions("rst", "survive", idle_s=2))
    pair = await listener.pair()
    await shared_lab.hold(NAME)
    for _ in range(10):
        await asyncio.sleep(0.25)
        pair.far.sendall(b"x")
    assert not [event for event in shared_lab.seen if isinstance(event, PathExpired)]
    await shared_lab.release(NAME)
    assert await pair.read() == b"x" * 10


# Choosing --------------------------------------------------------------------------------------------------------------------------------


async def test_conditions_of_one_environment_go_before_everybodys(shared_lab: Lab, listener: Listener) -> None:
    """Its name is enough: it may be chosen before there is one."""
    shared_lab.router.decide(conditions("silence", "survive", idle_s=60))
    shared_lab.router.decide(conditions("rst", "blackhole", idle_s=60), "later")
    later = await shared_lab.environment("later")
    near = []
    for number, namespace in enumerate((shared_lab.environments[0], later), 1):
        near.append(await connect(namespace, listener.port))
        opened = await shared_lab.saw(ConnectionOpened, number)  # two that are dialed at once are opened in any order
    assert [(event.environment, event.fate, event.middlebox) for event in opened] == [
        (NAME, "survive", "idle=60,then=silence"),
        ("later", "blackhole", "idle=60,then=rst"),
    ]
    shared_lab.router.decide(None, "later")
    near.append(await connect(later, listener.port))
    assert (await shared_lab.saw(ConnectionOpened, 3))[-1].fate == "survive"
    for sock in near:
        sock.close()
    shared_lab.router.detach("later")


async def test_a_middlebox_that_is_put_on_the_path_of_an_open_connection(shared_lab: Lab, listener: Listener) -> None:
    pair = await listener.pair()
    await asyncio.sleep(0.1)
    shared_lab.router.decide(conditions("rst", idle_s=0.05))
    await shared_lab.saw(PathExpired)
    assert await write_and_read(pair) is ConnectionResetError


async def test_a_fate_that_is_chosen_during_a_freeze_counts_in_it_unless_it_was_met(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="survive")))
    ended, open_ = await listener.pair(), await listener.pair()
    await shared_lab.hold(NAME)
    ended.end("fin")
    await shared_lab.saw(ConnectionClosed)
    shared_lab.router.decide(Conditions(fates=Fates(default="blackhole")))
    await shared_lab.release(NAME)
    assert await ended.read() == b""
    assert await write_and_read(open_, SILENCE_S) is TimeoutError


async def test_fin_delivered_that_is_chosen_during_a_freeze_counts_in_it(shared_lab: Lab, listener: Listener) -> None:
    pair = await listener.pair()
    await shared_lab.hold(NAME)
    pair.far.sendall(b"x")
    await asyncio.sleep(0.05)
    with pytest.raises(BlockingIOError):
        pair.near.recv(1)
    shared_lab.router.decide(Conditions(fates=Fates(default="fin_delivered")))
    assert await pair.read() == b"x"
    pair.end("fin")
    await until(lambda: pair.state == TCP_CLOSE_WAIT)
    await shared_lab.release(NAME)
    assert {event.reached for event in await shared_lab.saw(ConnectionClosed)} == {"at_once"}


async def test_a_fate_in_the_place_of_fin_delivered_holds_what_comes(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(fates=Fates(default="fin_delivered")))
    pair = await listener.pair()
    await shared_lab.hold(NAME)
    pair.far.sendall(b"x")
    assert await pair.read() == b"x"
    shared_lab.router.decide(Conditions(fates=Fates(default="survive")))
    await shared_lab.turn()
    pair.far.sendall(b"y")
    await asyncio.sleep(0.05)
    with pytest.raises(BlockingIOError):
        pair.near.recv(1)
    await shared_lab.release(NAME)
    assert await pair.read() == b"y"


# Time that is made to pass ---------------------------------------------------------------------------------------------------------------


async def test_time_that_is_made_to_pass_counts_for_the_path(shared_lab: Lab, listener: Listener) -> None:
    shared_lab.router.decide(Conditions(middleboxes=parse(["nat-gateway"])))
    pair = await listener.pair()
    await shared_lab.hold(NAME)
    shared_lab.router.pass_time(NAME, 340)
    await shared_lab.release(NAME)
    assert await served(pair) == b"answer"
    (answered,) = await shared_lab.saw(FirstWriteAnswered)
    assert answered.idle_s == pytest.approx(340, abs=5)
    await shared_lab.hold(NAME)
    shared_lab.router.pass_time(NAME, 340)
    shared_lab.router.pass_time(NAME, 11)
    await shared_lab.saw(PathExpired)
    await shared_lab.release(NAME)
    assert await write_and_read(pair) is ConnectionResetError


@pytest.mark.parametrize(("idle_s", "first"), [(60.0, "peer"), (1000.0, "middlebox")])
async def test_the_path_and_the_peer_give_up_in_the_right_order(machine: Machine, idle_s: float, first: str) -> None:
    """The lab knows the limits of its own hosts."""
    lab = Lab(machine)
    listener = Listener(lab)
    port = LabPort(port=80, machine_port=listener.port, idle_s=idle_s)
    lab.router = Router(lab._on_lost, None, lab._on_seen, hosts=(LabHost(name="peer.test", address="198.19.64.1", ports=(port,)),))
    await lab.router.open(machine.spawn)
    namespace = await lab.environment(NAME)
    lab.router.decide(Conditions(fates=Fates(default="survive"), middleboxes=parse(["nat-gateway"])))
    near = await connect(namespace, 80, "198.19.64.1")
    await lab.saw(ConnectionOpened)
    await lab.hold(NAME)
    lab.router.pass_time(NAME, 2000)
    await lab.release(NAME)
    pair = Pair(near, near)
    assert await (pair.read() if first == "peer" else write_and_read(pair)) == (b"" if first == "peer" else ConnectionResetError)
    (closed,) = await lab.saw(ConnectionClosed)
    assert (closed.by, len([event for event in lab.seen if isinstance(event, PathExpired)])) == (first, first == "middlebox")
    near.close()
    listener.close()
    await lab.router.close()
