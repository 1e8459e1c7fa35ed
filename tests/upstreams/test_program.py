"""The process in which upstreams are: sockets are handed to it, and it tells what it sees."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest

from frostline.core.upstream import AnyUpstreamMessage, UpstreamAsked, UpstreamsFailed, UpstreamsReady, UpstreamUnrecorded, parse
from frostline.upstreams import PROGRAM
from frostline.upstreams.reporter import MAX_LINES, Reporter

LIMIT_S = 20

AT_3 = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
"""The warden gives it its socket as descriptor 3."""


class Process:
    """It, and what it said."""

    def __init__(self, *upstreams: str) -> None:
        ours, theirs = socket.socketpair()
        argument = msgspec.json.encode(parse(upstreams)).decode()
        with theirs:
            self.popen = subprocess.Popen([sys.executable, "-c", AT_3, str(theirs.fileno()), PROGRAM, argument], pass_fds=[theirs.fileno()])
        ours.settimeout(LIMIT_S)
        self.control = ours
        self._lines = ours.makefile("rb")

    def say(self) -> AnyUpstreamMessage | None:
        line = self._lines.readline()
        return msgspec.json.decode(line, type=AnyUpstreamMessage) if line else None

    def close(self) -> None:
        self._lines.close()
        self.control.close()
        assert self.popen.wait(LIMIT_S) in (0, 1)


@pytest.fixture
def made() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.close()


def test_it_serves_at_the_sockets_it_is_given_and_ends_with_us(made: list[Process]) -> None:
    process = Process("a=http1", "b=http1,tls")
    made.append(process)
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        socket.send_fds(process.control, [b"\n"], [first.fileno(), second.fileno()])
        url = f"http://127.0.0.1:{first.getsockname()[1]}/x"
    ready = process.say()
    assert isinstance(ready, UpstreamsReady)
    assert ready.authority.startswith("-----BEGIN CERTIFICATE-----")
    with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
        assert b'"upstream":"a:80"' in answer.read()
    told = [process.say(), process.say()]
    assert isinstance(told[1], UpstreamAsked)
    assert told[1].path == "/x"
    process.control.shutdown(socket.SHUT_WR)
    process.popen.wait(LIMIT_S)


def test_it_ends_when_nobody_gives_it_a_socket(made: list[Process]) -> None:
    process = Process("a=http1")
    made.append(process)
    process.control.shutdown(socket.SHUT_WR)
    assert process.popen.wait(LIMIT_S) == 0


def test_it_says_why_it_failed(made: list[Process]) -> None:
    process = Process("a=http1", "b=http1")
    made.append(process)
    with socket.create_server(("127.0.0.1", 0)) as only:
        socket.send_fds(process.control, [b"\n"], [only.fileno()])
    failed = process.say()
    assert isinstance(failed, UpstreamsFailed)
    assert "1 of 2 listening sockets arrived" in failed.reason


async def test_a_reader_that_does_not_read_costs_no_memory() -> None:
    ours, theirs = socket.socketpair()
    reporter = Reporter()
    await asyncio.get_running_loop().create_unix_connection(lambda: reporter, sock=theirs)
    event = UpstreamAsked(at=1.0, upstream="a:80", connection=1, number=1, method="GET", path="x" * 200)
    for _ in range(20):
        for _ in range(MAX_LINES // 4):
            reporter.tell(event)
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    kept = 0
    while not isinstance(message := msgspec.json.decode(await reader.readline(), type=AnyUpstreamMessage), UpstreamUnrecorded):
        kept += 1
    assert kept + message.count == 20 * (MAX_LINES // 4)
    assert message.count > 0
    writer.close()
    await asyncio.wait_for(reporter.ended.wait(), LIMIT_S)
