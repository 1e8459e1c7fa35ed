"""The dialer process: it carries the environments' traffic between the router's namespace and the machine's own network.

It makes no namespace and has no rights in one: it was handed the listening sockets. One event loop, and threads for looking up names.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections import defaultdict
from contextlib import suppress

from . import policy
from .channel import Channel
from .messages import AnyMessage, Denied, Failed, Forget, OwnPorts, Ready, Serve
from .nameserver import NameServer
from .policy import DestinationDenied
from .relay import BUFFER_BYTES, Relay, reset

DIAL_TIMEOUT_S = 30.0
"""A dial that nobody answers. The kernel's own patience is 127 s, more than a function with AWS's default timeouts would ever see."""

MAX_CONNECTIONS_PER_ENVIRONMENT = 1024
"""AWS allows an environment 1,024 file descriptors, so it cannot have more connections; the excess is reset."""

MAX_REPORTS_PER_ENVIRONMENT = 32
"""Denied destinations that are reported: enough to see what a function is trying, and no flood from one that tries everything."""

ACCEPTS_AT_A_TIME = 64
"""So that established connections get their turn while a burst comes in."""

ACCEPT_PAUSE_S = 0.05
"""When descriptors or memory have run out: connections wait in the backlog meanwhile."""

Endpoint = tuple[str, int]


def run(control: socket.socket) -> None:
    """Serve until the main process is gone."""
    _allow_many_descriptors()
    asyncio.run(_run(control))


async def _run(control: socket.socket) -> None:
    finished = asyncio.Event()
    Dialer(control, finished)
    await finished.wait()


def _allow_many_descriptors() -> None:
    """Two descriptors per connection: take what the hard limit gives."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Dialer:
    """The connections of all environments, by the environment's address."""

    def __init__(self, control: socket.socket, finished: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = Channel(control, self._told, finished.set)
        self._own_ports: frozenset[int] = frozenset()
        self._connections: defaultdict[str, set[_Connection]] = defaultdict(set)
        self._denied: defaultdict[str, set[str]] = defaultdict(set)
        self._buffer = bytearray(BUFFER_BYTES)
        self._tasks: set[asyncio.Task[None]] = set()

    def _told(self, message: AnyMessage, fds: list[int]) -> None:
        match message:
            case Serve():
                task = self._loop.create_task(self._serve(*(socket.socket(fileno=fd) for fd in fds)), name="serve")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case OwnPorts(ports):
                self._own_ports = frozenset(ports)
            case Forget(address):
                self._forget(address)
            case _:
                raise RuntimeError(f"the dialer was sent {message!r}")

    async def _serve(self, listener: socket.socket, dns_udp: socket.socket, dns_tcp: socket.socket) -> None:
        try:
            await NameServer(dns_udp, dns_tcp).start()
        except OSError as error:
            self._channel.send(Failed(f"the name server could not be started: {error}"))
            return
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept, listener)
        self._channel.send(Ready())

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_A_TIME):
            try:
                inner, (address, _) = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.remove_reader(listener)
                    self._loop.call_later(ACCEPT_PAUSE_S, self._loop.add_reader, listener, self._accept, listener)
                    return
                continue  # This one connection failed before it was accepted (accept(2)); the next may be well.
            connections = self._connections[address]
            if len(connections) >= MAX_CONNECTIONS_PER_ENVIRONMENT:
                reset(inner)
            else:
                connections.add(_Connection(self, address, inner))

    def _forget(self, address: str) -> None:
        for connection in list(self._connections.get(address, ())):
            connection.abort()
        self._denied.pop(address, None)

    # For connections.

    def ended(self, connection: _Connection) -> None:
        connections = self._connections[connection.address]
        connections.discard(connection)
        if not connections:
            del self._connections[connection.address]

    async def dial(self, address: str, destination: Endpoint) -> socket.socket:
        """A connection to where an environment wanted to go. Raises OSError, TimeoutError or DestinationDenied."""
        host, port = destination
        try:
            hosts = policy.candidates(host, port, self._own_ports, is_own_address)
        except DestinationDenied as denied:
            self._report(address, f"{host}:{port}", str(denied))
            raise
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            for candidate in hosts[:-1]:
                with suppress(OSError):
                    return await self._connect(candidate, port)
            return await self._connect(hosts[-1], port)

    async def _connect(self, host: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self._loop.sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def relay(self, connection: _Connection, inner: socket.socket, outer: socket.socket) -> Relay:
        return Relay(inner, outer, self._buffer, lambda: self.ended(connection))

    def _report(self, address: str, destination: str, reason: str) -> None:
        denied = self._denied[address]
        if destination not in denied and len(denied) < MAX_REPORTS_PER_ENVIRONMENT:
            denied.add(destination)
            self._channel.send(Denied(address, destination, reason))


class _Connection:
    """One connection of an environment: being dialed, then relayed."""

    def __init__(self, dialer: Dialer, address: str, inner: socket.socket) -> None:
        self.address = address
        self._dialer = dialer
        self._inner = inner
        self._relay: Relay | None = None
        self._aborted = False
        # The address of a socket accepted by TPROXY is the one that the function connected to.
        dial = dialer.dial(address, inner.getsockname())
        self._dial = asyncio.get_running_loop().create_task(dial, name=f"dial for {address}")
        self._dial.add_done_callback(self._dialed)

    def _dialed(self, dial: asyncio.Task[socket.socket]) -> None:
        try:
            outer = dial.result()
        except (OSError, DestinationDenied, asyncio.CancelledError):
            reset(self._inner)
            self._dialer.ended(self)
            return
        self._relay = self._dialer.relay(self, self._inner, outer)
        if self._aborted:
            self._relay.abort()

    def abort(self) -> None:
        """End it with a reset to both sides, whatever it is doing."""
        self._aborted = True
        if self._relay is not None:
            self._relay.abort()
        else:
            self._dial.cancel()


def is_own_address(address: str) -> bool:
    """Whether an address is this machine's: the kernel would then send from it to itself. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)
