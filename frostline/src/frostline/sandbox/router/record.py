"""Tells what becomes of one connection, in the story's words."""

from __future__ import annotations

import asyncio
import os
from typing import Literal

from ...core.events import ConnectionClosed, ConnectionLost, ConnectionOpened, ConnectionRefused, PathExpired
from ...core.fates import Fate
from ...core.middlebox import Middlebox
from . import tcp
from .relay import How, Relay
from .terms import End, Endpoint, Services

By = Literal["environment", "peer", "middlebox"]


class Record:
    """One connection's. `port` is the environment's own."""

    def __init__(self, services: Services, environment: str, connection: int, host: str | None, destination: Endpoint, port: int) -> None:
        self._services = services
        self._environment, self._connection = environment, connection
        self._host, self._destination, self._port = host, destination, port
        self._began = services.now()
        self._closed = False
        self.peer_ends_at: float | None = None
        """When the peer will have ended it, in time that is made to pass."""

    def opened(self, fate: Fate, middlebox: Middlebox | None) -> None:
        """The destination answered."""
        now = self._services.now()
        self._services.tell(
            ConnectionOpened(
                self._environment,
                connection=self._connection,
                at=now,
                host=self._host,
                address=self._destination[0],
                port=self._destination[1],
                local_port=self._port,
                fate=fate,
                middlebox=None if middlebox is None else middlebox.name,
                dialed_s=now - self._began,
            )
        )

    def refused(self, error: BaseException) -> None:
        """It could not be dialed, or may not be."""
        if isinstance(error, asyncio.CancelledError):
            return  # it was given up by us
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        self._services.tell(
            ConnectionRefused(
                self._environment,
                at=self._services.now(),
                host=self._host,
                address=self._destination[0],
                port=self._destination[1],
                local_port=self._port,
                reason=reason or "timed out",
            )
        )

    def expired(self, middlebox: Middlebox, at: float) -> None:
        """The path forgot it."""
        self._services.tell(
            PathExpired(
                self._environment,
                connection=self._connection,
                at=at,
                middlebox=middlebox.name,
                idle_s=middlebox.idle_s,
                then=middlebox.then,
            )
        )

    def lost(self, fate: Literal["lost", "blackhole"], end: End | None) -> None:
        """A freeze took it away."""
        self._services.tell(
            ConnectionLost(
                self._environment,
                connection=self._connection,
                at=self._services.now(),
                fate=fate,
                ended_at=None if end is None else end.at,
                by="peer" if end is None else end.by,
            )
        )

    def closed(self, relay: Relay, by: By, how: How, *, met: Fate | None, at: float | None = None) -> None:
        """The first FIN or RST; the second one says nothing new. `met`: the fate that it met in a freeze."""
        if self._closed:
            return
        self._closed = True
        foreign = by != "environment"
        at = self.peer_ends_at if by == "peer" and at is None else at
        sent, received = relay.outward, relay.inward
        self._services.tell(
            ConnectionClosed(
                self._environment,
                connection=self._connection,
                at=self._services.now() if at is None else at,
                by=by,
                how=how,
                frozen=met is not None,
                reached="never"
                if foreign and met in ("lost", "blackhole")
                else "after_thaw"
                if foreign and met == "survive"
                else "at_once",
                sent=sent.count,
                received=received.count,
                last_sent_at=sent.last_at,
                last_received_at=received.last_at,
                retransmitted=tcp.info(relay.outer).retransmitted,
            )
        )

    def no_more(self) -> None:
        """Its end is ours, and nobody's news."""
        self._closed = True
