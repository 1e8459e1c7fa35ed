"""The environments' name server: names as the developer's machine sees them, `/etc/hosts` and VPNs included.

Addresses are asked of the machine's own resolver (getaddrinfo, in threads); other kinds of records go to the name servers in its
`/etc/resolv.conf` as they are. What an environment can have under way is bounded, so that none of them keeps the others out for long.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from . import forward, names
from .addresses import OUTSIDE_ADDRESS
from .names import BadQuery, Query

IP_PKTINFO = 8
"""`linux/in.h`; Python has no name for it."""

LOOKUP_TIMEOUT_S = 5.0
"""glibc's own patience with one name server (resolv.conf(5)): later answers find nobody."""

MAX_THREADS = 32
MAX_QUERIES = 512
MAX_QUERIES_PER_ENVIRONMENT = 128
"""Under way at once. UDP queries above are dropped, and asked again by the client, as with any busy name server."""

TCP_IDLE_S = 10.0
MAX_TCP_PER_ENVIRONMENT = 16

NO_SUCH_NAME = frozenset({socket.EAI_NONAME})
NO_SUCH_RECORD = frozenset({socket.EAI_NODATA, socket.EAI_ADDRFAMILY, socket.EAI_FAMILY})

Endpoint = tuple[str, int]


class NameServer:
    """Serves the two sockets, which it owns."""

    def __init__(
        self,
        udp: socket.socket,
        tcp: socket.socket,
        resolv_conf: Path = Path("/etc/resolv.conf"),
        on_answer: Callable[[str, str, Sequence[str]], None] = lambda _client, _name, _addresses: None,
        hosts: Mapping[str, str] = names.MACHINE,
        *,
        outside: bool = True,
    ) -> None:
        """`on_answer(client, name, addresses)`: told which IPv4 addresses an environment was given for a name, before it is.

        `hosts`: the lab's own names and their addresses. Without `outside` nobody is asked: every other name has `OUTSIDE_ADDRESS`, so that who
        dials it can be told why not, and by which name it went.
        """
        self._loop = asyncio.get_running_loop()
        self._udp, self._tcp = udp, tcp
        self._resolv_conf = resolv_conf
        self._on_answer = on_answer
        self._hosts = hosts
        self._outside = outside
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="lookup")
        self._under_way: Counter[str] = Counter()
        self._tcp_clients: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to serve."""
        self._udp.setblocking(False)
        # The address a query was sent to, whichever it was, is the address that the answer must come from.
        self._udp.setsockopt(socket.SOL_IP, IP_PKTINFO, 1)
        self._loop.add_reader(self._udp, self._udp_readable)
        self._server = await asyncio.start_server(self._serve_tcp, sock=self._tcp)

    async def close(self) -> None:
        """Stop serving. Look-ups under way go on in their threads, unheard."""
        self._loop.remove_reader(self._udp)
        self._udp.close()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _udp_readable(self) -> None:
        while True:
            try:
                data, ancillary, _, client = self._udp.recvmsg(4096, socket.CMSG_SPACE(12))
            except OSError:
                # Nothing more to read, or an ICMP error about an earlier answer.
                return
            asked = next((content[8:12] for level, kind, content in ancillary if (level, kind) == (socket.SOL_IP, IP_PKTINFO)), None)
            if asked is None or not self._take(client[0]):
                continue
            task = self._loop.create_task(self._serve_udp(data, client, asked), name=f"dns {client}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve_udp(self, data: bytes, client: Endpoint, asked: bytes) -> None:
        try:
            reply = await self._reply(client[0], data, by_udp=True)
        finally:
            self._give_back(client[0])
        if reply is not None:
            # struct in_pktinfo: interface, source address to use, (unused) destination.
            source = struct.pack("=i4s4s", 0, asked, bytes(4))
            with suppress(OSError):
                # The environment may be gone, or its socket's buffer full: UDP.
                self._udp.sendmsg([reply], [(socket.SOL_IP, IP_PKTINFO, source)], 0, client)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = str(writer.get_extra_info("peername", ("", 0))[0])
        self._tcp_clients[client] += 1
        try:
            if self._tcp_clients[client] <= MAX_TCP_PER_ENVIRONMENT:
                await self._serve_tcp_queries(client, reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass  # The client is done, or gone.
        finally:
            self._tcp_clients[client] -= 1
            if not self._tcp_clients[client]:
                del self._tcp_clients[client]
            writer.close()

    async def _serve_tcp_queries(self, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(TCP_IDLE_S):
                length = int.from_bytes(await reader.readexactly(2))
                data = await reader.readexactly(length)
            if not self._take(client):
                return
            try:
                reply = await self._reply(client, data, by_udp=False)
            finally:
                self._give_back(client)
            if reply is None:
                return
            writer.write(len(reply).to_bytes(2) + reply)
            async with asyncio.timeout(TCP_IDLE_S):
                await writer.drain()

    def _take(self, client: str) -> bool:
        """Whether this environment may have one more query under way; if so, it has."""
        if self._under_way[client] >= MAX_QUERIES_PER_ENVIRONMENT or self._under_way.total() >= MAX_QUERIES:
            return False
        self._under_way[client] += 1
        return True

    def _give_back(self, client: str) -> None:
        self._under_way[client] -= 1
        if not self._under_way[client]:
            del self._under_way[client]

    async def _reply(self, client: str, data: bytes, by_udp: bool) -> bytes | None:
        try:
            query = names.understand(data)
        except BadQuery as bad:
            return bad.reply
        reply = names.lab_answer(query, self._hosts)
        if reply is None and query.kind in ("A", "AAAA"):
            reply = await self._look_up(client, query)
        elif reply is None:
            reply = await self._forward(query, data, by_udp)
        elif query.name in self._hosts:
            self._on_answer(client, query.name, [self._hosts[query.name]])
        return names.fit(query, reply) if by_udp else reply

    async def _look_up(self, client: str, query: Query) -> bytes:
        if not names.may_be_looked_up(query):
            return names.failure(query, "NXDOMAIN")
        if not self._outside:
            self._on_answer(client, query.name, [OUTSIDE_ADDRESS])
            return names.answer(query, [OUTSIDE_ADDRESS])
        family = socket.AF_INET if query.kind == "A" else socket.AF_INET6
        # As bytes: a str would go through the IDNA codec, which has its own ideas of what a name is.
        lookup = self._loop.run_in_executor(self._threads, socket.getaddrinfo, query.name.encode(), None, family, socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                found = await lookup
        except TimeoutError:
            return names.failure(query, "SERVFAIL")
        except OSError as error:
            if error.errno in NO_SUCH_RECORD:
                return names.answer(query, [])
            return names.failure(query, "NXDOMAIN" if error.errno in NO_SUCH_NAME else "SERVFAIL")
        seen = names.seen_from_environment(query.name, [str(entry[4][0]) for entry in found])
        if query.kind == "A":
            self._on_answer(client, query.name, seen)
        return names.answer(query, seen)

    async def _forward(self, query: Query, data: bytes, by_udp: bool) -> bytes:
        servers = forward.nameservers(self._resolv_conf) if self._outside else []
        if not servers:
            return names.failure(query, "NOTIMP")
        reply = await forward.ask(servers, data, by_udp)
        return names.failure(query, "SERVFAIL") if reply is None else reply
