"""Traffic through the real kernel: environments in network namespaces, servers on this machine's loopback."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from dnslib import QTYPE, DNSRecord

from frostline.core.events import ConnectionRefused
from frostline.sandbox.router import HOST_ADDRESS, HOST_NAMES, NAMESERVER_ADDRESS, RESOLV_CONF
from frostline.sandbox.router.addresses import OUTSIDE_ADDRESS
from frostline.sandbox.router.policy import OUTSIDE
from tests.sandbox.router.conftest import LIMIT_S, Lab
from tests.sandbox.router.machine import Machine, Namespace

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server on this machine; yields its port."""
    server = await asyncio.start_server(handler, host, 0, limit=1 << 20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def connect(environment: Namespace, port: int, host: str = HOST_ADDRESS) -> socket.socket:
    sock = environment.socket()
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def connected(environment: Namespace, port: int, host: str = HOST_ADDRESS) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=await connect(environment, port, host), limit=1 << 20)


async def ask(environment: Namespace, name: str, kind: str = "A", server: str = NAMESERVER_ADDRESS) -> DNSRecord:
    """Ask a name server by UDP, from a socket that takes answers from that server only."""
    loop = asyncio.get_running_loop()
    with environment.socket(socket.SOCK_DGRAM) as sock:
        await loop.sock_connect(sock, (server, 53))
        await loop.sock_sendall(sock, bytes(DNSRecord.question(name, kind).pack()))
        return DNSRecord.parse(await asyncio.wait_for(loop.sock_recv(sock, 4096), 10))


async def test_three_environments_reach_a_server_on_this_machines_loopback(shared_lab: Lab) -> None:
    async with serving(echo) as port:
        for environment in shared_lab.environments:
            reader, writer = await connected(environment, port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()


async def test_a_server_on_the_ipv6_loopback_only_is_reached_too(shared_lab: Lab) -> None:
    async with serving(echo, "::1") as port:
        reader, writer = await connected(shared_lab.environments[0], port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()


@pytest.mark.parametrize("name", HOST_NAMES)
async def test_the_machines_names_resolve_to_its_reserved_address(shared_lab: Lab, name: str) -> None:
    reply = await ask(shared_lab.environments[0], name)
    assert [str(record.rdata) for record in reply.rr] == [HOST_ADDRESS]


async def test_the_machines_names_have_no_ipv6_address_but_exist(shared_lab: Lab) -> None:
    reply = await ask(shared_lab.environments[0], HOST_NAMES[0], "AAAA")
    assert (reply.header.rcode, reply.rr) == (0, [])


async def test_any_address_is_a_name_server_and_answers_under_its_own_address(shared_lab: Lab) -> None:
    """The socket is connected, so an answer from another address would not arrive."""
    reply = await ask(shared_lab.environments[0], HOST_NAMES[0], server="192.0.2.53")
    assert len(reply.rr) == 1


async def test_other_names_are_asked_of_the_machines_resolver(shared_lab: Lab) -> None:
    """`localhost` is in every `/etc/hosts`, so this needs no network."""
    reply = await ask(shared_lab.environments[0], "localhost")
    assert [str(record.rdata) for record in reply.rr] == ["127.0.0.1"]


async def test_the_name_server_answers_by_tcp_too(shared_lab: Lab) -> None:
    reader, writer = await connected(shared_lab.environments[0], 53, NAMESERVER_ADDRESS)
    for kind, answers in (("A", 1), ("AAAA", 0)):
        query = bytes(DNSRecord.question(HOST_NAMES[0], kind).pack())
        writer.write(struct.pack("!H", len(query)) + query)
        length = int.from_bytes(await reader.readexactly(2))
        reply = DNSRecord.parse(await reader.readexactly(length))
        assert (QTYPE[reply.q.qtype], len(reply.rr)) == (kind, answers)
    writer.close()


async def test_a_program_in_an_environment_finds_the_machine_by_name(shared_lab: Lab) -> None:
    """The C library's resolver with the `resolv.conf` that environments get."""
    script = f"""
        cd / && mount -t tmpfs none /tmp && printf '%s' "$0" > /tmp/resolv.conf && mount --bind /tmp/resolv.conf /etc/resolv.conf &&
        exec python3 -c 'import socket, sys; print(socket.create_connection(("{HOST_NAMES[0]}", sys.argv[1])).recv(5).decode())' "$1"
    """

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with serving(greet) as port:
        command = ["unshare", "-m", "sh", "-c", script, RESOLV_CONF, str(port)]
        done = await asyncio.to_thread(shared_lab.environments[1].run, *command)
    assert done.stdout == "hello\n", done.stderr


async def test_environments_do_not_reach_each_other(shared_lab: Lab) -> None:
    """Not even where the other one listens; the answer is immediate."""
    first, second = shared_lab.environments[:2]
    with second.socket() as listener, first.socket() as sock:
        listener.bind(("0.0.0.0", 8080))
        listener.listen()
        probe = second.socket(socket.SOCK_DGRAM)
        probe.connect((NAMESERVER_ADDRESS, 53))
        address = probe.getsockname()[0]
        probe.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, (address, 8080)), LIMIT_S)


