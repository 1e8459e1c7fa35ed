"""A function that opens thousands of connections: the router's memory stays bounded, and the recording says what it left out."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from frostline.core.events import ConnectionOpened, ConnectionRefused
from frostline.sandbox.router import HOST_ADDRESS
from frostline.sandbox.router.dialer import MAX_CONNECTIONS_PER_ENVIRONMENT
from tests.sandbox.router.conftest import Lab
from tests.sandbox.router.machine import Namespace
from tests.sandbox.router.test_egress import echo, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

MB = 1 << 20

MANY = """
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
kept = []
for number in range({count}):
    sock = socket.create_connection(("{host}", {port}))
    try:
        sock.sendall(b"x")
        sock.recv(1)
    except ConnectionError:
        pass
    if {keep}:
        kept.append(sock)
    else:
        sock.close()
"""


async def run(namespace: Namespace, port: int, count: int, *, keep: bool) -> None:
    script = MANY.format(host=HOST_ADDRESS, port=port, count=count, keep=keep)
    done = await asyncio.to_thread(namespace.run, sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr


def memory(lab: Lab) -> int:
    """Bytes that the dialer holds."""
    pid = lab.router._helpers["dialer"].pid
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def test_connections_beyond_a_function_s_descriptors_are_turned_away_and_recorded(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    lab.router.observe(time.time() - time.monotonic(), recording=True)
    namespace = await lab.environment("e")
    before = memory(lab)
    async with serving(echo) as port:
        await run(namespace, port, MAX_CONNECTIONS_PER_ENVIRONMENT + 200, keep=True)
        assert memory(lab) - before < 40 * MB
    assert len(await lab.saw(ConnectionOpened, MAX_CONNECTIONS_PER_ENVIRONMENT)) == MAX_CONNECTIONS_PER_ENVIRONMENT
    refused = await lab.saw(ConnectionRefused, 200)
    assert (len(refused), refused[0].reason.startswith("the environment has 1,024 connections already")) == (200, True)


async def test_thousands_of_short_connections_leave_nothing_in_the_router(lab: Lab) -> None:
    await lab.router.open(lab.machine.spawn)
    lab.router.observe(time.time() - time.monotonic(), recording=True)
    namespace = await lab.environment("e")
    async with serving(echo) as port:
        await run(namespace, port, 500, keep=False)
        before = memory(lab)
        await run(namespace, port, 3000, keep=False)
    assert memory(lab) - before < 8 * MB
