"""Upstreams as hosts of the lab: names, servers in a namespace of their own, and services of the machine under stable names."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from dnslib import DNSRecord

from frostline.core.events import ConnectionOpened
from frostline.core.upstream import AnyUpstreamEvent, UpstreamAccepted, UpstreamAsked, UpstreamClosed, UpstreamEvent, parse
from frostline.sandbox.router import NAMESERVER_ADDRESS
from frostline.sandbox.router.client import Router, RouterError
from frostline.sandbox.router.upstreams import UpstreamProcess, Upstreams
from frostline.upstreams import PROGRAM
from tests.sandbox.router.conftest import USERS
from tests.sandbox.router.machine import Machine, Namespace

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
]

E = TypeVar("E", bound=UpstreamEvent)
COMMAND = (sys.executable, PROGRAM)
REQUEST = b"POST /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\nContent-Length: 0\r\n\r\n"


class LabWithUpstreams:
    """An open router with upstreams, one environment, and what was told."""

    def __init__(self, machine: Machine, *upstreams: str) -> None:
        self.machine = machine
        self.told: list[AnyUpstreamEvent] = []
        self.opened: list[ConnectionOpened] = []
        self.lost: list[str] = []
        self.denied: list[tuple[str, str, str]] = []
        self.news = asyncio.Event()
        self.upstreams = Upstreams(servers=parse(upstreams), program=COMMAND, on_lost=self._lose)
        self.process = UpstreamProcess(self.upstreams, self._tell)
        self.router = Router(
            self._lose, lambda *what: self.denied.append(what), self._see, hosts=self.upstreams.hosts, on_listening=self.process.hand_over
        )
        self.authority = ""
        self.environment: Namespace

    async def open(self) -> None:
        _, self.authority = await asyncio.gather(self.router.open(self.machine.spawn), self.process.open(self.machine.spawn))
        self.environment = self.machine.namespace()
        answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.router.attach("environment", self.environment.netns, answer.set_result)
        assert await asyncio.wait_for(answer, 10) is None

    async def close(self) -> None:
        await asyncio.gather(self.router.close(), self.process.close())

    def _tell(self, event: AnyUpstreamEvent) -> None:
        self.told.append(event)
        self.news.set()

    def _lose(self, reason: str) -> None:
        self.lost.append(reason)
        self.news.set()

    def _see(self, event: object) -> None:
        if isinstance(event, ConnectionOpened):
            self.opened.append(event)
            self.news.set()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until what was told makes something true."""
        async with asyncio.timeout(10):
            while not true():
                self.news.clear()
                await self.news.wait()

    def saw(self, kind: type[E], upstream: str, *connections: object) -> list[E]:
        """What an upstream has told, of one kind; of these connections only, where some are given."""
        found = [event for event in self.told if isinstance(event, kind) and event.upstream == upstream]
        return [event for event in found if not connections or getattr(event, "connection", None) in connections]

    async def look_up(self, name: str, kind: str = "A") -> DNSRecord:
        loop = asyncio.get_running_loop()
        with self.environment.socket(socket.SOCK_DGRAM) as sock:
            await loop.sock_connect(sock, (NAMESERVER_ADDRESS, 53))
            for _ in range(20):  # a packet on a link that has just come up may be lost, as resolvers know
                await loop.sock_sendall(sock, bytes(DNSRecord.question(name, kind).pack()))
                with contextlib.suppress(TimeoutError):
                    return DNSRecord.parse(await asyncio.wait_for(loop.sock_recv(sock, 4096), 0.5))
        raise TimeoutError(f"no answer about {name}")

    async def connect(self, name: str, port: int, trust: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As a function does: ask for the name, then dial its address."""
        (record,) = (await self.look_up(name)).rr
        sock = self.environment.socket()
        try:
            await asyncio.get_running_loop().sock_connect(sock, (str(record.rdata), port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock, ssl=trust, server_hostname=name if trust is not None else None)

    async def is_reset(self, name: str, port: int) -> None:
        """What is dialed cannot be reached: a reset, which comes when the environment is connected, or a moment later."""

        async def dial() -> None:
            reader, writer = await self.connect(name, port)
            try:
                await asyncio.wait_for(reader.read(), 10)
            finally:
                writer.close()

        with pytest.raises(ConnectionResetError):
            await dial()


@pytest.fixture(scope="module", params=USERS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    made = Machine(request.param)
    yield made
    made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(machine: Machine) -> AsyncIterator[LabWithUpstreams]:
    made = LabWithUpstreams(
        machine,
        "api.example.com=http1,tls,idle=1",
        "api.example.com:80=http1",
        "echo.local:7000=echo,close=rst,idle=1",
        "cache.local:8080=grpc",
        "far.local:80=http1,rtt=100ms",
    )
    await made.open()
    yield made
    await made.close()
    assert made.lost == []


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, object]:
    writer.write(REQUEST)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer: dict[str, object] = json.loads(await reader.readexactly(length))
    return answer


async def test_a_name_is_answered_also_where_it_hides_a_real_one(lab: LabWithUpstreams) -> None:
    first, other = [[str(record.rdata) for record in (await lab.look_up(name)).rr] for name in ("API.example.com", "echo.local")]
    assert len(first) == len(other) == 1
    assert first != other


@pytest.mark.parametrize("kind", ["AAAA", "SRV", "TXT"])
async def test_a_name_has_no_other_records_but_exists(lab: LabWithUpstreams, kind: str) -> None:
    reply = await lab.look_up("api.example.com", kind)
    assert (reply.header.rcode, reply.rr) == (0, [])


async def test_a_tls_server_is_trusted_by_its_name_and_closes_when_idle(lab: LabWithUpstreams) -> None:
    trust = ssl.create_default_context(cadata=lab.authority)
    reader, writer = await lab.connect("api.example.com", 443, trust)
    assert (await ask(reader, writer))["upstream"] == "api.example.com:443"
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await lab.until(lambda: lab.saw(UpstreamClosed, "api.example.com:443"))
    closed = lab.saw(UpstreamClosed, "api.example.com:443")[0]
    assert (closed.by, closed.how, closed.why) == ("upstream", "fin", "idle")
    writer.close()


async def test_a_name_has_several_ports(lab: LabWithUpstreams) -> None:
    reader, writer = await lab.connect("api.example.com", 80)
    assert (await ask(reader, writer))["upstream"] == "api.example.com:80"
    writer.close()


async def test_a_reset_arrives_as_a_reset(lab: LabWithUpstreams) -> None:
    reader, writer = await lab.connect("echo.local", 7000)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()


async def test_a_path_has_its_latency(lab: LabWithUpstreams) -> None:
    reader, writer = await lab.connect("far.local", 80)
    await ask(reader, writer)
    began = time.monotonic()
    await ask(reader, writer)
    assert time.monotonic() - began >= 0.1
    writer.close()


async def test_a_grpc_server_is_there_too(lab: LabWithUpstreams) -> None:
    reader, writer = await lab.connect("cache.local", 8080)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
    assert (await asyncio.wait_for(reader.readexactly(9), 10))[3] == 4, "its settings"
    writer.close()


async def test_a_port_where_nothing_is_refuses_at_once(lab: LabWithUpstreams) -> None:
    with pytest.raises(ConnectionRefusedError):
        await lab.connect("echo.local", 7001)


async def test_the_story_knows_the_name(lab: LabWithUpstreams) -> None:
    reader, writer = await lab.connect("api.example.com", 80)
    await ask(reader, writer)
    await lab.until(lambda: ("api.example.com", 80) in [(event.host, event.port) for event in lab.opened])
    writer.close()


async def test_requests_are_told_with_their_connection(lab: LabWithUpstreams) -> None:
    reader, writer = await lab.connect("api.example.com", 80)
    await ask(reader, writer)
    number = (await ask(reader, writer))["connection"]
    await lab.until(lambda: len(lab.saw(UpstreamAsked, "api.example.com:80", number)) == 2)
    asked = lab.saw(UpstreamAsked, "api.example.com:80", number)
    assert [(event.number, event.method, event.path, event.key) for event in asked] == [(1, "POST", "/x", "7"), (2, "POST", "/x", "7")]
    assert asked[1].seen == asked[0].seen + 1
    writer.close()


async def test_a_hundred_dials_at_once(lab: LabWithUpstreams) -> None:
    pairs = await asyncio.gather(*(lab.connect("api.example.com", 80) for _ in range(100)))
    numbers = [(await answer)["connection"] for answer in [ask(*pair) for pair in pairs]]
    assert len(set(numbers)) == 100
    await lab.until(lambda: len(lab.saw(UpstreamAccepted, "api.example.com:80", *numbers)) == 100)
    for _, writer in pairs:
        writer.close()


def listening_here() -> set[int]:
    """TCP ports of this machine's network at which somebody listens."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


async def test_nothing_listens_on_the_machine_and_the_servers_have_no_network(lab: LabWithUpstreams) -> None:
    assert 7000 not in listening_here()
    assert lab.process._pid is not None
    helpers = [helper.pid for helper in lab.router._helpers.values()]
    networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in ("self", lab.process._pid, *helpers)}
    assert len(networks) == 3, "the machine's with the dialer, the router's, and one with nothing in it"


