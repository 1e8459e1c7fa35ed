"""The contract: what every adapter does, whatever its client. Subjects are in `subjects/`, one module a client library."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.thawsafe.fate_proxy import FATES, Fate, FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.subject import Client, Server, Subject
from thawsafe import Configuration, lambda_, laptop
from thawsafe._runtime import deadline
from thawsafe._runtime.deadline import set_for_process
from thawsafe._runtime.journal import JOURNAL
from thawsafe._runtime.watch import WATCH
from thawsafe.adapters import _grpc

SUBJECTS: list[Subject] = [
    subject
    for path in sorted((Path(__file__).parent / "subjects").glob("*.py"))
    for subject in import_module(f"tests.thawsafe.subjects.{path.stem}").SUBJECTS
]

IMPATIENT = lambda_().replace(request_timeout=20.0, connect_timeout=20.0)
"""A black hole that is not avoided takes 20 s; nothing else takes half of that, however busy the machine is."""


class World:
    """A subject's server, the proxy before it, and the clocks."""

    def __init__(self, subject: Subject, server: Server, proxy: FateProxy, clocks: Clocks) -> None:
        self.subject = subject
        self.server = server
        self.proxy = proxy
        self.clocks = clocks
        self._clients: list[Client] = []

    def client(self, configuration: Configuration = IMPATIENT) -> Client:
        """A client that has made two requests, so that it holds one connection."""
        client = self.subject.connect(self.proxy.host, self.proxy.port, configuration)
        self._clients.append(client)
        for tag in ("first", "second"):
            client.call(tag, idempotent=True)
        assert self.proxy.accepted == 1
        return client

    def freeze(self, seconds: float, fate: Fate, *, marked: bool = True) -> None:
        """A freeze between two invocations, and the thaw."""
        self.proxy.freeze(fate)
        self.clocks.pass_(seconds)
        if marked:
            mark_invocation()

    def close(self) -> None:
        for client in self._clients:
            client.close()


def only(wanted: Callable[[Subject], bool]) -> pytest.MarkDecorator:
    """A law for some subjects."""
    return pytest.mark.parametrize("world", [*filter(wanted, SUBJECTS)], ids=lambda subject: subject.name, indirect=True)


@pytest.fixture(params=SUBJECTS, ids=lambda subject: subject.name)
def world(request: pytest.FixtureRequest, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    subject: Subject = request.param
    monkeypatch.setattr(_grpc, "SETTLE", 0.02)  # its threads may have to wait for a busy machine
    with subject.serve() as server:
        proxy = FateProxy("127.0.0.1", server.port)
        world = World(subject, server, proxy, clocks)
        yield world
        world.close()
        proxy.close()


@pytest.mark.parametrize("gap", [10.0, 400.0])
@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "not_idempotent"])
@pytest.mark.parametrize("fate", FATES)
def test_the_first_request_after_a_thaw_succeeds_and_is_seen_once(world: World, fate: Fate, idempotent: bool, gap: float) -> None:
    client = world.client()
    world.freeze(gap, fate)
    began = time.perf_counter()

    client.call("thaw", idempotent=idempotent)

    assert time.perf_counter() - began < 10.0, "a black hole was waited for"
    assert world.server.seen["thaw"] == 1
    assert world.proxy.accepted <= 2, "one new connection is what a dead one may cost"


@pytest.mark.parametrize("fate", FATES)
def test_a_thaw_that_nobody_marked_is_survived_too(world: World, fate: Fate) -> None:
    """Without a decorated handler, idleness alone has to do: on Lambda every clock runs on."""
    client = world.client()
    world.freeze(10.0, fate, marked=False)

    client.call("thaw", idempotent=False)

    assert world.server.seen["thaw"] == 1


def test_a_suspended_laptop_wakes_up_to_new_connections(world: World) -> None:
    client = world.client(laptop().replace(request_timeout=20.0))
    world.proxy.freeze("lost")
    world.clocks.suspend(30.0)

    client.call("awake", idempotent=False)

    assert world.server.seen["awake"] == 1


def test_a_restored_snapshot_has_no_connections(world: World) -> None:
    """Even when no clock tells: a snapshot's clocks may go on where they stopped."""
    client = world.client()
    world.proxy.freeze("lost")
    WATCH.restored()

    client.call("restored", idempotent=False)

    assert world.server.seen["restored"] == 1
    assert world.proxy.accepted == 2


def test_without_a_freeze_nothing_is_thrown_away(world: World) -> None:
    client = world.client()
    for number in range(20):
        client.call(f"hot-{number}", idempotent=False)

    assert world.proxy.accepted == 1


