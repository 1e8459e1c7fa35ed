"""Questions that getaddrinfo cannot ask (SRV, TXT, MX, ...), handed to the machine's name servers as they are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

DNS_PORT = 53
TIMEOUT_S = 1.5
"""For each name server in turn: all three that resolv.conf(5) allows fit into a client's patience of five seconds."""

MAX_SERVERS = 3

Endpoint = tuple[str, int]


def nameservers(resolv_conf: Path) -> list[Endpoint]:
    """The machine's name servers, as `/etc/resolv.conf` has them now (a VPN may have changed it since); none when it cannot be read."""
    try:
        lines = resolv_conf.read_text(errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [(word[1], DNS_PORT) for word in words if len(word) >= 2 and word[0] == "nameserver"][:MAX_SERVERS]


async def ask(servers: Sequence[Endpoint], query: bytes, by_udp: bool) -> bytes | None:
    """The first answer that a server gives, or None."""
    ask_one = _ask_by_udp if by_udp else _ask_by_tcp
    for server in servers:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await ask_one(server, query)
        except (OSError, EOFError, TimeoutError):
            # Not there, or not answering: the next one may.
            continue
    return None


async def _ask_by_udp(server: Endpoint, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    # Numeric, with IPv6 scopes (`fe80::1%eth0`) understood.
    family, kind, _, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    with socket.socket(family, kind) as sock:
        sock.setblocking(False)
        # Connected: the kernel drops what comes from anybody else, and tells of an unreachable port at once.
        sock.connect(address)
        await loop.sock_sendall(sock, query)
        while True:
            reply = await loop.sock_recv(sock, 65_535)
            if reply[:2] == query[:2]:
                return reply


async def _ask_by_tcp(server: Endpoint, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(query).to_bytes(2) + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()
