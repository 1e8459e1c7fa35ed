"""Telemetry on its way to subscribers in the environment: batches, retries, pauses while frozen, and the last of it at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any

import pytest
from msgspec.structs import replace

from frostline.control import telemetry
from frostline.core.function import Function
from frostline.testing.fake_runtime import Event, Process, Program, runtime
from tests.control.rig import POLICY, Rig, eventually, function

PORT = 4323
WATCHED: Function = function(extensions=("watcher",))
ALL = ("platform", "function", "extension")


class Subscriber:
    """An external extension that subscribes and keeps what it is sent.

    `statuses` is what it answers to its first batches, and 200 to the others. It does not end before it has a record of the type `last`.
    """

    def __init__(
        self,
        protocol: str = "HTTP",
        *,
        timeout_ms: int = 25,
        types: tuple[str, ...] = ALL,
        statuses: tuple[int, ...] = (),
        last: str | None = None,
    ) -> None:
        self.protocol = protocol
        self.timeout_ms = timeout_ms
        self.types = types
        self.batches: list[list[dict[str, Any]]] = []
        self.statuses = list(statuses)
        self.last = last
        self.hang_ups = 0
        self.connections = 0

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for batch in self.batches for record in batch]

    @property
    def types_seen(self) -> list[str]:
        return [record["type"] for record in self.records]

    async def __call__(self, process: Process) -> None:
        await process.listen(PORT, self.http if self.protocol == "HTTP" else self.tcp)
        identifier = await process.register("INVOKE", "SHUTDOWN")
        destination: dict[str, object] = {"protocol": self.protocol, "port": PORT}
        if self.protocol == "HTTP":
            destination = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{PORT}/records"}
        answer = await process.subscribe(identifier, destination, types=self.types, buffering={"timeoutMs": self.timeout_ms})
        assert answer.status == 200, answer
        while True:
            event = await process.next_event(identifier)
            if event["eventType"] == "SHUTDOWN":
                await eventually(lambda: self.last in (None, *self.types_seen))  # what is buffered comes during the shutdown
                return

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("POST /records HTTP/1.1\r\n")
            length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length"))
            batch = json.loads(await reader.readexactly(length))
            if self.hang_ups:
                self.hang_ups -= 1
                return
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                self.batches.append(batch)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
            await writer.drain()

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        self.connections += 1
        while line := await reader.readline():
            self.batches.append([json.loads(line)])


def speaking(process: Process, event: Event) -> bytes:
    process.print(f"said {event.json()}")
    return b"{}"


async def start(rig: Rig, subscriber: Program, *, freeze_delay_s: float = 10.0) -> None:
    rig.sandbox.programs |= {"runtime": runtime(speaking), "extension:watcher": subscriber}
    await rig.start(WATCHED, policy=replace(POLICY, freeze_delay_s=freeze_delay_s, shutdown_external_s=0.2))


async def test_a_subscriber_over_http_gets_every_record_from_the_init_s_first_in_order(rig: Rig) -> None:
    subscriber = Subscriber()
    await start(rig, subscriber)
    request_id = (await rig.invoke(1)).headers["x-amzn-requestid"]
    await eventually(lambda: "platform.report" in subscriber.types_seen)
    assert subscriber.types_seen == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "function",
        "platform.runtimeDone",
        "platform.report",
    ]
    assert next(record["record"] for record in subscriber.records if record["type"] == "function") == "said 1"
    assert subscriber.records[-1]["record"]["requestId"] == request_id
    assert subscriber.connections == 1, "one connection, kept"


async def test_a_subscriber_over_tcp_gets_lines(rig: Rig) -> None:
    subscriber = Subscriber("TCP", types=("function",))
    await start(rig, subscriber)
    for number in range(3):
        await rig.invoke(number)
    await eventually(lambda: len(subscriber.records) == 3)
    assert [record["record"] for record in subscriber.records] == ["said 0", "said 1", "said 2"]
    assert subscriber.connections == 1


async def test_records_that_come_close_together_go_out_together(rig: Rig) -> None:
    subscriber = Subscriber(timeout_ms=500, types=("function",))
    await start(rig, subscriber)
    for number in range(10):
        await rig.invoke(number)
    await eventually(lambda: len(subscriber.records) == 10)
    assert len(subscriber.batches) < 4


async def test_a_batch_that_is_refused_or_meets_a_closed_connection_is_tried_again_and_arrives_once(rig: Rig) -> None:
    subscriber = Subscriber(types=("function",), statuses=(500, 429))
    subscriber.hang_ups = 1
    await start(rig, subscriber)
    await rig.invoke(1)
    await rig.invoke(2)
    await eventually(lambda: len(subscriber.records) == 2)
    assert [record["record"] for record in subscriber.records] == ["said 1", "said 2"]
    assert subscriber.statuses == []
    assert subscriber.connections >= 4


async def test_a_subscriber_where_nobody_listens_costs_batches_and_nothing_else(rig: Rig) -> None:
    class Deaf(Subscriber):
        async def __call__(self, process: Process) -> None:
            identifier = await process.register("INVOKE")
            await process.subscribe(identifier, {"protocol": "TCP", "port": PORT}, types=ALL, buffering={"timeoutMs": 25})
            while True:
                await process.next_event(identifier)

    await start(rig, Deaf())
    for number in range(3):
        assert (await rig.invoke(number)).status == 200
    await eventually(lambda: len(rig.sandbox.called("connect")) >= 3)
    assert (await rig.invoke(4)).status == 200


async def test_a_subscriber_that_answers_something_else_than_http_is_tried_again(rig: Rig) -> None:
    class Confused(Subscriber):
        async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.connections == 0:
                self.connections += 1
                await reader.read(10)
                writer.write(b"220 mail.example ESMTP\r\n")
                await writer.drain()
                await reader.read()
                return
            await super().http(reader, writer)

    subscriber = Confused(types=("function",))
    await start(rig, subscriber)
    await rig.invoke(1)
    await eventually(lambda: bool(subscriber.records))


async def test_a_frozen_environment_is_sent_nothing_and_gets_it_after_the_thaw(rig: Rig) -> None:
    subscriber = Subscriber(timeout_ms=25, types=("function", "platform"))
    await start(rig, subscriber, freeze_delay_s=0.0)
    first = (await rig.invoke(1)).headers["x-amzn-requestid"]
    await rig.sandbox.until_frozen()
    connects = len(rig.sandbox.called("connect"))
    await asyncio.sleep(0.06)  # the batch has been due for a while
    assert len(rig.sandbox.called("connect")) == connects
    assert first not in [r["record"].get("requestId") for r in subscriber.records if r["type"] == "platform.report"]
    rig.sandbox.programs["runtime"] = runtime(speaking)
    async with asyncio.timeout(5):
        while first not in [r["record"].get("requestId") for r in subscriber.records if r["type"] == "platform.report"]:
            await rig.invoke(2)
            await asyncio.sleep(0.002)


async def test_what_is_buffered_is_delivered_at_the_shutdown_before_its_time(rig: Rig) -> None:
    subscriber = Subscriber(timeout_ms=30_000, last="platform.report")
    await start(rig, subscriber)
    await rig.invoke(1)
    await eventually(lambda: any(line.type == "platform.report" for line in rig.plane.logs.lines("f")))
    assert subscriber.records == []
    await rig.plane.close()
    assert "platform.report" in subscriber.types_seen
    assert "function" in subscriber.types_seen


async def test_what_a_frozen_environment_has_not_been_sent_is_delivered_at_its_shutdown(rig: Rig) -> None:
    subscriber = Subscriber(timeout_ms=30_000, last="platform.report")
    await start(rig, subscriber, freeze_delay_s=0.0)
    await rig.invoke(1)
    await rig.sandbox.until_frozen()
    await rig.plane.close()
    assert "platform.report" in subscriber.types_seen


async def test_after_a_reset_the_new_subscription_gets_the_new_records(rig: Rig) -> None:
    subscriber = Subscriber(types=("function",), timeout_ms=50)
    await start(rig, subscriber)
    await rig.invoke(1)
    await eventually(lambda: bool(subscriber.records))
    next(each for each in rig.sandbox.processes if each.process.name == "runtime").kill()
    await rig.invoke(2)
    await eventually(lambda: "said 2" in [record["record"] for record in subscriber.records])
    assert [record["record"] for record in subscriber.records] == ["said 1", "said 2"]


async def test_a_second_subscription_of_the_same_extension_replaces_the_first(rig: Rig) -> None:
    class Twice(Subscriber):
        async def __call__(self, process: Process) -> None:
            await process.listen(PORT, self.http)
            identifier = await process.register("INVOKE")
            for types in (["platform"], ["function"]):
                destination = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{PORT}/records"}
                assert (await process.subscribe(identifier, destination, types=types, buffering={"timeoutMs": 25})).status == 200
            while True:
                await process.next_event(identifier)

    subscriber = Twice()
    await start(rig, subscriber)
    await rig.invoke(1)
    await eventually(lambda: bool(subscriber.records))
    assert subscriber.types_seen == ["function"]


async def test_a_delivery_that_is_given_up_while_it_connects_leaves_the_loop_as_it_was() -> None:
    """The socket's number is free for another one at once, and the loop must not know it from before."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as others:
        address = full.getsockname()
        for _ in range(4):  # the kernel takes a few more than it was told
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(address)
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(address)
        number = waiting.fileno()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await telemetry._opened(waiting)
        assert not asyncio.get_running_loop().remove_writer(number)
