"""What stands before grpcio's server: it lets the frames through both ways, and knows when a connection is idle and how it is to end.

grpcio's own `max_connection_idle` ends connections between one and two times that time, and always by GOAWAY.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from .cache import CacheServer
from .connection import Connection
from .frames import Frames, goaway


class GrpcFront(asyncio.Protocol):
    """A conversation, and the protocol of the connection to grpcio's server that belongs to it."""

    def __init__(self, connection: Connection, server: CacheServer) -> None:
        self._connection, self._server = connection, server
        self._frames = Frames()
        self._inner: asyncio.Transport | None = None
        self._waiting = bytearray()
        self._task = asyncio.get_running_loop().create_task(self._connect(), name="front")

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.setblocking(False)
            sock.bind(self._server.own_address(self._connection.number))
            await loop.sock_connect(sock, self._server.address)
            await loop.create_unix_connection(lambda: self, sock=sock)
        except OSError as error:
            sock.close()
            self._connection.close("rst", "refused", f"the gRPC server does not answer: {error.strerror or error}")
        except BaseException:
            sock.close()
            raise

    # The conversation --------------------------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._frames.client(data):
            self._connection.working(len(self._frames.open))
        if self._inner is None:
            self._waiting += data
        else:
            self._inner.write(data)

    def goodbye(self) -> bytes:
        return goaway(self._frames.highest) if self._frames.goaway is None else b""

    def over(self) -> None:
        self._task.cancel()
        if self._inner is not None:
            self._inner.abort()

    # The server's side -------------------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner = cast("asyncio.Transport", transport)
        self._inner.write(bytes(self._waiting))
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        before = len(self._frames.open)
        self._frames.server(data)
        self._connection.send(data)
        if len(self._frames.open) != before:
            self._connection.working(len(self._frames.open))

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended by itself: the client pinged too often, or spoke no HTTP/2. Where we ended it, nothing is closed again."""
        said = self._frames.goaway
        self._connection.close("fin" if said is None else "goaway", "refused", f"gRPC: {said or exc or 'the server ended the connection'}")