async def test_no_datagram_but_a_name_query_gets_out(shared_lab: Lab) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside, shared_lab.environments[0].socket(socket.SOCK_DGRAM) as inside:
        outside.bind(("127.0.0.1", 0))
        outside.setblocking(False)
        await loop.sock_sendto(inside, b"x", (HOST_ADDRESS, outside.getsockname()[1]))
        await ask(shared_lab.environments[0], HOST_NAMES[0])  # Sent later, so what could arrive has arrived.
        with pytest.raises(BlockingIOError):
            outside.recv(1)


async def test_ipv6_fails_at_once(shared_lab: Lab) -> None:
    with shared_lab.environments[0].socket(family=socket.AF_INET6) as sock:
        assert sock.connect_ex(("2001:db8::1", 80)) == errno.ENETUNREACH


async def refused(environment: Namespace, port: int, host: str = HOST_ADDRESS) -> None:
    """A connection that nobody takes is reset: while it is made, or on the first read."""
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(_connect_and_read(environment, port, host), LIMIT_S)


async def _connect_and_read(environment: Namespace, port: int, host: str) -> None:
    with await connect(environment, port, host) as sock:
        await asyncio.get_running_loop().sock_recv(sock, 1)


async def test_a_refused_port_is_reset(shared_lab: Lab) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        await refused(shared_lab.environments[0], unused.getsockname()[1])


@pytest.mark.parametrize("host", ["169.254.169.254", NAMESERVER_ADDRESS])
async def test_addresses_that_are_not_dialed_are_reset_and_reported_once(shared_lab: Lab, host: str) -> None:
    for number, port in ((0, 80), (0, 80), (1, 81)):
        await refused(shared_lab.environments[number], port, host)
    reports = [await asyncio.wait_for(shared_lab.denied.get(), LIMIT_S) for _ in range(2)]
    assert [report[:2] for report in reports] == [("environment-0", f"{host}:80"), ("environment-1", f"{host}:81")]


async def test_frostlines_own_ports_are_refused_unless_allowed(shared_lab: Lab) -> None:
    async with serving(echo) as port:
        shared_lab.router.protect([port])
        await refused(shared_lab.environments[0], port)
        assert "is Frostline itself" in (await asyncio.wait_for(shared_lab.denied.get(), LIMIT_S))[2]
        shared_lab.router.protect([])
        reader, writer = await connected(shared_lab.environments[0], port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()


async def test_an_allowed_port_of_frostlines_own_is_reached(shared_lab: Lab) -> None:
    server = await asyncio.start_server(echo, sock=shared_lab.allowed.dup())
    port = shared_lab.allowed.getsockname()[1]
    shared_lab.router.protect([port])
    reader, writer = await connected(shared_lab.environments[0], port)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    writer.close()
    shared_lab.router.protect([])
    server.close()


async def test_half_close_is_passed_on_both_ways(shared_lab: Lab) -> None:
    """The server answers only after the function's end-of-file; the function reads the server's after its own."""

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(len(await reader.read(-1))).encode())
        writer.close()

    async with serving(count) as port:
        reader, writer = await connected(shared_lab.environments[0], port)
        writer.write(bytes(300_000))
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 10) == b"300000"
        writer.close()


