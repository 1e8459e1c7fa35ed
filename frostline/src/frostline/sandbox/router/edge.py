"""An environment's edge: all its connections, and the freeze of its network.

The freeze is here and not in packets. The environment's TCP ends at the router, so its kernel, which goes on while its processes stand still,
keeps talking to the router's kernel and finds nothing amiss: nothing is unacknowledged, no retransmission backs off, TCP keep-alive probes
are answered (Go gives a connection up after 150 s without). What stands still is the relay between the two sides. So a freeze loses nothing
by being early, and a thaw goes on where the freeze was, like a network that was paused with its environment.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from collections.abc import Callable

from ...core.events import NetworkRestored
from .connection import Came, Connection, Services

DRAIN_LIMIT_S = 0.3
"""How long a freeze waits until what the environment has sent is on its way. Loopback and LANs take it at once; a server that reads slowly
does not, and must not keep the environment from its freeze."""

DRAIN_PAUSE_S = 0.001

MAX_HOLES = 256
"""Black holes of one environment; a function that opens new ones at every freeze has given the oldest up long ago."""

HOLE_LOOK_S = 0.5
"""How often black holes are asked whether something fell in, until something did."""


class Edge:
    """One environment's. `held`: a freeze has begun; `cut`: nothing passes."""

    def __init__(self, services: Services, address: str, on_empty: Callable[[Edge], None]) -> None:
        self.address = address
        self.connections: set[Connection] = set()
        self.held = False
        self.cut = False
        self._services = services
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._holes: deque[Connection] = deque()
        self._waiting_holes: set[Connection] = set()
        self._held_at = 0.0
        self._drained = True
        self._drain: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    @property
    def empty(self) -> bool:
        """There is nothing to remember about it."""
        return not self.connections and not self.held

    def hold(self, done: Callable[[], None]) -> None:
        """Let what is under way arrive, then nothing more. `done` is called when nothing passes; not after `release`."""
        self._stop()
        self.held = True
        self._held_at = time.time()
        connections = tuple(self.connections)
        ready = _poll(connections)
        for connection in connections:
            connection.hold_inward(came=ready.get(connection.outer_fd, 0) != 0)
        self._drain_until(self._loop.time() + DRAIN_LIMIT_S, done)

    def _drain_until(self, limit: float, done: Callable[[], None]) -> None:
        connections = tuple(self.connections)
        ready = _poll(connections)
        under_way = [one for one in connections if not one.drained(came=ready.get(one.inner_fd, 0) != 0)]
        if under_way and self._loop.time() < limit:
            self._drain = self._loop.call_later(DRAIN_PAUSE_S, self._drain_until, limit, done)
            return
        self._drain = None
        self._drained = not under_way
        for connection in self.connections:
            connection.hold_outward()
        self.cut = True
        done()

    def release(self) -> None:
        """Whatever the freeze has left goes on."""
        self._stop()
        if not self.held:
            return
        called_off, self.held, self.cut = not self.cut, False, False
        connections = tuple(self.connections)
        masks = _poll(connections)
        came = [
            connection.release(masks.get(connection.outer_fd, 0)) if not called_off else connection.go_on() for connection in connections
        ]
        if called_off:
            return
        holes = [connection for connection in connections if connection.hole and connection not in self._holes]
        if connections:
            self._tell_restored(connections, came, holes)
        self._dig(holes)
        if self.empty:
            self._on_empty(self)

    def _tell_restored(self, connections: tuple[Connection, ...], came: list[Came], holes: list[Connection]) -> None:
        now = time.time()
        self._services.tell(
            NetworkRestored(
                self.address,
                at=now,
                frozen_s=now - self._held_at,
                connections=len(connections),
                drained=self._drained,
                fins=came.count("fin"),
                resets=came.count("rst"),
                lost=sum(connection.lost for connection in connections),
                black_holed=len(holes),
                waiting=came.count("data"),
            )
        )

    def _dig(self, holes: list[Connection]) -> None:
        self._holes.extend(holes)
        self._waiting_holes.update(holes)
        while len(self._holes) > MAX_HOLES:
            self._holes[0].abandon()
        if self._waiting_holes and self._look is None:
            self._look = self._loop.call_later(HOLE_LOOK_S, self._look_into_holes)

    def _look_into_holes(self) -> None:
        self._look = None
        self._waiting_holes = {hole for hole in self._waiting_holes if not hole.written_in_vain()}
        if self._waiting_holes:
            self._look = self._loop.call_later(HOLE_LOOK_S, self._look_into_holes)

    def forget(self) -> None:
        """The environment is gone."""
        self._stop()
        self.held = self.cut = False
        for connection in tuple(self.connections):
            connection.abort()
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def ended(self, connection: Connection) -> None:
        """A connection is over."""
        self.connections.discard(connection)
        if connection.hole:
            self._waiting_holes.discard(connection)
            if connection in self._holes:
                self._holes.remove(connection)
        if self.empty:
            self._on_empty(self)

    def _stop(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None


def _poll(connections: tuple[Connection, ...]) -> dict[int, int]:
    """What poll(2) says about both sides of connections that are relayed, by descriptor."""
    poll = select.poll()
    for connection in connections:
        if connection.relay is not None and not connection.hole:
            poll.register(connection.outer_fd, select.POLLIN | select.POLLRDHUP)
            poll.register(connection.inner_fd, select.POLLIN)
    return dict(poll.poll(0))
