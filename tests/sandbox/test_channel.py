"""Messages and descriptors over a stream that may be cut anywhere."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.sandbox.channel import Channel
from frostline.sandbox.warden import protocol

from .driver import LIMIT_S

TEXT = st.text(st.characters(blacklist_categories=[]), max_size=20)
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
MESSAGES = st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=5)


@given(MESSAGES, st.lists(st.integers(1, 40), max_size=30))
def test_messages_survive_any_cut(messages: list[dict[str, object]], cuts: list[int]) -> None:
    stream = b"".join(protocol.encode(message) for message in messages)
    decoder, received = protocol.Decoder(), []
    for cut in [*cuts, len(stream)]:
        received += [message for message, _ in decoder.feed(stream[:cut])]
        stream = stream[cut:]
    assert received == messages


def test_each_message_gets_its_own_descriptors() -> None:
    ours, theirs = socket.socketpair()
    decoder = protocol.Decoder()
    received: list[tuple[dict[str, Any], list[int]]] = []
    with ours, theirs:
        for number in range(3):
            pipe = os.pipe()
            protocol.send(ours, {"number": number}, pipe[:number])
            for fd in pipe:
                os.close(fd)
        ours.close()
        while True:
            data, fds = protocol.receive(theirs)
            received += decoder.feed(data, fds)
            if not data:
                break
    assert [(message["number"], len(fds)) for message, fds in received] == [(0, 0), (1, 1), (2, 2)]
    for fd in (fd for _, fds in received for fd in fds):
        assert not os.get_inheritable(fd)
        os.close(fd)


async def test_a_channel_sends_more_than_the_socket_holds_in_order() -> None:
    ours, theirs = socket.socketpair()
    ended, received = asyncio.Event(), asyncio.Queue[tuple[int, int]]()

    def take(message: dict[str, Any], fds: list[int]) -> None:
        received.put_nowait((message["number"], len(fds)))
        for fd in fds:
            os.close(fd)

    reader = Channel(theirs, take, ended.set)
    writer = Channel(ours, lambda *_: None, lambda: None)
    big = "x" * 100_000
    for number in range(40):
        writer.send({"number": number, "padding": big}, [os.dup(1)] if number % 3 == 0 else [])
    async with asyncio.timeout(LIMIT_S):
        for number in range(40):
            assert await received.get() == (number, 1 if number % 3 == 0 else 0)
        writer.close()
        await ended.wait()
    reader.close()


async def test_sending_to_nobody_closes_the_descriptors_and_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    ended = asyncio.Event()
    channel = Channel(ours, lambda *_: None, ended.set)
    theirs.close()
    fd = os.dup(1)
    channel.send({}, [fd])
    await ended.wait()
    late = os.dup(1)
    channel.send({}, [late])
    for closed in {fd, late}:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(closed)
