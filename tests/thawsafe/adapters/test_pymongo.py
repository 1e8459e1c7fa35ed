from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pymongo as bare
import pytest
from pymongo.errors import AutoReconnect, PyMongoError

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.servers.mongo import MongoServer
from tests.thawsafe.servers.tcp import running
from thawsafe import NO_RETRIES, UNLIMITED, counters, in_region, lambda_
from thawsafe._runtime.deadline import set_for_process
from thawsafe.adapters import pymongo


class MoodyServer(MongoServer):
    """Carries out what has `rude` for its tag, and closes the connection instead of answering; answers `slow` after a second."""

    def saw(self, tag: str) -> None:
        super().saw(tag)
        if tag == "rude":
            raise EOFError
        if tag == "slow":
            time.sleep(1.0)


@pytest.fixture
def server() -> Iterator[MoodyServer]:
    server = MoodyServer()
    with running(server):
        yield server


@pytest.fixture
def proxy(server: MoodyServer) -> Iterator[FateProxy]:
    proxy = FateProxy("127.0.0.1", server.port)
    yield proxy
    proxy.close()


def uri(proxy: FateProxy) -> str:
    """A standalone server, with monitors."""
    return f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_configuration_becomes_a_clients_options() -> None:
    options = pymongo._options(lambda_(), "mongodb://h/?maxPoolSize=7", {"socketTimeoutMS": 1})
    assert options == {
        "connectTimeoutMS": 5000,
        "serverSelectionTimeoutMS": 5000,
        "socketTimeoutMS": 1,
        "waitQueueTimeoutMS": 10_000,
        "maxIdleTimeMS": 50_000,
        "retryReads": True,
        "retryWrites": True,
        "serverMonitoringMode": "poll",
    }
    assert "serverMonitoringMode" not in pymongo._options(in_region(), None, {})
    unlimited = pymongo._options(lambda_().replace(request_timeout=UNLIMITED, connections_per_host=UNLIMITED, retries=NO_RETRIES), [], {})
    assert "socketTimeoutMS" not in unlimited
    assert (unlimited["maxPoolSize"], unlimited["retryReads"], unlimited["retryWrites"]) == (0, False, False)
    client: Any = pymongo.MongoClient("mongodb://h", connect=False)
    assert client.guard.configuration.idle_age == 240.0
    client.close()


def test_a_monitor_has_a_new_connection_after_a_freeze_too(proxy: FateProxy, server: MoodyServer, clocks: Clocks) -> None:
    """Else its failure would close every connection of the client, those in use too."""
    client: Any = pymongo.MongoClient(uri(proxy), configuration=lambda_())
    tags = client["d"]["tags"]
    tags.insert_one({"_id": "before"})
    assert proxy.accepted == 2
    proxy.freeze("blackhole")
    clocks.pass_(10.0)
    mark_invocation()
    hellos = server.hellos
    [monitored] = client._topology._servers.values()
    monitored.request_check()
    wait_for(lambda: server.hellos > hellos)

    tags.insert_one({"_id": "thaw"})

    assert server.seen["thaw"] == 1
    assert proxy.accepted == 4
    assert monitored.pool.gen.get_overall() == 0, "the pool was not cleared"
    client.close()


def test_connections_that_are_all_dead_are_not_asked_one_by_one(proxy: FateProxy, clocks: Clocks) -> None:
    client: Any = pymongo.MongoClient(f"mongodb://127.0.0.1:{proxy.port}/?loadBalanced=true", configuration=lambda_())
    client["d"]["tags"].insert_one({"_id": "before"})
    [monitored] = client._topology._servers.values()
    pool = monitored.pool
    held = [pool.checkout() for _ in range(4)]
    connections = [checkout.__enter__() for checkout in held]
    for checkout in held:
        checkout.__exit__(None, None, None)
    for connection in connections:
        connection.thawsafe.life.took = 0.2
    proxy.freeze("blackhole")
    clocks.pass_(10.0)
    mark_invocation()
    before = counters().get("discarded_probe_failed", 0)
    began = time.perf_counter()
    client["d"]["tags"].insert_one({"_id": "thaw"})
    assert time.perf_counter() - began < 4.0
    assert counters()["discarded_probe_failed"] == before + 1
    client.close()


