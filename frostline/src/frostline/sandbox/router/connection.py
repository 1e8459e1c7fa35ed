"""One connection of an environment: being dialed, relayed, held while the environment is frozen, and perhaps taken away by that."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Literal, Protocol

from ...core.events import (
    AnyNetworkEvent,
    ConnectionClosed,
    ConnectionLost,
    ConnectionOpened,
    ConnectionRefused,
    FirstWriteAnswered,
)
from ...core.fates import Fate
from .policy import DestinationDenied
from .relay import How, Relay, Side, Way, reset
from .resets import NOTHING, Flow, attach_filter

TCP_REPAIR = 19
"""`linux/tcp.h`. A socket that is closed in this mode ends without a packet: whoever writes to it afterwards meets a stranger, and a reset.
Takes CAP_NET_ADMIN over the socket's network namespace."""

SO_MEMINFO = 55
SK_MEMINFO_DROPS = 8

ANSWER_LIMIT_S = 1.0
"""How long the answer to the first write after a thaw is waited for before the recording says that nothing came."""

PASSES = 16
"""Buffers that are moved in one go when a freeze begins; what is more goes on in the event loop's next turn."""

MAX_LOST = 4096
"""Lost connections, of all environments, whose first write is waited for."""

Endpoint = tuple[str, int]
Answered = Literal["data", "fin", "rst", "nothing"]
Came = Literal["fin", "rst", "data"] | None


class PeerEvents:
    """Tells when a peer closes a connection that nobody reads.

    An event loop asks whether a socket can be read, which it can while data waits. Here a private epoll asks for the end alone.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[How], None]] = {}
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._ready)

    def watch(self, fd: int, ended: Callable[[How], None]) -> None:
        """Call `ended` once; at once, if it has ended already."""
        self._watched[fd] = ended
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, fd: int) -> None:
        """To be called before a descriptor is watched again, and right after it was closed."""
        if self._watched.pop(fd, None) is not None:
            with suppress(OSError):  # closed, so the epoll has forgotten it already
                self._epoll.unregister(fd)

    def _ready(self) -> None:
        for fd, mask in self._epoll.poll(0, 256):
            if (ended := self._watched.get(fd)) is not None:
                ended("rst" if mask & select.EPOLLERR else "fin")


class Services(Protocol):
    """What a connection needs of the dialer."""

    buffer: bytearray
    peers: PeerEvents
    lost: dict[Flow, int]
    """Connections that a freeze took away and that nobody has written to since: whom a reset tells about."""

    def dial(self, address: str, destination: Endpoint) -> Coroutine[Any, Any, socket.socket]:
        """See `Dialer.dial`."""

    def tell(self, event: AnyNetworkEvent) -> None:
        """Record it."""


class Household(Protocol):
    """What a connection needs of its environment's edge."""

    address: str
    held: bool
    cut: bool

    def ended(self, connection: Connection) -> None:
        """It is over."""


