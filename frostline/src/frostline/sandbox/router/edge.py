"""An environment's edge: all its connections, and the freeze of its network.

The freeze is here and not in packets. The environment's TCP ends at the router, so its kernel, which goes on while its processes stand still,
keeps talking to the router's kernel and finds nothing amiss: nothing is unacknowledged, no retransmission backs off, TCP keep-alive probes
are answered (Go gives a connection up after 150 s without). What stands still is the relay between the two sides. So a freeze loses nothing
by being early, and a thaw goes on where the freeze was, like a network that was paused with its environment.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable

from ...core.events import NetworkRestored
from .connection import Connection
from .terms import Services, Thaw

DRAIN_LIMIT_S = 0.3
"""How long a freeze waits until what the environment has sent is on its way. Loopback and LANs take it at once; a server that reads slowly
does not, and must not keep the environment from its freeze."""

DRAIN_PAUSE_S = 0.001

MAX_HOLES = 256
"""Black holes of one environment; a function that opens new ones at every freeze has given the oldest up long ago."""

HOLE_LOOK_S = 0.5
"""How often black holes that are not watched are asked whether something fell in, until something did."""


class Edge:
    """One environment's. `held`: a freeze has begun; `cut`: nothing passes."""

    def __init__(self, services: Services, address: str, on_empty: Callable[[Edge], None], reconsider: Callable[[Edge], None]) -> None:
        """`reconsider`: called after a freeze in which conditions were `outdated`."""
        self.address = address
        self.connections: set[Connection] = set()
        self.held = False
        self.cut = False
        self.latency_s = 0.0
        """How much later its connections hear from their peers."""
        self._services = services
        self._on_empty = on_empty
        self._reconsider = reconsider
        self.outdated = False
        """A connection has a fate that is not the chosen one any more, until the thaw."""
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

    def slow(self, latency_s: float) -> None:
        """From now on its connections hear from their peers so much later."""
        self.latency_s = latency_s
        for connection in self.connections:
            if connection.relay is not None:
                connection.relay.inward.delay_s = latency_s

    def hold(self, done: Callable[[], None]) -> None:
        """Let what is under way arrive, then nothing more. `done` is called when nothing passes; not after `release`."""
        self._stop()
        self.held = True
        self._held_at = self._services.now()
        connections = tuple(self.connections)
        came = _poll_outer(connections)
        for connection in connections:
            connection.hold_inward(came=connection.outer_fd in came)
        self._drain_until(self._loop.time() + DRAIN_LIMIT_S, done)

    def _drain_until(self, limit: float, done: Callable[[], None]) -> None:
        connections = tuple(self.connections)
        came = _poll([one.inner_fd for one in connections if one.relay is not None and not one.hole], select.POLLIN)
        under_way = [one for one in connections if not one.drained(came=one.inner_fd in came)]
        if under_way and self._loop.time() < limit:
            self._drain = self._loop.call_later(DRAIN_PAUSE_S, self._drain_until, limit, done)
            return
        self._drain = None
        self._drained = not under_way
        for connection in self.connections:
            connection.hold_outward()
        self.cut = True
        done()

    def release(self, done: Callable[[], None]) -> None:
        """Whatever the freeze has left goes on. `done` is called when the environment's processes may."""
        self._stop()
        if not self.held:
            done()
            return
        called_off, self.held, self.cut = not self.cut, False, False
        connections = tuple(self.connections)
        if called_off:
            for connection in connections:
                connection.call_off()
            done()
        else:
            masks = _poll_outer(connections)
            stirred = [one for one in connections if one.outer_fd in masks or not one.is_unharmed]
            thaws = [connection.release(masks.get(connection.outer_fd, 0)) for connection in stirred]
            self._services.unread.refresh()
            # What was to be taken away is gone. What goes on does so before anything is read again, so nobody has to wait for it.
            done()
            for connection in self.connections.difference(stirred):
                connection.resume()
            if connections:
                self._tell_restored(len(connections), thaws)
            self._dig([connection for connection in stirred if connection.hole and connection not in self._holes])
        if self.outdated:
            self.outdated = False
            self._reconsider(self)
        if self.empty:
            self._on_empty(self)

    def _tell_restored(self, connections: int, thaws: list[Thaw]) -> None:
        now = self._services.now()
        came = [thaw.came for thaw in thaws]
        taken = [thaw.taken for thaw in thaws]
        self._services.tell(
            NetworkRestored(
                self.address,
                at=now,
                frozen_s=now - self._held_at,
                connections=connections,
                drained=self._drained,
                fins=came.count("fin"),
                resets=came.count("rst"),
                lost=taken.count("lost"),
                black_holed=taken.count("blackhole"),
                waiting=came.count("data"),
            )
        )

    def pass_time(self, seconds: float) -> None:
        """Have its connections be idle for longer."""
        for connection in tuple(self.connections):
            connection.pass_time(seconds)

    def fell_silent(self, connection: Connection) -> None:
        """A connection carries nothing any more, and not for a freeze."""
        self._dig([connection])

    def _dig(self, holes: list[Connection]) -> None:
        self._holes.extend(holes)
        self._waiting_holes.update(hole for hole in holes if not (hole.vanished or self._services.unread.is_watched(hole.flow)))
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


def _poll_outer(connections: tuple[Connection, ...]) -> dict[int, int]:
    """What poll(2) says about the peer's side of connections that are relayed."""
    return _poll([one.outer_fd for one in connections if one.relay is not None and not one.hole], select.POLLIN | select.POLLRDHUP)


def _poll(fds: list[int], what: int) -> dict[int, int]:
    """By descriptor; nothing for one that nothing can be said about."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, what)
    return dict(poll.poll(0))
