"""Messages and descriptors between the main process and its helpers, and what becomes of broken ones."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from frostline.sandbox.router.channel import Channel
from frostline.sandbox.router.messages import (
    AnyMessage,
    Attach,
    Attached,
    AttachFailed,
    Denied,
    Detach,
    Failed,
    Forget,
    OwnPorts,
    Ready,
    Serve,
    receive,
    send,
)

MESSAGES: list[AnyMessage] = [
    Attach("e"),
    Attached("e", "198.19.0.1"),
    AttachFailed("e", "why"),
    Detach("e"),
    Ready(),
    Failed("why"),
    Serve(),
    OwnPorts((1, 2)),
    Forget("198.19.0.1"),
    Denied("198.19.0.1", "203.0.113.1:80", "why"),
]


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Side:
    """A channel and what came through it; `other` is the plain socket at its other end."""

    def __init__(self) -> None:
        ours, self.other = pair()
        self.got: asyncio.Queue[tuple[AnyMessage, list[int]]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.channel = Channel(ours, lambda message, fds: self.got.put_nowait((message, fds)), self.closed.set)


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    made = Side()
    yield made
    made.channel.close()
    made.other.close()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_each_message_arrives_as_it_was_sent(message: AnyMessage) -> None:
    left, right = pair()
    with left, right:
        send(left, message)
        assert receive(right) == (message, [])


def test_descriptors_arrive_as_new_ones_that_are_closed_on_exec() -> None:
    left, right = pair()
    with left, right, socket.socket() as sock:
        send(left, Attach("e"), [sock.fileno()])
        received = receive(right)
        assert received is not None
        (descriptor,) = received[1]
        assert descriptor != sock.fileno()
        assert os.fstat(descriptor).st_ino == os.fstat(sock.fileno()).st_ino
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)


def test_what_is_no_message_raises_and_closes_what_came_with_it() -> None:
    left, right = pair()
    with left, right:
        reader, writer = os.pipe()
        socket.send_fds(left, [b'{"message":"Bogus"}'], [writer])
        os.close(writer)
        with pytest.raises(msgspec.ValidationError):
            receive(right)
        assert os.read(reader, 1) == b""
        os.close(reader)


def test_descriptors_that_were_cut_off_are_an_error() -> None:
    left, right = pair()
    with left, right, socket.socket() as sock:
        send(left, Attach("e"), [sock.fileno()] * 20)
        with pytest.raises(OSError, match="too many open files"):
            receive(right)


def test_the_end_of_the_other_side_is_none_even_with_messages_unread() -> None:
    left, right = pair()
    with right:
        send(right, Ready())
        left.close()
        assert receive(right) is None


async def test_a_channel_brings_messages_in_order(side: Side) -> None:
    for message in MESSAGES:
        send(side.other, message)
    assert [(await side.got.get())[0] for _ in MESSAGES] == MESSAGES


async def test_a_full_socket_delays_messages_and_keeps_their_order_and_descriptors(side: Side) -> None:
    count = 2000
    with socket.socket() as sock:
        for number in range(count):
            side.channel.send(Attach(str(number)), [sock.fileno()] if number == count - 1 else [])
    # The sender has closed its descriptor; the channel kept a copy for the message that had to wait.
    received = [await asyncio.to_thread(receive, side.other) for _ in range(count)]
    assert [entry[0] for entry in received if entry is not None] == [Attach(str(number)) for number in range(count)]
    assert received[-1] is not None
    (descriptor,) = received[-1][1]
    os.close(descriptor)


@pytest.mark.parametrize("how", ["end", "nonsense"])
async def test_the_end_is_told_once(side: Side, how: str) -> None:
    if how == "nonsense":
        side.other.send(b"nonsense")
    else:
        side.other.close()
    await asyncio.wait_for(side.closed.wait(), 5)
    side.channel.send(Ready())
    side.channel.finish()
    side.channel.close()


async def test_closing_tells_nobody_and_lets_go_of_what_waits(side: Side) -> None:
    reader, writer = os.pipe()
    while not side.channel._waiting:
        side.channel.send(Attach("e" * 1000), [writer])
    os.close(writer)
    side.channel.close()
    side.other.close()
    assert await asyncio.to_thread(os.read, reader, 1) == b""
    os.close(reader)
    assert not side.closed.is_set()


async def test_finishing_is_an_end_of_file_for_the_other_side(side: Side) -> None:
    side.channel.send(Ready())
    side.channel.finish()
    assert receive(side.other) == (Ready(), [])
    assert receive(side.other) is None