class Connection:
    """See the module."""

    def __init__(
        self, services: Services, edge: Household, number: int, inner: socket.socket, port: int, host: str | None, fate: Fate
    ) -> None:
        """`port` is the environment's own. The address of a socket accepted by TPROXY is the one that the function connected to."""
        self._services = services
        self._edge = edge
        self.number = number
        self.inner = inner
        self.host = host
        self.fate: Fate = fate
        self.destination: Endpoint = inner.getsockname()
        self.local_port = port
        self.relay: Relay | None = None
        self.hole = False
        """Nothing passes any more, and nobody is told."""
        self.lost = False
        self.inner_fd, self.outer_fd = inner.fileno(), -1
        self._refused = False
        """It could not be dialed, and the environment, frozen, has not been told."""
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._wrote_at: float | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._aborted = False
        services.lost.pop(self.flow, None)
        self._dial = self._loop.create_task(services.dial(edge.address, self.destination), name=f"dial for {edge.address}")
        self._dial.add_done_callback(self._dialed)

    @property
    def flow(self) -> Flow:
        return (self._edge.address, self.local_port, *self.destination)

    @property
    def spared(self) -> bool:
        """The network goes on for it in a freeze."""
        return self.fate == "fin_delivered"

    def _dialed(self, dial: asyncio.Task[socket.socket]) -> None:
        try:
            outer = dial.result()
        except (OSError, DestinationDenied, asyncio.CancelledError) as error:
            self._not_dialed(error)
            return
        if self.hole:
            outer.close()
            return
        self.outer_fd = outer.fileno()
        self.relay = Relay(self.inner, outer, self._services.buffer, self._ended, self._on_close)
        self._services.tell(
            ConnectionOpened(
                self._edge.address,
                connection=self.number,
                at=time.time(),
                host=self.host,
                address=self.destination[0],
                port=self.destination[1],
                local_port=self.local_port,
                fate=self.fate,
            )
        )
        if self._aborted:
            self.relay.abort()
        elif self._edge.held and not self.spared:
            self._hold(self.relay.inward)
            self.relay.outward.held = self._edge.cut

    def _not_dialed(self, error: BaseException) -> None:
        if self.hole:
            return  # it was given up by us
        if not isinstance(error, asyncio.CancelledError):
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            self._services.tell(
                ConnectionRefused(
                    self._edge.address,
                    at=time.time(),
                    host=self.host,
                    address=self.destination[0],
                    port=self.destination[1],
                    local_port=self.local_port,
                    reason=reason or "timed out",
                )
            )
        if self._edge.held and not self.spared and not self._aborted:
            self._refused = True  # the reset falls into the freeze
        else:
            reset(self.inner)
            self._ended()

    # Freezing ----------------------------------------------------------------------------------------------------------------------------

    def hold_inward(self, *, came: bool) -> None:
        """Deliver what has come from the peer by now, and nothing that comes later. `came`: something has."""
        self._stop_waiting()
        if self.relay is None or self.hole or self.spared:
            return
        way = self.relay.inward
        if came and not way.ended and not way.clogged:
            _pass_on(way.readable)
        self._hold(way)

    def _hold(self, inward: Way) -> None:
        inward.held, inward.met = True, self._something_came

    def drained(self, *, came: bool) -> bool:
        """Pass on what the environment has sent; whether that is all. `came`: there is something to read."""
        if self.relay is None or self.hole or self.spared:
            return True
        way = self.relay.outward
        if way.ended:
            return True
        return not way.clogged and (not came or _pass_on(way.readable)) and not way.clogged

    def hold_outward(self) -> None:
        """What the environment's kernel still sends stays in the router."""
        if self.relay is not None and not self.spared and not self.hole:
            self.relay.outward.held = True

    def _something_came(self) -> None:
        """From the peer, while held. Data may hide that it ended, too."""
        if self.relay is not None:
            self.relay.inward.met = None
            self._services.peers.watch(self.outer_fd, self._peer_ended)

    def _peer_ended(self, how: How) -> None:
        """While held."""
        self._tell_closed("peer", how, frozen=True)

    def release(self, mask: int) -> Came:
        """The freeze ends; `mask` is what poll(2) says about the peer's side. Answers what came from the peer meanwhile."""
        came: Came = None
        relay = self.relay
        if self.hole or self.spared:
            if relay is not None and not self.hole:
                relay.outward.first = self._wrote
            return None
        if relay is not None and not relay.inward.ended:
            came = "rst" if mask & select.POLLERR else "fin" if mask & (select.POLLRDHUP | select.POLLHUP) else "data" if mask else None
            self._services.peers.forget(self.outer_fd)
            relay.inward.met = None
            if came == "fin" or came == "rst":
                self._tell_closed("peer", came, frozen=True)
        elif self._refused:
            came = "rst"
        if self.fate == "blackhole":
            self._swallow()
        elif self.fate == "lost" and came in ("fin", "rst"):
            self._lose()
        elif relay is not None:
            relay.outward.first = self._wrote
            relay.inward.release()
            relay.outward.release()
        elif self._refused:
            reset(self.inner)
            self._ended()
        return came

    def go_on(self) -> Came:
        """A freeze was called off before it was one: nothing is lost by it."""
        if self.relay is not None and not self.hole:
            self._services.peers.forget(self.outer_fd)
            self.relay.inward.met = None
            self.relay.inward.release()
            self.relay.outward.release()
        elif self._refused:
            reset(self.inner)
            self._ended()
        return None

    def _lose(self) -> None:
        """Forget the connection without telling the environment: the kernel answers its next packet by a reset."""
        self.lost = True
        lost = self._services.lost
        lost[self.flow] = self.number
        if len(lost) > MAX_LOST:
            del lost[next(iter(lost))]
        self._services.tell(ConnectionLost(self._edge.address, connection=self.number, at=time.time(), fate="lost"))
        if self.relay is not None:
            self.relay.end(vanish, socket.socket.close)
        else:
            vanish(self.inner)
            self._ended()

    def _swallow(self) -> None:
        """Let nothing through any more, in either direction, and let both sides wait."""
        self.hole = True
        attach_filter(self.inner, NOTHING)
        self._services.tell(ConnectionLost(self._edge.address, connection=self.number, at=time.time(), fate="blackhole"))
        if self.relay is not None:
            self.relay.outward.detach()
            self.relay.inward.detach()
        else:
            self._dial.cancel()

    def written_in_vain(self) -> bool:
        """For a black hole: whether the environment has sent something into it. Told once."""
        drops: int = struct.unpack_from("=9I", self.inner.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[SK_MEMINFO_DROPS]
        if drops and self._wrote_at is None:
            self._wrote_at = time.time()
            self._tell_answer("nothing", None)
        return bool(drops)

    def abandon(self) -> None:
        """Give a black hole up: too many came after it."""
        if self.relay is not None:
            self.relay.end(vanish, reset)
        else:
            vanish(self.inner)
            self._ended()

    # After the thaw ----------------------------------------------------------------------------------------------------------------------

    def _wrote(self) -> None:
        """The first bytes after a thaw."""
        if self.relay is not None:
            self._wrote_at = time.time()
            self.relay.inward.first = partial(self._answered, "data")
            self._patience = self._loop.call_later(ANSWER_LIMIT_S, self._answered, "nothing")

    def _answered(self, answer: Answered) -> None:
        if self._wrote_at is not None:
            wrote_at = self._wrote_at
            self._stop_waiting()
            self._tell_answer(answer, time.time() - wrote_at)

    def _tell_answer(self, answer: Answered, after_s: float | None) -> None:
        self._services.tell(FirstWriteAnswered(self._edge.address, connection=self.number, at=time.time(), answer=answer, after_s=after_s))

    def _stop_waiting(self) -> None:
        self._wrote_at = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self.relay is not None:
            self.relay.inward.first = self.relay.outward.first = None

    # The end -----------------------------------------------------------------------------------------------------------------------------

    def _on_close(self, side: Side, how: How) -> None:
        if side == "peer":
            self._answered(how)
        self._tell_closed(side, how, frozen=self._edge.held)

    def _tell_closed(self, side: Side, how: How, *, frozen: bool) -> None:
        if self._closed or self.relay is None:
            return
        self._closed = True
        sent, received = self.relay.outward, self.relay.inward
        never = side == "peer" and frozen and self.fate in ("lost", "blackhole")
        late = side == "peer" and frozen and self.fate == "survive"
        self._services.tell(
            ConnectionClosed(
                self._edge.address,
                connection=self.number,
                at=time.time(),
                by=side,
                how=how,
                frozen=frozen,
                reached="never" if never else "after_thaw" if late else "at_once",
                sent=sent.count,
                received=received.count,
                last_sent_at=sent.last_at,
                last_received_at=received.last_at,
            )
        )

    def _ended(self) -> None:
        if self.relay is not None:
            self._services.peers.forget(self.outer_fd)
        self._stop_waiting()
        self._edge.ended(self)

    def abort(self) -> None:
        """End it with a reset to both sides, whatever it is doing."""
        self._aborted = True
        if self.relay is not None:
            self._closed = True
            self.relay.abort()
        elif self._refused or self.hole:
            reset(self.inner)
            self._ended()
        else:
            self._dial.cancel()


def vanish(sock: socket.socket) -> None:
    """Close without a packet."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()


def _pass_on(readable: Callable[[], bool]) -> bool:
    """Move what there is, within bounds; whether that was all."""
    return any(not readable() for _ in range(PASSES))
