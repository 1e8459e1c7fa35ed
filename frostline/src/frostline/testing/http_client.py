"""A plain HTTP/1.1 client for tests, near enough to the bytes to send wrong ones.

The fake runtime talks to the Runtime API with it, and tests to Frostline's own servers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from msgspec import Struct

Headers = Iterable[tuple[str, str]]


class Response(Struct, frozen=True):
    """A response as a client sees it."""

    status: int
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes = b""

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def head(method: str, path: str, headers: Headers = ()) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def request(method: str, path: str, headers: Headers = (), body: bytes = b"") -> bytes:
    """A request whose body has a known length."""
    length = [("Content-Length", str(len(body)))] if body or method in ("POST", "PUT") else []
    return head(method, path, [*headers, *length]) + body


def chunk(data: bytes) -> bytes:
    """A chunk of a chunked body; empty data gives nothing, because an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class Connection:
    """One connection. Reads raise EOFError when the server has closed it, OSError when it broke."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Raises OSError."""
        reader, writer = await asyncio.open_connection(host, port, limit=1024 * 1024)
        return cls(reader, writer)

    @property
    def closed(self) -> bool:
        """It cannot be used any more."""
        return self._writer.is_closing() or self._reader.at_eof()

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def send_head(self, method: str, path: str, headers: Headers = ()) -> None:
        """Begin a request whose body follows."""
        await self.send(head(method, path, headers))

    async def request(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Response:
        """A request and its response."""
        await self.send(request(method, path, headers, body))
        return await self.read()

    async def read(self) -> Response:
        """The next response, whole."""
        begun = await self.read_head()
        return Response(begun.status, begun.headers, b"".join([part async for part in self.parts(begun)]))

    async def read_head(self) -> Response:
        """The head of the next response; `parts` gives its body."""
        text = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = text.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return Response(int(status.split()[1]), {name.lower(): value.strip() for name, _, value in pairs})

    async def parts(self, begun: Response) -> AsyncIterator[bytes]:
        """The body of a response, chunk by chunk as it comes."""
        if begun.headers.get("transfer-encoding") != "chunked":
            if length := int(begun.headers.get("content-length", "0")):
                yield await self._reader.readexactly(length)
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)

    async def rest(self) -> bytes:
        """Everything up to the server's end of the connection."""
        return await self._reader.read()

    async def close(self) -> None:
        """Close it."""
        self._writer.close()
        await self._writer.wait_closed()

    def abort(self) -> None:
        """Close it at once, as a process that is killed does."""
        self._writer.transport.abort()
