"""What comes for a connection while it is held: the peer's bytes, its end, or the end of the path."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from . import tcp
from .relay import How, Relay
from .terms import End, Services
from .traffic import PING_BYTES, Traffic


class Held:
    """One connection's, from one freeze to the next. `tell(end)` is called when an end is sure to meet its fate."""

    def __init__(self, services: Services, relay: Relay, traffic: Traffic | None, tell: Callable[[End], None]) -> None:
        self._services = services
        self._relay = relay
        self._traffic = traffic
        self._tell = tell
        self._outer_fd = relay.outer.fileno()
        self._came_at: float | None = None
        """When the peer's first bytes came."""
        self._cut = False
        self.end: End | None = None

    def begin(self) -> None:
        """Nothing that comes from the peer is passed on any more."""
        self._relay.inward.held, self._relay.inward.met = True, self._something_came

    def cut(self) -> None:
        """The freeze is one: nothing that the environment sends is passed on any more either."""
        self._cut = self._relay.outward.held = True
        if self._traffic is not None:
            self._traffic.flush()
        if self.end is not None:
            self._tell(self.end)

    def ends(self, end: End) -> None:
        """What comes after the first end does not matter."""
        if self.end is None:
            self.end = end
            if self._cut:
                self._tell(end)

    def peer_ended(self, how: How) -> None:
        self.ends(End("peer", how, self._services.now()))

    def finish(self, mask: int) -> tuple[End | None, bool]:
        """The end that came, and whether anything did, after a look at what poll(2) says about the peer's side."""
        if not self._relay.inward.ended:
            if mask & (select.POLLERR | select.POLLRDHUP | select.POLLHUP):
                self.peer_ended("rst" if mask & select.POLLERR else "fin")
            if mask:
                self._tell_waiting()
        return self._done(), mask != 0

    def call_off(self) -> End | None:
        """It was no freeze. The end that came meets no fate."""
        return self._done()

    def reset(self) -> None:
        """The freeze is over, and nothing has come. An end may be watched for all the same: the loop can wake for bytes that were read already."""
        if self._came_at is not None:
            self._services.peers.forget(self._outer_fd)
        self._relay.inward.met = None
        self.end, self._came_at, self._cut = None, None, False

    def _done(self) -> End | None:
        end = self.end
        self.reset()
        return end

    def _something_came(self) -> None:
        """Data may hide that it ended, too."""
        if self.end is None:
            self._came_at = self._services.now()
            self._relay.inward.met = None
            self._services.peers.watch(self._outer_fd, self.peer_ended)

    def _tell_waiting(self) -> None:
        """What came is about to go on, or to be lost."""
        size = tcp.waiting(self._relay.outer) if self._traffic is not None else 0
        if self._traffic is not None and size:
            begin = self._relay.outer.recv(PING_BYTES, socket.MSG_PEEK) if size == PING_BYTES else b""
            self._traffic.waited(size, begin, self._services.now() if self._came_at is None else self._came_at)
