"""What is remembered and told of connections, and how much of it at most."""

from __future__ import annotations

import asyncio
import socket

import pytest

from frostline.core.events import AnyNetworkEvent, ConnectionLost, ConnectionsUnrecorded
from frostline.sandbox.router import reporter
from frostline.sandbox.router.channel import Channel
from frostline.sandbox.router.messages import Seen, receive
from frostline.sandbox.router.reporter import Reporter
from frostline.sandbox.router.resolved import MAX_ADDRESSES, MAX_NAMES, Resolved


def test_the_name_that_was_asked_for_last_comes_first() -> None:
    resolved = Resolved()
    for name in ("a", "b", "a"):
        resolved.add("198.19.0.1", name, ["10.0.0.1", "10.0.0.2"])
    assert resolved.names("198.19.0.1", "10.0.0.2") == ["a", "b"]
    assert resolved.names("198.19.0.2", "10.0.0.2") == []
    resolved.forget("198.19.0.1")
    assert resolved.names("198.19.0.1", "10.0.0.2") == []


def test_an_environment_that_asks_for_everything_is_remembered_within_bounds() -> None:
    resolved = Resolved()
    for number in range(3 * MAX_ADDRESSES):
        resolved.add("e", f"name{number}", [f"address{number}", "common"])
    assert resolved.names("e", "address0") == []
    assert resolved.names("e", f"address{3 * MAX_ADDRESSES - 1}") != []
    assert len(resolved.names("e", "common")) == MAX_NAMES


def event(number: int) -> AnyNetworkEvent:
    return ConnectionLost("198.19.0.1", connection=number, at=float(number), fate="lost")


async def test_events_come_in_order_and_what_nobody_reads_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "RETRY_S", 0.001)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours, lambda _message, _fds: None, lambda: None)
    teller = Reporter(channel)
    total = 100_000
    for number in range(total):
        teller.tell(event(number))
    assert channel.backlog <= reporter.MAX_BACKLOG + 1
    theirs.setblocking(False)
    told: list[AnyNetworkEvent] = []
    async with asyncio.timeout(20):
        while not told or not isinstance(told[-1], ConnectionsUnrecorded):
            try:
                received = receive(theirs)
            except BlockingIOError:
                await asyncio.sleep(0.001)
                continue
            assert received is not None and isinstance(received[0], Seen)
            told += received[0].events
    assert [one.connection for one in told if isinstance(one, ConnectionLost)] == list(range(len(told) - 1))
    assert isinstance(told[-1], ConnectionsUnrecorded) and told[-1].count == total - len(told) + 1
    channel.close()
    theirs.close()
