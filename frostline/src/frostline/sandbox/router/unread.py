"""Connections that nobody reads any more, though their environment does not know: those that were lost, and black holes.

What the environment sends on one is seen by the packet socket (`resets`), and told to the connection once.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from .resets import MAX_PORTS, Flow, Reset, Sent, attach_filter, program, receive

if TYPE_CHECKING:
    from .connection import Connection

MAX_UNREAD = 4096
"""Connections, of all environments, that are waited for."""

PACKETS_AT_A_TIME = 64
"""So that connections that are read get their turn."""


class Unread:
    """See the module. `now` is the story's clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._packets: socket.socket | None = None
        self._connections: dict[Flow, Connection] = {}
        """In the order in which they came."""
        self._sent: dict[Flow, Sent] = {}
        """The first segment on a connection that was lost, until its reset is seen."""
        self._outdated = False
        """The filter does not look for what it should."""

    def look_at(self, packets: socket.socket) -> None:
        """See what comes on this packet socket."""
        packets.setblocking(False)
        self._packets = packets
        self._loop.add_reader(packets, self._ready)

    def add(self, flow: Flow, connection: Connection) -> None:
        """Tell it when its environment writes."""
        self._connections[flow] = connection
        if len(self._connections) > MAX_UNREAD:
            self.discard(next(iter(self._connections)))
        self._change()

    def discard(self, flow: Flow) -> None:
        """It is over, or another connection has its ports."""
        self._sent.pop(flow, None)
        if self._connections.pop(flow, None) is not None:
            self._change()

    def forget(self, environment: str) -> None:
        """The environment at this address is gone."""
        for flow in [flow for flow in self._connections if flow[0] == environment]:
            self.discard(flow)

    def is_watched(self, flow: Flow) -> bool:
        """What its environment sends is seen."""
        return self._packets is not None and flow in self._connections and len(self._connections) <= MAX_PORTS

    def _change(self) -> None:
        if not self._outdated and self._packets is not None:
            self._outdated = True
            self._loop.call_soon(self.refresh)

    def refresh(self) -> None:
        """Look for what is to be looked for from now on; before processes go on that may write."""
        if self._outdated and self._packets is not None:
            self._outdated = False
            with suppress(OSError):  # some kernels keep filters from ordinary users
                attach_filter(self._packets, program([flow[1] for flow in self._connections]))

    def _ready(self) -> None:
        assert self._packets is not None
        for _ in range(PACKETS_AT_A_TIME):
            try:
                seen = receive(self._packets)
            except OSError:
                return  # nothing more, or more than its buffer holds
            connection = self._connections.get(seen.flow) if seen is not None else None
            if seen is not None and connection is not None:
                self._tell(connection, seen)

    def _tell(self, connection: Connection, seen: Reset | Sent) -> None:
        at = seen.at - time.time() + self._now()  # the packet's time is the wall clock's
        if isinstance(seen, Reset):
            sent = self._sent.get(seen.flow)
            self.discard(seen.flow)
            connection.reset_seen(at, sent)
        elif connection.vanished:
            self._sent.setdefault(seen.flow, seen)
        elif seen.size or seen.ends:  # a keep-alive probe is neither
            self.discard(seen.flow)
            connection.swallowed(at, seen)
