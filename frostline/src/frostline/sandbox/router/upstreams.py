"""The main process's side of the upstreams' process: starts it, hands it its sockets, and hears what it has to tell."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from ...core.upstream import AnyUpstreamEvent, AnyUpstreamMessage, Upstream, UpstreamsFailed, UpstreamsReady
from .client import RouterError, Spawn
from .hosts import LabHost, by_host, lay_out

OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0

MAX_LINE = 65_536
"""Bytes; an event has a few hundred, and a certificate some two thousand."""

_decoder = msgspec.json.Decoder(AnyUpstreamMessage)


@dataclass(frozen=True)
class Upstreams:
    """What is to be in the lab."""

    servers: tuple[Upstream, ...]
    program: tuple[str, ...]
    """The command that serves them; see the package `frostline.upstreams`, which the sandbox does not know."""
    on_lost: Callable[[str], None] = lambda _: None
    """Told in a sentence, once, when they ended without being asked to."""

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """The hosts of the lab that they make up."""
        return lay_out(self.servers)


class UpstreamProcess:
    """The process. Everything is called in the event loop's thread."""

    def __init__(self, upstreams: Upstreams, on_event: Callable[[AnyUpstreamEvent], None] = lambda _: None) -> None:
        """`on_event` is told what they see, in order."""
        self._upstreams = upstreams
        self._on_event = on_event
        self._served = tuple(upstream for upstream in by_host(upstreams.servers) if upstream.machine_port is None)
        self._control: socket.socket | None = None
        self._pid: int | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[str] | None = None
        self._closing = False

    async def open(self, spawn: Spawn) -> str:
        """Start it, and wait until it serves; the certificate by which its TLS is trusted (PEM), or nothing.

        `hand_over` is called meanwhile. Raises RouterError when the servers cannot be had, and what `spawn` raises.
        """
        if not self._served:
            return ""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._control, theirs = socket.socketpair()
        with theirs:
            argument = msgspec.json.encode(self._served).decode()
            self._pid = await spawn([*self._upstreams.program, argument], [theirs.fileno()], new_netns=True)
        self._reading = loop.create_task(self._read(self._control.dup()), name="upstreams")
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await self._ready
        except TimeoutError:
            raise RouterError(f"the upstreams did not listen within {OPEN_TIMEOUT_S:.0f} s") from None

    def hand_over(self, fds: list[int]) -> None:
        """Give it its listening sockets, in the order of `hosts.served`. The caller keeps its descriptors."""
        if fds and self._control is not None:
            with suppress(OSError):  # it has ended, which the reader reports
                socket.send_fds(self._control, [b"\n"], fds)

    async def close(self) -> None:
        """End it, and wait until it has ended. Safe to call twice."""
        self._closing = True
        if self._control is not None:
            with suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)
            self._control.close()
            self._control = None
        if self._reading is not None:
            reading, self._reading = self._reading, None
            done, _ = await asyncio.wait([reading], timeout=CLOSE_TIMEOUT_S)
            if not done:
                # It still holds its socket, so the number is still its own. Reaping it is its parent's business.
                if self._pid is not None:
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(self._pid, signal.SIGKILL)
                reading.cancel()

    async def _read(self, sock: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=MAX_LINE)
        reason = "the process of the upstreams ended unexpectedly"
        try:
            while line := await reader.readline():
                match _decoder.decode(line):
                    case UpstreamsReady(authority=authority):
                        if self._ready is not None and not self._ready.done():
                            self._ready.set_result(authority)
                    case UpstreamsFailed(reason=said):
                        reason = f"the upstreams failed: {said}"
                    case event:
                        self._on_event(event)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            reason = f"what the upstreams said was not understood: {error}"
        finally:
            writer.close()
        self._ended(reason)

    def _ended(self, reason: str) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(RouterError(reason))
        elif not self._closing:
            self._upstreams.on_lost(f"{reason}; connections to {', '.join(one.name for one in self._served)} are refused from now on")
