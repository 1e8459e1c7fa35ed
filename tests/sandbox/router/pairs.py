"""Connections of an environment through the router, of which a test holds both ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Literal

from frostline.core.events import ConnectionOpened
from frostline.sandbox.router.tcp import reset
from tests.sandbox.router.conftest import LIMIT_S, Lab
from tests.sandbox.router.test_egress import connect

TIMES = 30
SILENCE_S = 0.4
"""What has not come by now does not come: more than a first retransmission takes."""
NAME = "environment-0"
TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_CLOSE = 1, 8, 7

End = Literal["fin", "rst"]


class Pair:
    """A connection: the function's end and the server's."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far

    @property
    def state(self) -> int:
        """What the environment's kernel holds of it."""
        return self.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]

    async def write(self, data: bytes = b"question") -> None:
        await asyncio.get_running_loop().sock_sendall(self.near, data)

    async def read(self, limit_s: float = LIMIT_S) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.near, 100), limit_s)

    async def answer(self) -> None:
        """The server answers one question."""
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(self.far, 100), LIMIT_S) == b"question"
        await loop.sock_sendall(self.far, b"answer")

    def end(self, how: End) -> None:
        self.far.close() if how == "fin" else reset(self.far)

    def close(self) -> None:
        self.near.close()
        self.far.close()


class Listener:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._sock.setblocking(False)
        self.port: int = self._sock.getsockname()[1]
        self._pairs: list[Pair] = []

    async def pair(self) -> Pair:
        near = await connect(self._lab.environments[0], self.port)
        far, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(self._sock), LIMIT_S)
        far.setblocking(False)
        self._pairs.append(Pair(near, far))
        await self._lab.saw(ConnectionOpened, len(self._pairs))
        return self._pairs[-1]

    async def pairs(self, count: int = TIMES) -> list[Pair]:
        return [await self.pair() for _ in range(count)]

    def close(self) -> None:
        for pair in self._pairs:
            pair.close()
        self._sock.close()


async def write_and_read(pair: Pair, limit_s: float = LIMIT_S) -> bytes | type[BaseException]:
    """What a question meets: an answer, an error, or for so long nothing (TimeoutError)."""
    try:
        await pair.write()
        return await pair.read(limit_s)
    except (OSError, TimeoutError) as error:
        return type(error)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():  # noqa: ASYNC110 - a kernel's state, which nobody announces
            await asyncio.sleep(0.001)