async def test_a_service_of_the_machine_has_a_stable_name(machine: Machine) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    service = await asyncio.start_server(serve, "127.0.0.1", 0)
    own = await asyncio.start_server(serve, "127.0.0.1", 0)
    port, own_port = (one.sockets[0].getsockname()[1] for one in (service, own))
    lab = LabWithUpstreams(machine, f"db.local:5432=host:{port}", f"api.local:80=host:{own_port}")
    try:
        await lab.open()
        assert lab.authority == ""
        reader, writer = await lab.connect("db.local", 5432)
        assert await asyncio.wait_for(reader.read(), 10) == b"hello"
        writer.close()
        lab.router.protect([own_port])
        await lab.is_reset("api.local", 80)
    finally:
        await lab.close()
        service.close()
        own.close()


async def test_there_may_be_many(machine: Machine) -> None:
    lab = LabWithUpstreams(machine, *(f"host{number}.local:{port}=http1" for number in range(10) for port in (80, 8080)))
    try:
        await lab.open()
        for name, port in (("host0.local", 80), ("host9.local", 8080)):
            reader, writer = await lab.connect(name, port)
            assert (await ask(reader, writer))["upstream"] == f"{name}:{port}"
            writer.close()
    finally:
        await lab.close()


async def test_servers_that_die_are_told_of_and_refuse(machine: Machine) -> None:
    lab = LabWithUpstreams(machine, "a.local:80=http1")
    try:
        await lab.open()
        assert lab.process._pid is not None
        os.kill(lab.process._pid, signal.SIGKILL)
        await lab.until(lambda: lab.lost)
        assert lab.lost == [
            "the process of the upstreams ended unexpectedly; connections to a.local:80 are refused from now on",
        ]
        await lab.is_reset("a.local", 80)
    finally:
        await lab.close()


async def test_servers_that_cannot_start_say_why(machine: Machine) -> None:
    lab = LabWithUpstreams(machine, "a.local:80=http1")
    program = (sys.executable, "-c", 'import os; os.write(3, b\'{"event":"UpstreamsFailed","reason":"no luck"}\\n\')')
    lab.process = UpstreamProcess(replace(lab.upstreams, program=program), lab._tell)
    lab.router._on_listening = lab.process.hand_over
    try:
        with pytest.raises(RouterError, match="the upstreams failed: no luck"):
            await lab.open()
    finally:
        await lab.close()
