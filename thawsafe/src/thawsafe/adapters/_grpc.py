"""The channels of grpcio that one judged channel has, one after the other; for `grpc` and `grpc_aio`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc  # type: ignore[import-untyped]

from .._core.configurations import Configuration
from .._core.lives import Life
from .._runtime.guard import Guard
from .._runtime.watch import WATCH

SETTLE = 0.001
"""Seconds for grpcio's threads to read what the kernel has, when a channel was not used just now. They take a fifth of it (measured)."""

_OK = grpc.StatusCode.OK
_SAY_NOTHING = (None, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
"""How an RPC can end that no server answered."""


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
        self.watched = False
        """Somebody subscribed: a thread of grpcio's looks at it for a moment longer, and fails when it is closed meanwhile."""


class Lines:
    """The channels of one channel: the one for the next RPC, and those that wait for the end of theirs. Threads may share it."""

    def __init__(self, configuration: Configuration, target: str, make: Callable[[], Any]) -> None:
        self.guard = Guard("grpc", configuration)
        self._busy_guard = Guard("grpc", configuration.replace(unannounced_freezes=False))
        self._target = target
        self._make = make
        self._lock = threading.RLock()
        self._line: Line | None = None
        self._left: list[Line] = []
        self.listeners: list[Callable[[grpc.ChannelConnectivity], None]] = []

    def line(self) -> Line:
        """The channel for the next RPC."""
        with self._lock:
            if self._line is None:
                self._line = Line(self._make())
            return self._line

    def begin(self) -> tuple[Line, int]:
        """The channel for an RPC that begins now, and how many answers it has had."""
        with self._lock:
            line = self._line or self.line()
            if self._left:
                self._close_left()
            life = line.life or self.connects()
            if line.silent or not (
                (life.era is WATCH.era and life.seen <= WATCH.monotonic() <= life.until and WATCH.wall() <= life.until_wall)
                # While RPCs are under way somebody waits for them, so that nothing freezes unsaid; what is said counts all the same.
                or (self._busy_guard if line.busy else self.guard).usable(life, _settled)
            ):
                line = self._renew(line)
            line.busy += 1
            return line, line.answers

    def connects(self) -> Life:
        """The channel for the next RPC begins to connect, unless it has."""
        line = self.line()
        line.life = line.life or self.guard.opened(self._target)
        return line.life

    def _renew(self, old: Line) -> Line:
        self._line = None
        line = self.line()
        self.connects()
        for listener in self.listeners:
            old.watched = True
            old.channel.unsubscribe(listener)
            line.channel.subscribe(listener)
        self._left.append(old)
        self._close_left()
        return line

    def answered(self, line: Line) -> None:
        """An RPC ended, and its server answered it, whatever the answer."""
        with self._lock:
            line.busy -= 1
            line.answers += 1
            line.silent = False
            life = line.life
            assert life is not None  # it began
            life.used = WATCH.monotonic()
            if life.judged:
                life.proved()

    def failed(self, line: Line, before: int, error: BaseException) -> None:
        self.end(line, before, error.code() if isinstance(error, grpc.RpcError) else None)

    def end(self, line: Line, before: int, code: grpc.StatusCode | None) -> None:
        """An RPC ended with this status; None: it never began, or its status is not known."""
        with self._lock:
            if code is _OK or code not in _SAY_NOTHING:
                self.answered(line)
                return
            line.busy -= 1
            assert line.life is not None  # it began
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                line.silent = line.answers == before
            elif code is grpc.StatusCode.UNAVAILABLE:
                self.guard.failed(line.life)

    def _close_left(self) -> None:
        """Close channels whose RPCs have ended. Not when they end: grpcio's own thread says so, which cannot wait for itself."""
        for line in [line for line in self._left if not line.busy]:
            self._left.remove(line)
            if not line.watched:  # else it goes when the thread has gone
                self.close_channel(line.channel)

    def close_channel(self, channel: Any) -> None:
        channel.close()

    def all(self) -> list[Any]:
        with self._lock:
            return [line.channel for line in (self.line(), *self._left)]


def _settled() -> bool:
    """In place of a free check. What has arrived on a connection is known to grpcio's threads, which do not tell, but reconnect by
    themselves: here they get the time to read it, as the loop turns for asyncio.
    """
    time.sleep(SETTLE)
    return False
