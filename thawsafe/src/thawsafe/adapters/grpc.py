"""grpc: channels that are judged when an RPC begins.

    from thawsafe.adapters import grpc
    channel = grpc.insecure_channel("orders.internal:50051")       # as grpcio's own: for stubs, for `grpc.intercept_channel`
    stub = OrdersStub(channel)

What grpcio does itself: it believes that a connection stands until the kernel says otherwise. After a freeze the first RPC on one that the
network has forgotten fails with UNAVAILABLE, and in a black hole it takes all of its deadline, and so does the next. Keepalive pings do not
help: they are not sent in a freeze, and a server that does not expect them answers too many with GOAWAY.

grpcio has no way to ping, and none to drop a connection and keep its channel. So a channel here holds one of grpcio's, and when that one's
connection cannot be trusted, the next RPC begins on another: one new connection, no RPC sent twice. RPCs under way end where they began;
their channel is closed with the first RPC after the last of them. The same when an RPC ran into its deadline and nothing was heard since.

Nothing private is used. Of the configuration, the limits of connections count for nothing, since RPCs share one; `retries` neither: grpcio
tries again what no server has seen, and a service config can ask for more. grpcio does not survive a fork after its first RPC, unless
GRPC_ENABLE_FORK_SUPPORT is set (grpc/grpc: doc/fork_support.md); nor does a channel of these. For asyncio: `grpc_aio`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from .._core.configurations import Configuration, NoKeepalive
from .._core.limits import finite
from .._runtime.deadline import within_time_left
from .._runtime.detection import detect
from .._runtime.guard import Guard, Life
from ._clients import Patches, known

__all__ = ["Channel", "insecure_channel", "install", "options", "secure_channel", "uninstall"]

DISTRIBUTION, MODULE = "grpcio", "grpc"
VERSIONS = ("1.60", "2")
"""The first version that is known, and the first that is not."""
known(DISTRIBUTION, grpc.__version__, VERSIONS)

LONGEST = 2**31 - 1
"""Milliseconds. UNLIMITED for grpcio."""
LEAST_PING = 300.0
"""Seconds. Servers end a connection that is pinged more often, unless they were told to expect it (gRFC A8, A9)."""
FIRST_BACKOFF = 0.1
"""Seconds until connecting is tried again, which grows; grpcio's own 1 s is for servers that are overrun."""

Options = Sequence[tuple[str, Any]]


def options(configuration: Configuration, given: Options | None = None) -> list[tuple[str, Any]]:
    """A configuration as arguments of a channel; what was given goes before it.

    Idle channels let go of their connection after `idle_age`. Pings are sent while an RPC is under way, and never more often than a server
    takes that was told nothing.
    """
    connect = _milliseconds(configuration.connect_timeout + configuration.tls_timeout)
    ours: dict[str, Any] = {
        # Channels with the same arguments share connections otherwise: a new one would have the dead one's.
        "grpc.use_local_subchannel_pool": 1,
        "grpc.min_reconnect_backoff_ms": connect,  # grpcio's name for how long one attempt may take
        "grpc.initial_reconnect_backoff_ms": _milliseconds(FIRST_BACKOFF),
        "grpc.max_reconnect_backoff_ms": max(connect, _milliseconds(FIRST_BACKOFF)),
        "grpc.client_idle_timeout_ms": _milliseconds(configuration.idle_age),
    }
    keepalive = configuration.keepalive
    if not isinstance(keepalive, NoKeepalive):
        ours |= {
            "grpc.keepalive_time_ms": _milliseconds(max(keepalive.interval, LEAST_PING)),
            "grpc.keepalive_timeout_ms": _milliseconds(keepalive.timeout),
            "grpc.keepalive_permit_without_calls": 0,
        }
    taken = {name for name, _ in given or ()}
    return [item for item in ours.items() if item[0] not in taken] + list(given or ())


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), LONGEST) if finite(seconds) is not None else LONGEST


class Line:
    """One channel of grpcio's, which is about one connection."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.life: Life | None = None
        """None until the first RPC, which connects."""
        self.busy = 0
        """RPCs under way."""
        self.answers = 0
        """RPCs that were answered, whatever the answer."""
        self.silent = False
        """An RPC ran into its deadline, and nothing was heard since it began."""


class Lines:
    """The channels of one channel: the one for the next RPC, and those that wait for the end of theirs. Threads may share it."""

    def __init__(self, configuration: Configuration, target: str, make: Callable[[], Any]) -> None:
        self.guard = Guard("grpc", configuration)
        # While RPCs are under way somebody waits for them, so that nothing freezes unsaid; what is said counts all the same.
        self._busy_guard = Guard("grpc", configuration.replace(unannounced_freezes=False))
        self._target = target
        self._make = make
        self._lock = threading.RLock()
        self.line = Line(make())
        self._left: list[Line] = []

    def begin(self) -> tuple[Line, int]:
        """The channel for an RPC that begins now, and how many answers it had before."""
        with self._lock:
            line = self.line
            life = line.life
            if life is None:
                life = line.life = self.guard.opened(self._target)
            elif line.silent or not (self.guard.fresh(life) or (self._busy_guard if line.busy else self.guard).usable(life, _unknown)):
                line = self.renew()
            line.busy += 1
            return line, line.answers

    def renew(self) -> Line:
        """Another channel from now on."""
        self._left.append(self.line)
        self.line = line = Line(self._make())
        line.life = self.guard.opened(self._target)
        self.close_left()
        return line

    def end(self, line: Line, before: int, code: grpc.StatusCode | None) -> None:
        """An RPC ended with this status."""
        with self._lock:
            line.busy -= 1
            assert line.life is not None  # it began
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                line.silent = line.answers == before
            elif code is grpc.StatusCode.UNAVAILABLE:
                self.guard.failed(line.life)
            elif code is not grpc.StatusCode.CANCELLED:
                line.answers += 1
                line.silent = False
                self.guard.used(line.life)

    def close_left(self) -> None:
        """Close channels whose RPCs have ended. Not when they end: grpcio's own thread says so, which cannot wait for itself."""
        with self._lock:
            idle = [line for line in self._left if not line.busy]
            self._left = [line for line in self._left if line.busy]
        for line in idle:
            line.channel.close()

    def all(self) -> list[Line]:
        with self._lock:
            return [self.line, *self._left]


def _unknown() -> bool:
    """No free check: what has arrived on a connection, grpcio's threads know and do not tell. They reconnect by themselves."""
    return False