def test_a_write_whose_connection_broke_is_not_sent_again(proxy: FateProxy, server: MoodyServer) -> None:
    client: Any = pymongo.MongoClient(uri(proxy), configuration=lambda_())
    died = counters()["died"]
    with pytest.raises(AutoReconnect):
        client["d"]["tags"].insert_one({"_id": "rude"})
    assert server.seen["rude"] == 1
    assert counters()["died"] == died + 1
    client.close()


def test_an_answer_that_does_not_come_ends_with_the_invocation(proxy: FateProxy, clocks: Clocks) -> None:
    """On a connection that was opened before; and the next invocation has its own time."""
    client: Any = pymongo.MongoClient(uri(proxy), configuration=lambda_())
    tags = client["d"]["tags"]
    tags.insert_one({"_id": "before"})
    set_for_process(0.2)
    began = time.perf_counter()
    with pytest.raises(PyMongoError):
        tags.insert_one({"_id": "slow"})
    assert time.perf_counter() - began < 5.0
    set_for_process(None)
    tags.insert_one({"_id": "after"})
    client.close()


def test_a_server_is_sought_no_longer_than_the_invocation(proxy: FateProxy, clocks: Clocks) -> None:
    proxy.deaf = True
    client: Any = pymongo.MongoClient(uri(proxy), configuration=lambda_())
    set_for_process(0.8)
    began = time.perf_counter()
    with pytest.raises(PyMongoError):
        client["d"]["tags"].insert_one({"_id": "late"})
    assert time.perf_counter() - began < 4.0
    proxy.close()
    client.close()


async def test_a_task_that_is_cancelled_while_its_connection_is_asked_leaves_its_place(
    proxy: FateProxy, server: MoodyServer, clocks: Clocks, patient: None
) -> None:
    configuration = lambda_().replace(connections_per_host=1, probe_timeout=5.0)
    client: Any = pymongo.AsyncMongoClient(f"mongodb://127.0.0.1:{proxy.port}/?loadBalanced=true", configuration=configuration)
    tags = client["d"]["tags"]
    await tags.insert_one({"_id": "before"})
    proxy.freeze("blackhole")
    clocks.pass_(10.0)
    mark_invocation()
    task = asyncio.get_running_loop().create_task(tags.insert_one({"_id": "cancelled"}))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await tags.insert_one({"_id": "next"})
    assert server.seen == {"before": 1, "next": 1}
    await client.close()


def test_commands_are_pymongos_own(proxy: FateProxy) -> None:
    with pymongo.MongoClient(uri(proxy), configuration=lambda_(), tz_aware=True) as client:
        assert isinstance(client, bare.MongoClient)
        assert client.admin.command("ping")["ok"] == 1
        assert client.codec_options.tz_aware


@pytest.mark.parametrize("installed", [False, True])
def test_nothing_is_tried_again_after_a_pause_that_the_invocation_does_not_have(installed: bool, proxy: FateProxy, clocks: Clocks) -> None:
    """Reads are tried again after a connection that could not be opened, and PyMongo pauses for up to seconds before."""
    address = f"mongodb://127.0.0.1:{proxy.port}/?loadBalanced=true&retryWrites=false"
    if installed:
        pymongo.install(lambda_())
    try:
        with bare.MongoClient[Any](address) if installed else pymongo.MongoClient(address, configuration=lambda_()) as client:
            policy = getattr(client, "_retry_policy", None)
            if policy is None:
                return  # this release does not pause
            assert policy.should_retry(1, 3.0)
            set_for_process(1.0)
            assert policy.should_retry(1, 0.01)
            assert not policy.should_retry(1, 3.0)
    finally:
        pymongo.uninstall()
