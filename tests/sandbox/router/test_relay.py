"""Two sockets and the relay between them, on this machine's loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from frostline.sandbox.router.relay import BUFFER_BYTES, Relay
from frostline.sandbox.router.tcp import reset


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


class Ends:
    """What a function (`inner`) and a server (`outer`) hold, with a relay between them."""

    def __init__(self) -> None:
        self.inner, inner = tcp_pair()
        outer, self.outer = tcp_pair()
        self.ended = 0
        self.done = asyncio.Event()
        self.relay = Relay(inner, outer, bytearray(BUFFER_BYTES), self._on_end)
        self.relayed = (inner, outer)

    def _on_end(self) -> None:
        self.ended += 1
        self.done.set()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    made.relay.abort()
    made.inner.close()
    made.outer.close()
    assert made.ended == 1
    assert [sock.fileno() for sock in made.relayed] == [-1, -1]


async def read(sock: socket.socket, size: int = 65_536) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, size), 5)


async def write(sock: socket.socket, data: bytes) -> None:
    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, data), 5)


async def test_bytes_pass_both_ways(ends: Ends) -> None:
    await write(ends.inner, b"question")
    assert await read(ends.outer) == b"question"
    await write(ends.outer, b"answer")
    assert await read(ends.inner) == b"answer"


async def test_end_of_file_passes_while_the_other_way_goes_on(ends: Ends) -> None:
    ends.inner.shutdown(socket.SHUT_WR)
    assert await read(ends.outer) == b""
    await write(ends.outer, b"late answer")
    assert await read(ends.inner) == b"late answer"
    assert ends.ended == 0
    ends.outer.close()
    assert await read(ends.inner) == b""
    await asyncio.wait_for(ends.done.wait(), 5)


@pytest.mark.parametrize("side", ["inner", "outer"])
async def test_a_reset_passes_as_a_reset(ends: Ends, side: str) -> None:
    gone, other = (ends.inner, ends.outer) if side == "inner" else (ends.outer, ends.inner)
    reset(gone)
    with pytest.raises(ConnectionResetError):
        await read(other)
    await asyncio.wait_for(ends.done.wait(), 5)


async def test_what_a_slow_reader_has_not_taken_arrives_before_the_end(ends: Ends) -> None:
    """More than the kernels hold, so the relay has to stop reading and go on later."""
    data = bytes(range(256)) * 40_000
    sending = asyncio.get_running_loop().create_task(_send_and_end(ends.inner, data))
    received = bytearray()
    while chunk := await read(ends.outer, 10_000 if len(received) < 1_000_000 else 1 << 20):
        received += chunk
    await sending
    assert received == data


async def _send_and_end(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)
    sock.shutdown(socket.SHUT_WR)


async def test_a_reader_that_vanishes_under_a_writer_resets_it(ends: Ends) -> None:
    """The relay holds bytes that nobody will take."""
    with contextlib.suppress(BlockingIOError):
        while True:
            ends.inner.send(bytes(1 << 20))
            await asyncio.sleep(0)
    reset(ends.outer)
    with pytest.raises(ConnectionError):
        await write(ends.inner, bytes(64 << 20))
    await asyncio.wait_for(ends.done.wait(), 5)


async def test_aborting_resets_both_and_tells_once(ends: Ends) -> None:
    ends.relay.abort()
    ends.relay.abort()
    for sock in (ends.inner, ends.outer):
        with pytest.raises(ConnectionResetError):
            await read(sock)
    assert ends.ended == 1


async def test_a_longer_path(ends: Ends) -> None:
    """What comes arrives later, its end after it, and what is sent does not."""
    loop = asyncio.get_running_loop()
    ends.relay.inward.delay_s = 0.05
    await write(ends.inner, b"question")
    assert await read(ends.outer) == b"question"
    began = loop.time()
    await write(ends.outer, b"answer")
    ends.outer.shutdown(socket.SHUT_WR)
    assert await read(ends.inner) == b"answer"
    assert loop.time() - began >= 0.04
    assert await read(ends.inner) == b""


async def test_what_is_on_its_way_when_it_is_held(ends: Ends) -> None:
    """It does not arrive, and is there as soon as it goes on."""
    way = ends.relay.inward
    way.delay_s = 0.5
    await write(ends.outer, b"answer")
    await asyncio.sleep(0.01)
    way.held = True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ends.inner, 1), 0.6)
    way.delay_s = 0.0
    way.release()
    assert await read(ends.inner) == b"answer"


async def test_a_relay_that_ends_with_something_on_its_way(ends: Ends) -> None:
    ends.relay.inward.delay_s = 0.5
    await write(ends.outer, b"answer")
    await asyncio.sleep(0.01)
    ends.relay.abort()
    await asyncio.sleep(0.5)
    with pytest.raises(ConnectionResetError):
        await read(ends.inner)
