"""One upstream that runs: its connections, and the conversation that they have."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.upstream import Upstream
from .connection import Connection, Conversation, Tell
from .ledger import Ledger

if TYPE_CHECKING:
    from .cache import CacheServer

ACCEPTS_AT_A_TIME = 64
"""So that established connections get their turn while a burst comes in."""

ACCEPT_PAUSE_S = 0.05
"""When descriptors or memory have run out: connections wait in the backlog meanwhile."""

ALPN = {"http1": ["http/1.1"], "http2": ["h2"], "grpc": ["h2"], "echo": []}
"""What a server agrees to within TLS (RFC 7301)."""


class Server:
    """Everything is called in one event loop; `tell` is called by any thread."""

    def __init__(self, upstream: Upstream, tell: Tell, context: ssl.SSLContext | None = None) -> None:
        """`context`: for TLS upstreams. Imports what the protocol takes, so that no client has to wait for that."""
        self.upstream = upstream
        self._tell, self._context = tell, context
        self._ledger = Ledger(upstream.name, tell)
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._connections: dict[int, Connection] = {}
        self._listener: socket.socket | None = None
        self._accepting: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._cache: CacheServer | None = None
        self._talk = self._conversations()

    def _conversations(self) -> Callable[[Connection], Conversation]:
        """What begins a conversation."""
        match self.upstream.protocol:
            case "http1":
                from .http1 import Http1

                return lambda connection: Http1(connection, self.upstream, self._ledger)
            case "http2":
                from .http2 import Http2

                return lambda connection: Http2(connection, self.upstream, self._ledger)
            case "grpc":
                from .cache import CacheServer
                from .grpc_front import GrpcFront

                cache = self._cache = CacheServer(self._ledger, self._count_call, strict_pings=self.upstream.strict_pings)
                return lambda connection: GrpcFront(connection, cache)
            case "echo":
                from .echo import Echo

                return Echo
            case "host":
                raise ValueError(f"{self.upstream.name} is a service of the machine: there is nothing to serve")

    def start(self, listener: socket.socket) -> None:
        """Accept at this socket, which listens, and is the server's now."""
        if self._cache is not None:
            self._cache.start()
        self._listener = listener
        listener.setblocking(False)
        self._listen()

    async def close(self) -> None:
        """Stop accepting, close every connection, end."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        await asyncio.gather(*self._accepting)
        for connection in list(self._connections.values()):
            connection.shut_down()
        if self._cache is not None:
            await asyncio.to_thread(self._cache.stop)

    # Not asyncio's server: until Python 3.12 it forgets a connection that is accepted while it closes, and that stays open for ever.

    def _listen(self) -> None:
        if self._listener is not None and self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_A_TIME):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.remove_reader(listener)
                    self._loop.call_later(ACCEPT_PAUSE_S, self._listen)
                    return
                continue  # this one connection failed before it was accepted (accept(2))
            task = self._loop.create_task(self._take(sock), name=f"accept at {self.upstream.name}")
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _take(self, sock: socket.socket) -> None:
        number = next(self._numbers)
        await self._loop.connect_accepted_socket(
            lambda: Connection(self.upstream, number, talk=self._talk, tls=self._context, tell=self._tell, family=self._connections), sock
        )

    def _count_call(self, number: int) -> int:
        """One more gRPC call, counted in the thread that serves it."""
        with self._lock:
            connection = self._connections.get(number)
            if connection is None:  # its client has gone
                return 0
            connection.requests += 1
            return connection.requests