async def test_a_reset_is_passed_on_as_a_reset(shared_lab: Lab) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(reset) as port:
        reader, writer = await connected(shared_lab.environments[0], port)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 5)
        writer.transport.abort()


async def test_a_large_transfer_arrives_whole(shared_lab: Lab) -> None:
    size = 64 * 1024 * 1024

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        block = bytes(range(256)) * 4096
        for _number in range(size // len(block)):
            writer.write(block)
            await writer.drain()
        writer.close()

    async with serving(send) as port:
        reader, sender = await connected(shared_lab.environments[0], port)
        received, expected = 0, bytes(range(256)) * 8192
        while data := await reader.read(1 << 20):
            assert data == expected[received % 256 : received % 256 + len(data)]
            received += len(data)
        sender.close()
    assert received == size


async def test_a_reader_that_does_not_read_stops_its_sender(shared_lab: Lab) -> None:
    """What the relay and the kernels hold is bounded: a sender without a reader comes to a halt, and the dialer does not grow."""
    before = memory_mb(shared_lab)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        sock = await connect(shared_lab.environments[0], deaf.getsockname()[1])
        with sock, pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, bytes(256 << 20)), 1)
        assert memory_mb(shared_lab) - before < 16


def memory_mb(lab: Lab) -> float:
    """The dialer's resident memory."""
    pages = Path(f"/proc/{lab.router._helpers['dialer'].pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def test_a_thousand_connections_at_once(shared_lab: Lab) -> None:
    async def visit(number: int) -> None:
        reader, writer = await connected(shared_lab.environments[number % 3], port)
        writer.write(number.to_bytes(2))
        assert int.from_bytes(await reader.readexactly(2)) == number
        arrived.release()
        await everybody.wait()
        writer.close()

    arrived, everybody = asyncio.Semaphore(0), asyncio.Event()
    async with serving(echo) as port, asyncio.TaskGroup() as group:
        for number in range(1000):
            group.create_task(visit(number))
        for _ in range(1000):
            await arrived.acquire()
        everybody.set()


async def test_a_kept_connection_costs_well_under_half_a_millisecond_more(shared_lab: Lab) -> None:
    """A round trip, relayed, against the same server reached directly: the tenth of each that a busy machine disturbs least."""

    async def quick_ms(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
        times = []
        for _ in range(300):
            began = time.perf_counter()
            writer.write(b"x" * 200)
            await reader.readexactly(200)
            times.append(time.perf_counter() - began)
        writer.close()
        return sorted(times)[30] * 1000

    async with serving(echo) as port:
        direct = await quick_ms(*await asyncio.open_connection("127.0.0.1", port))
        relayed = await quick_ms(*await connected(shared_lab.environments[0], port))
    assert relayed - direct < 0.5


@pytest.mark.asyncio(loop_scope="function")
async def test_a_lab_that_reaches_nothing_outside_says_who_was_dialed(machine: Machine) -> None:
    """Every name has an address, so that the function dials it and is refused: by the name that it asked for, and with the reason."""
    lab = Lab(machine, outside=False)
    await lab.router.open(machine.spawn)
    try:
        environment = await lab.environment("closed")
        assert [str(record.rdata) for record in (await ask(environment, "api.example.com")).rr] == [OUTSIDE_ADDRESS]
        assert [str(record.rdata) for record in (await ask(environment, "host.frostline.internal")).rr] == [HOST_ADDRESS]
        async with serving(echo) as port:
            for host, number in ((OUTSIDE_ADDRESS, 443), (HOST_ADDRESS, port), ("93.184.216.34", 80)):
                # While it connects, or at once afterwards.
                with pytest.raises(ConnectionResetError), contextlib.closing(await connect(environment, number, host)) as sock:
                    await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1), 10)
        refused = await lab.saw(ConnectionRefused, 3)
        assert refused[0].host == "api.example.com"
        assert {event.reason for event in refused} == {OUTSIDE}
    finally:
        await lab.router.close()