def test_connections_live_on_over_a_short_gap(world: World) -> None:
    """Invocations that follow one another share a connection: that is what it is kept for."""
    client = world.client()
    for number in range(5):
        world.freeze(0.3, "survive")
        client.call(f"next-{number}", idempotent=False)

    assert world.proxy.accepted == 1


def test_an_end_that_arrived_in_a_short_gap_is_seen(world: World) -> None:
    client = world.client()
    world.freeze(0.3, "fin_delivered")

    client.call("after-fin", idempotent=False)

    assert world.server.seen["after-fin"] == 1
    assert world.proxy.accepted == 2


@only(lambda subject: subject.probes)
def test_a_peer_that_can_be_asked_is_asked_and_kept(world: World, patient: None) -> None:
    client = world.client(IMPATIENT.replace(probe_timeout=5.0))
    before = JOURNAL.counters()
    world.freeze(10.0, "survive")

    client.call("asked", idempotent=False)

    assert world.proxy.accepted == 1
    assert JOURNAL.counters()["probed"] == before["probed"] + 1


@only(lambda subject: subject.probes)
def test_a_probe_that_hangs_is_given_up_soon(world: World) -> None:
    client = world.client(IMPATIENT.replace(probe_timeout=0.1))
    world.freeze(10.0, "blackhole")
    before = JOURNAL.counters().get("discarded_probe_failed", 0)
    began = time.perf_counter()

    client.call("hung", idempotent=False)

    assert time.perf_counter() - began < 10.0
    assert JOURNAL.counters()["discarded_probe_failed"] == before + 1


def test_a_wall_clock_that_is_set_back_harms_nothing(world: World) -> None:
    client = world.client()
    world.clocks.set_wall(-3600.0)

    client.call("earlier", idempotent=False)

    assert world.proxy.accepted == 1


def test_a_monotonic_clock_that_goes_back_is_another_machine(world: World) -> None:
    client = world.client()
    world.proxy.freeze("lost")
    world.clocks.monotonic -= 1e6

    client.call("elsewhere", idempotent=False)

    assert world.server.seen["elsewhere"] == 1


def test_with_a_limit_of_one_connection(world: World) -> None:
    """A discarded connection frees its place."""
    client = world.client(IMPATIENT.replace(connections_per_host=1, connections=1))
    for fate in FATES:
        world.freeze(10.0, fate)
        client.call(fate, idempotent=False)

    assert all(world.server.seen[fate] == 1 for fate in FATES)


@only(lambda subject: subject.crowds)
@pytest.mark.parametrize("fate", FATES)
def test_fifty_at_a_time_over_a_thaw(world: World, fate: Fate) -> None:
    patient = IMPATIENT.replace(connections_per_host=50, connections=50, request_timeout=20.0, connect_timeout=20.0)
    client = world.client(patient)
    client.call_many([f"before-{number}" for number in range(50)], idempotent=False)
    opened = world.proxy.accepted
    world.freeze(10.0, fate)
    tags = [f"after-{number}" for number in range(50)]

    client.call_many(tags, idempotent=False)

    assert [world.server.seen[tag] for tag in tags] == [1] * 50
    assert world.proxy.accepted <= opened + 50


@only(lambda subject: subject.forks)
def test_a_child_opens_its_own_connections(world: World) -> None:
    """Two processes that write to one connection mix up their answers."""
    client = world.client()
    child = os.fork()
    if child == 0:
        try:
            client.call("child", idempotent=False)
        except BaseException:  # noqa: BLE001 - whatever it is, the child must end here
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    client.call("parent", idempotent=False)

    assert os.waitstatus_to_exitcode(status) == 0
    assert world.server.seen["child"] == world.server.seen["parent"] == 1
    assert world.proxy.accepted == 2, "one for the parent, one for the child"


def test_a_request_fails_inside_the_invocation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer accepts and never answers; the invocation has eight seconds left, the client's own limit is ten."""
    monkeypatch.setattr(deadline, "RESERVE", 7.5)  # time that a busy machine may need, and a handler would like to have
    monkeypatch.setattr(deadline, "RESERVED_SHARE", 0.95)
    client = world.client(lambda_())
    world.freeze(10.0, "blackhole")
    world.proxy.deaf = True
    set_for_process(8.0)
    began = time.perf_counter()

    with pytest.raises(Exception):  # noqa: B017, PT011 - each client has its own name for it
        client.call("late", idempotent=False)

    assert time.perf_counter() - began < 8.0
