"""The control plane's side of one environment: its Runtime API server, its output, its function.

The Runtime API listens inside the environment's own network (the sandbox hands over the listening socket); every connection there belongs to this
environment, whatever it claims. Bytes become events in `wire`; this module only carries bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal, cast

import msgspec

from ..core.effects import Reply
from ..core.events import (
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    ConnectionTraffic,
    Event,
    FirstWriteAnswered,
    Logged,
    NetworkEvent,
    RuntimeResponseTruncated,
)
from ..project import Deployment
from ..sandbox.port import Ports
from ..wire.environment_api import ApiConnection
from ..wire.lines import LineSplitter
from ..wire.log_frames import FrameReader

MAX_CONNECTIONS = 1024
"""Connections to one environment's APIs. A process may have 1,024 descriptors on AWS; more connections than that are closed at once."""

REMEMBERED = 2048
REMEMBERED_S = 5.0
"""Beginnings and ends of invocations: what the router saw is told some time later, a burst of traffic up to 0.3 s, and invocations can take 0.3 ms."""


class Exchanges:
    """Which connection waits for the answer to which exchange."""

    def __init__(self) -> None:
        self._last = 0
        self._connections: dict[int, ApiProtocol] = {}

    def number(self) -> int:
        """A new exchange's number."""
        self._last += 1
        return self._last

    def waits(self, exchange: int, connection: ApiProtocol) -> None:
        """This exchange's answer goes to this connection."""
        self._connections[exchange] = connection

    def answer(self, exchange: int, reply: Reply) -> None:
        """Carry an answer to whoever waits for it; to nobody, when it has hung up."""
        connection = self._connections.pop(exchange, None)
        if connection is not None:
            connection.answer(exchange, reply)

    def forget(self, exchange: int) -> None:
        """Nobody waits for it any more."""
        self._connections.pop(exchange, None)


class Host:
    """One environment as the control plane sees it."""

    def __init__(
        self,
        environment: str,
        deployment: Deployment,
        log_stream: str,
        exchanges: Exchanges,
        feed: Callable[[Event], None],
        before: Callable[[Host, list[Event]], None],
    ) -> None:
        self.environment = environment
        self.deployment = deployment
        self.log_stream = log_stream
        self.ports: Ports | None = None
        self.exchanges = exchanges
        self.feed = feed
        self.before = before
        """Called when bytes came from the environment's processes, before their events are fed: what they wrote to their logs goes first."""
        #: Processes whose start waits for the gate, because their runtime has none.
        self.deferred: set[str] = set()
        self.memory_peak_mb: int | None = None
        self._requests: deque[tuple[float, str | None]] = deque([(0.0, None)], REMEMBERED)
        self._connections: set[ApiProtocol] = set()
        self._server: asyncio.Server | None = None
        self._closed = False
        self._text: dict[str, LineSplitter] = {}
        self._frames: dict[str, FrameReader] = {}

    async def serve(self, ports: Ports) -> None:
        """Accept connections on the Runtime API's socket. Raises OSError."""
        self.ports = ports
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: ApiProtocol(self), sock=ports.api, backlog=MAX_CONNECTIONS)
        if self._closed:  # before this task ran, or meanwhile
            server.close()
        self._server = server

    def disconnect(self) -> None:
        """Its processes are dead: a request that they left unread must not be taken for one of their successors."""
        for connection in tuple(self._connections):
            connection.abort()

    def close(self) -> None:
        """The environment is gone: nobody is left to be answered."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        self.disconnect()

    def runs(self, request_id: str | None, now: float) -> None:
        """From now on this invocation runs, or none."""
        if self._requests[-1][1] != request_id:
            self._requests.append((now, request_id))
            while self._requests[1][0] < now - REMEMBERED_S:
                self._requests.popleft()

    def tagged(self, event: NetworkEvent) -> NetworkEvent:
        """With the invocation that was running when it happened, which is not long ago."""
        if not isinstance(event, ConnectionOpened | ConnectionRefused | ConnectionTraffic | ConnectionClosed | FirstWriteAnswered):
            return event
        running = next((request_id for since, request_id in reversed(self._requests) if since <= event.at), None)
        tagged: NetworkEvent = msgspec.structs.replace(event, request_id=running)
        return tagged

    # Connections -------------------------------------------------------------------------------------------------------------------------

    def admit(self, connection: ApiProtocol) -> bool:
        """Take a new connection, within bounds."""
        if len(self._connections) >= MAX_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def drop(self, connection: ApiProtocol) -> None:
        """A connection is closed."""
        self._connections.discard(connection)

    # Output ------------------------------------------------------------------------------------------------------------------------------

    def output(self, process: str, kind: Literal["text", "frames"], data: bytes) -> None:
        """Bytes that a process wrote: whole lines become events."""
        if kind == "text":
            splitter = self._text.get(process)
            if splitter is None:
                splitter = self._text[process] = LineSplitter()
            for line in splitter.feed(data):
                self.feed(Logged(environment=self.environment, process=process, text=line))
            return
        reader = self._frames.get(process)
        if reader is None:
            reader = self._frames[process] = FrameReader()
        for message in reader.feed(data):
            self.feed(Logged(environment=self.environment, process=process, text=message.text))

    def flush(self, process: str) -> None:
        """A process ended: what it wrote last may have no line's end."""
        splitter = self._text.pop(process, None)
        reader = self._frames.pop(process, None)
        rest = splitter.flush() if splitter is not None else []
        rest += [message.text for message in reader.flush()] if reader is not None else []
        for line in rest:
            self.feed(Logged(environment=self.environment, process=process, text=line))


class ApiProtocol(asyncio.Protocol):
    """One connection from a process of an environment."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._api = ApiConnection(host.environment, host.exchanges.number)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A process connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if not self._host.admit(self):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        events, ready = self._api.receive(data)
        transport = self._transport
        if ready and transport is not None:
            transport.write(ready)
        if events:
            host = self._host
            host.before(host, events)
            for event in events:
                exchange = getattr(event, "exchange", None)
                if exchange is not None and type(event) is not RuntimeResponseTruncated:  # that one waits for no answer
                    host.exchanges.waits(exchange, self)
                host.feed(event)
        if self._api.closed and transport is not None:
            transport.close()

    def answer(self, exchange: int, reply: Reply) -> None:
        """The core's answer to an exchange."""
        data = self._api.answer(exchange, reply)
        if self._transport is not None:
            if data:
                self._transport.write(data)
            if self._api.closed:
                self._transport.close()

    def abort(self) -> None:
        """The environment is gone."""
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        """The process will send no more; what it waits for is of no use to it either."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed: requests that waited will not be answered."""
        del exc
        self._transport = None
        self._host.drop(self)
        for event in self._api.eof():
            exchange = getattr(event, "exchange", None)
            if exchange is not None:
                self._host.exchanges.forget(exchange)
            self._host.feed(event)
