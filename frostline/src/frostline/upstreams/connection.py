"""One accepted connection: what all protocols have in common.

The path is a delay in each direction, and lies between this end's socket and everything else here, so that handshakes, answers to PINGs, FIN
and RST are late as well. The first bytes of a client are later still: a connection is open for it when SYN and SYN-ACK have crossed the path.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Literal, Protocol, cast

from ..core.upstream import Close, Upstream, UpstreamAccepted, UpstreamClosed, UpstreamEvent
from .delay import Delay
from .tls import Tls

WINDOW_BYTES = 1 << 20
"""Bytes that may be under way in one direction; a client that sends more waits, as for a TCP window."""

FIN_WAIT_S = 60.0
"""How long a closed connection's client may go without closing its own end: Linux's tcp_fin_timeout."""

Tell = Callable[[UpstreamEvent], None]
Why = Literal["idle", "asked", "refused", "shutdown", "client"]


class Conversation(Protocol):
    """A protocol, spoken on one connection."""

    def received(self, data: bytes) -> None:
        """The client sent this."""

    def goodbye(self) -> bytes:
        """What is said before the connection is closed with `goaway`."""

    def over(self) -> None:
        """The connection is closed; nothing can be sent any more."""


class Connection(asyncio.Protocol):
    """See the module. A conversation calls `send`, `heard`, `working` and `close`."""

    def __init__(
        self,
        upstream: Upstream,
        number: int,
        *,
        talk: Callable[[Connection], Conversation],
        tls: ssl.SSLContext | None,
        tell: Tell,
        family: dict[int, Connection],
    ) -> None:
        """`talk` begins a conversation, when there can be one. The connection is in `family` while there is something of it."""
        self.number = number
        self.requests = 0
        self.closed = False
        """Nothing is sent or received any more."""
        self._upstream = upstream
        self._talk, self._tell, self._family = talk, tell, family
        self._tls = Tls(tls) if tls is not None else None
        self._loop = asyncio.get_running_loop()
        self._inward, self._outward = (Delay(self._loop, upstream.rtt_s / 2) for _ in range(2))
        self._conversation: Conversation | None = None
        self._transport: asyncio.Transport
        self._open_at = 0.0
        self._under_way = {"in": 0, "out": 0}
        self._clogged = False
        self._reading = True
        self._client_ended = False
        self._at_end_of_file = False
        self._working = 0
        self._idle_since = self._loop.time()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._fin_wait: asyncio.TimerHandle | None = None

    # For conversations -------------------------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send to the client; after the end, nothing happens."""
        if not self.closed and data:
            self._put(data if self._tls is None else self._tls.sent(data))

    def heard(self) -> None:
        """A part of a request has come, or an answer was given: idle time begins anew."""
        self._idle_since = self._loop.time()
        self._watch_idleness()

    def working(self, requests: int) -> None:
        """So many requests are being answered; while there are any, the connection is not idle."""
        self._working = requests
        self.heard()
        if self._client_ended and not requests and not self.closed:
            self._follow_client()

    def close(self, how: Close, why: Why, detail: str = "") -> None:
        """Close it; once."""
        if self.closed:
            return
        if how == "goaway" and self._conversation is not None:
            self.send(self._conversation.goodbye())
        if how != "rst" and self._tls is not None:
            self._put(self._tls.end())
        self._over("upstream", how, why, detail)
        self._outward.send(self._reset if how == "rst" else self._fin)

    def shut_down(self) -> None:
        """Close it, and wait for nobody."""
        self.close("fin", "shutdown")
        self._transport.abort()

    # The transport's callbacks -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # asyncio does this for sockets that were made for IPPROTO_TCP by name, which not every listener was.
        with suppress(OSError):  # macOS says so of one that was reset already
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._family[self.number] = self
        self._open_at = self._loop.time() + self._upstream.rtt_s
        self._inward.send(self._accepted)

    def data_received(self, data: bytes) -> None:
        self._count("in", len(data))
        self._inward.send(partial(self._arrived, data), not_before=self._open_at)

    def eof_received(self) -> bool:
        self._at_end_of_file = True
        self._inward.send(self._fin_arrived, not_before=self._open_at)
        return True  # keep this direction open

    def pause_writing(self) -> None:
        self._clogged = True
        self._regulate()

    def resume_writing(self) -> None:
        self._clogged = False
        self._regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._fin_wait is not None:
            self._fin_wait.cancel()
        self._inward.send(partial(self._lost, exc))

    # What arrives, after the path ----------------------------------------------------------------------------------------------------------

    def _accepted(self) -> None:
        peer = self._transport.get_extra_info("peername")
        self._tell(UpstreamAccepted(at=time.time(), upstream=self._upstream.name, connection=self.number, peer_port=peer[1] if peer else 0))
        self.heard()
        self._begin()

    def _begin(self) -> None:
        if self._conversation is None and not self.closed and (self._tls is None or self._tls.ready):
            self._conversation = self._talk(self)

    def _arrived(self, data: bytes) -> None:
        self._count("in", -len(data))
        if self.closed:
            self._outward.send(self._reset)  # as the kernel answers data for a socket that was closed
            return
        if self._tls is not None:
            try:
                data = self._tls.received(data)
            except ssl.SSLError as error:
                self._put(self._tls.outgoing())
                self.close("fin", "refused", f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}")
                return
            self._put(self._tls.outgoing())
            self._begin()
        if data and self._conversation is not None:
            self._conversation.received(data)
        if self._tls is not None and self._tls.ended:
            self._client_done()

    def _fin_arrived(self) -> None:
        if self.closed:
            self._outward.send(self._transport.close)
        else:
            self._client_done()

    def _client_done(self) -> None:
        """The client will ask nothing more; what it has asked is answered first."""
        self._client_ended = True
        if not self._working and not self.closed:
            self._follow_client()

    def _follow_client(self) -> None:
        if self._tls is not None:
            self._put(self._tls.end())
        self._over("client", "fin", "client")
        self._outward.send(self._transport.close)

    def _lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self._over("client", "fin" if exc is None else "rst", "client")
        self._family.pop(self.number, None)

    # Ends --------------------------------------------------------------------------------------------------------------------------------

    def _over(self, by: Literal["upstream", "client"], how: Close, why: Why, detail: str = "") -> None:
        self.closed = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._tell(
            UpstreamClosed(
                at=time.time(),
                upstream=self._upstream.name,
                connection=self.number,
                by=by,
                how=how,
                why=why,
                idle_s=0.0 if self._working else self._loop.time() - self._idle_since,
                requests=self.requests,
                detail=detail,
            )
        )
        if self._conversation is not None:
            self._conversation.over()

    def _fin(self) -> None:
        if self._transport.is_closing():
            return
        self._fin_wait = self._loop.call_later(FIN_WAIT_S, self._transport.abort)
        if self._upstream.rtt_s and not self._at_end_of_file:
            # This end stays open for reading: what the client sends meanwhile is answered by RST, one round trip later.
            self._transport.write_eof()
        else:
            self._transport.close()

    def _reset(self) -> None:
        """End it with RST, as if it had been closed by SO_LINGER with zero seconds, or not been there any more (socket(7), tcp(7))."""
        if not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    # Idleness and flow -------------------------------------------------------------------------------------------------------------------

    def _watch_idleness(self) -> None:
        if self._upstream.idle_s is not None and self._idle_timer is None and not self.closed:
            self._idle_timer = self._loop.call_at(self._idle_since + self._upstream.idle_s, self._perhaps_idle)

    def _perhaps_idle(self) -> None:
        """One timer at a time: requests come often, and only the last one counts."""
        self._idle_timer = None
        assert self._upstream.idle_s is not None
        if self._working:
            return  # `working` begins anew
        if self._loop.time() < self._idle_since + self._upstream.idle_s:
            self._watch_idleness()
        else:
            self.close(self._upstream.close, "idle")

    def _put(self, data: bytes) -> None:
        if data:
            self._count("out", len(data))
            self._outward.send(partial(self._leave, data))

    def _leave(self, data: bytes) -> None:
        self._count("out", -len(data))
        if not self._transport.is_closing():
            self._transport.write(data)

    def _count(self, way: Literal["in", "out"], size: int) -> None:
        if self._upstream.rtt_s:
            self._under_way[way] += size
            self._regulate()

    def _regulate(self) -> None:
        """Read on only while what was read, and what was said to it, is on its way within bounds."""
        reading = not self._clogged and max(self._under_way.values()) < WINDOW_BYTES
        if reading != self._reading and not self._transport.is_closing():
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
