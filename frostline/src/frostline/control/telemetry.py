"""Delivers telemetry to the extensions that subscribed to it.

What goes into a batch is decided in `wire.telemetry`. Here batches are carried to their destination, a server inside the environment: one task a subscriber.
While an environment is frozen nothing is sent, records wait: a frozen subscriber could not answer. On AWS it is the same, and records of one
invocation often arrive during the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

from ..core.effects import Emit, OpenTelemetry
from ..wire.telemetry import Batch, Buffer, DeliveryAnswer
from .clock import Clock
from .tasks import spawn

RUNNING = frozenset({"initializing", "idle", "busy", "resetting", "stopping"})
"""States in which a subscriber can take a batch."""

ATTEMPTS = 5
RETRY_S = 0.1
"""A subscriber that cannot be reached is tried again a few times; then the batch is dropped."""

MAX_BACKLOG = 1000
"""Records kept from before the subscription: it is made during the init, so they are few."""


class Network(Protocol):
    """What delivery needs of the sandbox."""

    def connect(self, environment: str, port: int) -> socket.socket:
        """A non-blocking socket, connecting to the environment's own loopback."""


class Subscriber:
    """One subscription, and the task that serves it."""

    def __init__(self, environment: str, effect: OpenTelemetry, clock: Clock, network: Network, running: Callable[[], bool]) -> None:
        self.buffer = Buffer(effect.subscription)
        self.name = effect.extension_name
        self._environment = environment
        self._clock = clock
        self._network = network
        self._running = running
        self._wake = asyncio.Event()
        self._finishing = False
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answer = DeliveryAnswer()
        self._task = spawn(self._serve(), f"telemetry of {environment} for {self.name}", lambda _: None)

    def add(self, emit: Emit) -> None:
        """Offer a record."""
        self.buffer.add(self._clock.now(), emit.time, emit.type, emit.record)
        self._wake.set()

    def wake(self) -> None:
        """The environment runs again, or is about to end."""
        self._wake.set()

    def finish(self) -> None:
        """Deliver what there is, due or not."""
        self._finishing = True
        self._wake.set()

    def close(self) -> None:
        """Deliver no more."""
        self._task.cancel()
        self._hang_up()

    async def _serve(self) -> None:
        while True:
            now = self._clock.now()
            batch = None
            if self._running():
                batch = self.buffer.flush(now) if self._finishing else self.buffer.due(now)
            if batch is not None:
                await self._deliver(batch)
                continue
            wake_at = self.buffer.wake_at() if self._running() else None
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), None if wake_at is None else max(wake_at - now, 0.001))

    async def _deliver(self, batch: Batch) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._send(batch)
            except (OSError, EOFError):
                self._hang_up()
                await asyncio.sleep(RETRY_S * attempt)
            else:
                return

    async def _send(self, batch: Batch) -> None:
        subscription = self.buffer.subscription
        if self._writer is None:
            sock = self._network.connect(self._environment, subscription.port)
            self._reader, self._writer = await _opened(sock)
            self._answer = DeliveryAnswer()
        assert self._reader is not None
        if subscription.protocol == "TCP":
            self._writer.write(batch.lines())
            await self._writer.drain()
            return
        self._writer.write(batch.http_request(subscription))
        await self._writer.drain()
        statuses: list[int] = []
        while not statuses:
            data = await self._reader.read(65536)
            if not data:
                raise EOFError("the subscriber closed the connection without an answer")
            statuses = self._answer.receive(data)
        if not self._answer.reusable:
            self._hang_up()
        if not 200 <= statuses[0] < 300:
            raise EOFError(f"the subscriber answered {statuses[0]}")

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _opened(sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams on a socket that is still connecting."""
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[None] = loop.create_future()

    def writable() -> None:
        if not connected.done():
            connected.set_result(None)

    loop.add_writer(sock.fileno(), writable)
    try:
        await connected
    except asyncio.CancelledError:
        loop.remove_writer(sock.fileno())  # before its number can be another socket's
        sock.close()
        raise
    loop.remove_writer(sock.fileno())
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        sock.close()
        raise OSError(error, "the subscriber could not be reached")
    return await asyncio.open_connection(sock=sock)


class _Environment:
    """What the hub knows of one environment."""

    __slots__ = ("backlog", "running", "subscribers", "subscribing")

    def __init__(self) -> None:
        self.backlog: list[Emit] = []
        self.subscribers: list[Subscriber] = []
        self.subscribing = True
        self.running = True

    def begin(self) -> None:
        """An init begins: after a reset, the subscribers of the processes before it are gone."""
        for subscriber in self.subscribers:
            subscriber.close()
        self.subscribers = []
        self.backlog = []
        self.subscribing = True


class TelemetryHub:
    """All subscriptions."""

    def __init__(self, clock: Clock, network: Network) -> None:
        self._clock = clock
        self._network = network
        self._environments: dict[str, _Environment] = {}

    def emit(self, effect: Emit) -> None:
        """A new record; before the init is over it is also kept for those who subscribe later in it."""
        if effect.type == "platform.end":
            return  # a line of the log; the Telemetry API has no such event, and the Logs API's comes from the report
        known = self._environments.get(effect.environment)
        if known is None:
            known = self._environments[effect.environment] = _Environment()
        if effect.type == "platform.initStart":
            known.begin()
        if known.subscribing and len(known.backlog) < MAX_BACKLOG:
            known.backlog.append(effect)
        for subscriber in known.subscribers:
            subscriber.add(effect)
        if effect.type == "platform.initReport":
            known.subscribing = False
            known.backlog.clear()

    def open(self, effect: OpenTelemetry) -> None:
        """A new subscription, which replaces an older one of the same extension for the same destination (AWS: "the last one wins")."""
        known = self._environments.setdefault(effect.environment, _Environment())
        for older in [s for s in known.subscribers if s.name == effect.extension_name]:
            older.close()
            known.subscribers.remove(older)
        subscriber = Subscriber(effect.environment, effect, self._clock, self._network, lambda: known.running)
        known.subscribers.append(subscriber)
        for emit in known.backlog:
            subscriber.add(emit)

    def moved(self, environment: str, state: str) -> None:
        """The environment changed its state."""
        known = self._environments.get(environment)
        if known is None:
            return
        known.running = state in RUNNING
        if known.running:
            for subscriber in known.subscribers:
                subscriber.wake()

    def finish(self, environment: str) -> None:
        """The environment's processes are about to end."""
        known = self._environments.get(environment)
        for subscriber in known.subscribers if known is not None else ():
            subscriber.finish()

    def forget(self, environment: str) -> None:
        """The environment is gone."""
        known = self._environments.pop(environment, None)
        for subscriber in known.subscribers if known is not None else ():
            subscriber.close()

    def close(self) -> None:
        """Deliver no more at all."""
        for environment in list(self._environments):
            self.forget(environment)
