"""The name server on this machine's loopback: what it asks of whom, and what it bounds. Traffic from namespaces is in test_egress."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from dnslib import QTYPE, RR, SRV, DNSRecord

from frostline.sandbox.router import forward, nameserver
from frostline.sandbox.router.nameserver import NameServer

Address = tuple[str, int]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[NameServer, Address]]:
    """A name server that forwards to whatever `tmp_path / "resolv.conf"` names; it has one port for UDP and TCP."""
    tcp, udp = one_port_for_both()
    made = NameServer(udp, tcp, tmp_path / "resolv.conf")
    await made.start()
    yield made, udp.getsockname()
    await made.close()


def one_port_for_both() -> tuple[socket.socket, socket.socket]:
    """A listening socket, and one for datagrams at the same port, which somebody else may have for datagrams alone."""
    while True:
        tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            return tcp, udp


class Client(asyncio.DatagramProtocol):
    """Collects answers."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[DNSRecord] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, _: object) -> None:
        self.answers.put_nowait(DNSRecord.parse(data))

    def send(self, name: str, kind: str = "A") -> None:
        self.transport.sendto(bytes(DNSRecord.question(name, kind).pack()))

    async def ask(self, name: str, kind: str = "A") -> DNSRecord:
        self.send(name, kind)
        return await asyncio.wait_for(self.answers.get(), 8)


@pytest.fixture
async def client(server: tuple[NameServer, Address]) -> AsyncIterator[Client]:
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(Client, remote_addr=server[1])
    yield made
    transport.close()


Found = Sequence[tuple[object, ...]]


def resolver(answer: Callable[[], Found]) -> Callable[..., Found]:
    """A `getaddrinfo` that answers so for names, and leaves numbers (asyncio's own use) to the real one."""
    real: Callable[..., Found] = socket.getaddrinfo

    def getaddrinfo(host: bytes | str, *rest: object, **more: object) -> Found:
        return answer() if isinstance(host, bytes) else real(host, *rest, **more)

    return getaddrinfo


@pytest.mark.parametrize(
    ("number", "rcode"),
    [(socket.EAI_NONAME, "NXDOMAIN"), (socket.EAI_NODATA, "NOERROR"), (socket.EAI_AGAIN, "SERVFAIL"), (socket.EAI_FAIL, "SERVFAIL")],
)
async def test_the_resolvers_errors_become_dns_codes(client: Client, monkeypatch: pytest.MonkeyPatch, number: int, rcode: str) -> None:
    def fail() -> Found:
        raise socket.gaierror(number, "as the test wants it")

    monkeypatch.setattr(socket, "getaddrinfo", resolver(fail))
    reply = await client.ask("a.example")
    assert {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN"}[reply.header.rcode] == rcode
    assert reply.rr == []


async def test_a_look_up_that_takes_too_long_is_a_server_failure(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(nameserver, "LOOKUP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", resolver(lambda: [()] if not release.wait(10) else []))
    try:
        assert (await client.ask("a.example")).header.rcode == 2
    finally:
        release.set()


async def test_an_environment_has_a_bounded_number_of_queries_under_way(
    server: tuple[NameServer, Address], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those above are dropped; when the others are answered, there is room again."""
    release = threading.Event()
    monkeypatch.setattr(nameserver, "MAX_QUERIES_PER_ENVIRONMENT", 3)
    monkeypatch.setattr(socket, "getaddrinfo", resolver(lambda: [()] if not release.wait(10) else []))
    for _ in range(10):
        client.send("a.example")
    # The lab's own names need no look-up, so this one's silence shows that it was dropped.
    client.send("host.frostline.internal")
    transport, other = await asyncio.get_running_loop().create_datagram_endpoint(Client, ("127.0.0.2", 0), server[1])
    assert len((await other.ask("host.frostline.internal")).rr) == 1, "another environment has room, and those before it were read"
    transport.close()
    assert client.answers.empty()
    release.set()
    assert [str((await asyncio.wait_for(client.answers.get(), 5)).q.qname) for _ in range(3)] == ["a.example."] * 3
    assert len((await client.ask("host.frostline.internal")).rr) == 1


class Upstream(asyncio.DatagramProtocol):
    """A name server of the machine, which knows one service."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.transport.sendto(b"\0\0 somebody else's answer", addr)
        self.transport.sendto(srv_answer(data), addr)


def srv_answer(data: bytes) -> bytes:
    query = DNSRecord.parse(data)
    reply = query.reply()
    reply.add_answer(RR(query.q.qname, QTYPE.SRV, rdata=SRV(1, 2, 27017, "db.example")))
    return bytes(reply.pack())


@pytest.fixture
async def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Address]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = srv_answer(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
        writer.write(len(answer).to_bytes(2) + answer)
        writer.close()

    stream, datagrams = one_port_for_both()
    tcp = await asyncio.start_server(serve, sock=stream)
    address: Address = stream.getsockname()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Upstream, sock=datagrams)
    monkeypatch.setattr(forward, "DNS_PORT", address[1])
    # 127.0.0.9: nobody there, so the second one has to answer.
    (tmp_path / "resolv.conf").write_text("search example\nnameserver 127.0.0.9\nnameserver 127.0.0.1\n")
    yield address
    transport.close()
    tcp.close()


async def test_other_kinds_of_records_are_asked_of_the_machines_name_servers(client: Client, upstream: Address) -> None:
    assert upstream
    assert str((await client.ask("_mongodb._tcp.example", "SRV")).rr[0].rdata) == "1 2 27017 db.example."


async def test_and_by_tcp_when_they_were_asked_so(server: tuple[NameServer, Address], upstream: Address) -> None:
    assert upstream
    reader, writer = await asyncio.open_connection(*server[1])
    query = bytes(DNSRecord.question("_mongodb._tcp.example", "SRV").pack())
    writer.write(len(query).to_bytes(2) + query)
    reply = DNSRecord.parse(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
    assert str(reply.rr[0].rdata) == "1 2 27017 db.example."
    writer.close()


async def test_without_name_servers_other_kinds_are_not_implemented(client: Client) -> None:
    assert (await client.ask("a.example", "TXT")).header.rcode == 4


async def test_name_servers_that_cannot_be_used_make_a_server_failure(client: Client, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.9\nnameserver not-an-address\nnameserver\n")
    assert (await client.ask("a.example", "TXT")).header.rcode == 2


async def test_half_a_query_by_tcp_ends_the_connection(server: tuple[NameServer, Address]) -> None:
    reader, writer = await asyncio.open_connection(*server[1])
    writer.write(b"\0\x40half")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(-1), 5) == b""
    writer.close()


async def test_an_environment_has_a_bounded_number_of_tcp_connections(
    server: tuple[NameServer, Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nameserver, "MAX_TCP_PER_ENVIRONMENT", 1)
    _, first = await asyncio.open_connection(*server[1])
    reader, second = await asyncio.open_connection(*server[1])
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(-1), 5) == b""
    first.close()
    second.close()
