"""What a connection is told and asks for: the words that the dialer, an edge and a connection share."""

from __future__ import annotations

import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from ...core.events import AnyNetworkEvent
from ...core.middlebox import Then
from .peers import PeerEvents
from .relay import How
from .unread import Unread

if TYPE_CHECKING:
    from .connection import Connection

Endpoint = tuple[str, int]


class PeerLimit(NamedTuple):
    """What is known of a server: how long it lets a connection be idle, and how it ends it then."""

    idle_s: float
    how: How


class End(NamedTuple):
    """How a connection ended while its environment was frozen."""

    by: Literal["peer", "middlebox"]
    how: Then
    at: float

    @property
    def is_told(self) -> bool:
        """Somebody is told of it now: a middlebox may wait until somebody sends, or tell nobody."""
        return self.by == "peer" or self.how == "fin"


class Thaw(NamedTuple):
    """What a freeze came to for one connection."""

    came: Literal["fin", "rst", "data"] | None = None
    """From the peer."""
    taken: Literal["lost", "blackhole"] | None = None


class Services(Protocol):
    """What a connection needs of the dialer."""

    buffer: bytearray
    peers: PeerEvents
    recording: bool
    """Somebody writes a story."""
    unread: Unread

    def now(self) -> float:
        """Epoch seconds by the story's clock."""

    def dial(self, address: str, destination: Endpoint) -> Coroutine[Any, Any, socket.socket]:
        """See `Dialer.dial`."""

    def peer_limit(self, destination: Endpoint) -> PeerLimit | None:
        """See `Dialer.peer_limit`."""

    def tell(self, event: AnyNetworkEvent) -> None:
        """Record it."""


class Household(Protocol):
    """What a connection needs of its environment's edge."""

    address: str
    held: bool
    cut: bool
    latency_s: float

    def fell_silent(self, connection: Connection) -> None:
        """It carries nothing any more, and has to be kept so."""

    def ended(self, connection: Connection) -> None:
        """It is over."""
