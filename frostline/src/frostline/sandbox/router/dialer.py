"""The dialer process: it carries the environments' traffic between the router's namespace and the machine's own network.

It makes no namespace and has no rights in one: it was handed the listening sockets. One event loop, and threads for looking up names.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import resource
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from ...core.conditions import Conditions
from ...core.events import ConnectionRefused
from . import policy
from .addresses import HOST_ADDRESS, HOST_NAMES
from .channel import Channel
from .connection import Connection
from .edge import Edge
from .inside import Inside
from .messages import (
    AnyMessage,
    Decide,
    Denied,
    Failed,
    Forget,
    Held,
    Hold,
    Observe,
    OwnHosts,
    OwnPorts,
    PassTime,
    Ready,
    Release,
    Released,
    Serve,
)
from .nameserver import NameServer
from .peers import PeerEvents
from .policy import DestinationDenied
from .relay import BUFFER_BYTES
from .reporter import Reporter
from .resolved import Resolved
from .tcp import reset
from .terms import Endpoint, PeerLimit
from .unread import Unread

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


def run(control: socket.socket) -> None:
    """Serve until the main process is gone."""
    _allow_many_descriptors()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(control))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A freeze and a thaw wait for this process to turn once, and every byte of a function's passes it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _run(control: socket.socket) -> None:
    finished = asyncio.Event()
    Dialer(control, finished)
    await finished.wait()


def _allow_many_descriptors() -> None:
    """Two descriptors per connection: take what the hard limit gives."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Dialer:
    """The edges of all environments, by the environment's address."""

    def __init__(self, control: socket.socket, finished: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = Channel(control, self._told, finished.set)
        self._offset = time.time() - time.monotonic()
        self._reporter = Reporter(self._channel, self.now)
        self._own_ports: frozenset[int] = frozenset()
        self._outside = True
        self._edges: dict[str, Edge] = {}
        self._denied: defaultdict[str, set[str]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._conditions = Conditions()
        self._own_conditions: dict[str, Conditions] = {}
        """Of environments, by their addresses."""
        self._resolved = Resolved()
        self._inside = Inside()
        self.buffer = bytearray(BUFFER_BYTES)
        self.peers = PeerEvents()
        self.unread = Unread(self.now)
        self.recording = False
        self.tell = self._reporter.tell

    def _told(self, message: AnyMessage, fds: list[int]) -> None:
        match message:
            case Serve(outside):
                self._outside = outside
                task = self._loop.create_task(self._serve(*(socket.socket(fileno=fd) for fd in fds)), name="serve")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case OwnHosts(hosts):
                self._inside = Inside(hosts, fds[0])
            case OwnPorts(ports):
                self._own_ports = frozenset(ports)
            case Decide(conditions, environment):
                self._decide(conditions, environment)
            case Observe(offset, recording):
                self._offset, self.recording = offset, recording
            case PassTime(address, seconds):
                if (edge := self._edges.get(address)) is not None:
                    edge.pass_time(seconds)
            case Hold(address, number):
                self._edge(address).hold(lambda: self._all_held(number))
            case Release(address, number):
                if (edge := self._edges.get(address)) is not None:
                    edge.release(lambda: self._channel.send(Released(number)))
                else:
                    self._channel.send(Released(number))
            case Forget(address):
                self._forget(address)
            case _:
                raise RuntimeError(f"the dialer was sent {message!r}")

    def _all_held(self, number: int) -> None:
        # Whoever hears that nothing passes any more has heard of all that did.
        self._reporter.flush()
        self._channel.send(Held(number))

    def _edge(self, address: str) -> Edge:
        edge = self._edges.get(address)
        if edge is None:
            edge = self._edges[address] = Edge(self, address, self._emptied, self._apply)
        return edge

    def _emptied(self, edge: Edge) -> None:
        if self._edges.get(edge.address) is edge:
            del self._edges[edge.address]

    def _decide(self, conditions: Conditions | None, environment: str | None) -> None:
        if environment is None:
            self._conditions = conditions if conditions is not None else Conditions()
        elif conditions is None:
            self._own_conditions.pop(environment, None)
        else:
            self._own_conditions[environment] = conditions
        for edge in tuple(self._edges.values()):  # what is decided may end connections, and edges with them
            if environment in (None, edge.address):
                self._apply(edge)

    def _apply(self, edge: Edge) -> None:
        """Its connections meet what is chosen now."""
        conditions = self._conditions_of(edge.address)
        edge.slow(conditions.latency_s)
        for connection in tuple(edge.connections):
            hosts, port = self._hosts(edge.address, connection.destination[0]), connection.destination[1]
            if not connection.decide(conditions.fates.of(hosts, port), conditions.middleboxes.of(hosts, port)):
                edge.outdated = True

    def _conditions_of(self, environment: str) -> Conditions:
        return self._own_conditions.get(environment, self._conditions)

    def _hosts(self, environment: str, address: str) -> list[str]:
        """What an environment calls an address, and what people call it."""
        here = (*HOST_NAMES, "localhost", "127.0.0.1") if address == HOST_ADDRESS else ()
        return [*self._resolved.names(environment, address), *here, address]

    async def _serve(
        self, listener: socket.socket, dns_udp: socket.socket, dns_tcp: socket.socket, packets: socket.socket | None = None
    ) -> None:
        try:
            await NameServer(dns_udp, dns_tcp, on_answer=self._resolved.add, hosts=self._inside.names, outside=self._outside).start()
        except OSError as error:
            self._channel.send(Failed(f"the name server could not be started: {error}"))
            return
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept, listener)
        if packets is not None:
            self.unread.look_at(packets)
        self._channel.send(Ready())

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_A_TIME):
            try:
                inner, (address, port) = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._loop.remove_reader(listener)
                    self._loop.call_later(ACCEPT_PAUSE_S, self._loop.add_reader, listener, self._accept, listener)
                    return
                continue  # This one connection failed before it was accepted (accept(2)); the next may be well.
            edge = self._edge(address)
            if len(edge.connections) < MAX_CONNECTIONS_PER_ENVIRONMENT:
                self._take(edge, inner, port)
            else:
                self._turn_away(edge, inner, port)

    def _take(self, edge: Edge, inner: socket.socket, port: int) -> None:
        """An environment dials; `port` is its own."""
        destination = inner.getsockname()
        names = self._resolved.names(edge.address, destination[0])
        hosts, conditions = self._hosts(edge.address, destination[0]), self._conditions_of(edge.address)
        fate, middlebox = conditions.fates.of(hosts, destination[1]), conditions.middleboxes.of(hosts, destination[1])
        edge.latency_s = conditions.latency_s
        edge.connections.add(Connection(self, edge, next(self._numbers), inner, port, names[0] if names else None, fate, middlebox))

    def _turn_away(self, edge: Edge, inner: socket.socket, port: int) -> None:
        address, destination_port = inner.getsockname()
        reset(inner)
        names = self._resolved.names(edge.address, address)
        self.tell(
            ConnectionRefused(
                edge.address,
                at=self.now(),
                host=names[0] if names else None,
                address=address,
                port=destination_port,
                local_port=port,
                reason=f"the environment has {MAX_CONNECTIONS_PER_ENVIRONMENT:,} connections already, as many as AWS gives it file descriptors",
            )
        )

    def _forget(self, address: str) -> None:
        edge = self._edges.pop(address, None)
        if edge is not None:
            edge.forget()
        self._denied.pop(address, None)
        self._own_conditions.pop(address, None)
        self._resolved.forget(address)
        self.unread.forget(address)

    # For connections.

    def now(self) -> float:
        """Epoch seconds by the story's clock."""
        return time.monotonic() + self._offset

    def peer_limit(self, destination: Endpoint) -> PeerLimit | None:
        """What is known of the server at an address and port, as environments dial it."""
        known = self._inside.at(destination)
        if known is None or known.idle_s is None:
            return None
        return PeerLimit(known.idle_s, "rst" if known.close == "rst" else "fin")

    async def dial(self, address: str, destination: Endpoint) -> socket.socket:
        """A connection to where an environment wanted to go. Raises OSError, TimeoutError or DestinationDenied."""
        host, port = destination
        if (known := self._inside.at(destination)) is not None:
            if known.machine_port is None:
                async with asyncio.timeout(DIAL_TIMEOUT_S):
                    return await self._inside.connect(destination)
            host, port = HOST_ADDRESS, known.machine_port
        try:
            if known is None and not self._outside:
                raise DestinationDenied(policy.OUTSIDE)
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

    def _report(self, address: str, destination: str, reason: str) -> None:
        denied = self._denied[address]
        if destination not in denied and len(denied) < MAX_REPORTS_PER_ENVIRONMENT:
            denied.add(destination)
            self._channel.send(Denied(address, destination, reason))


def is_own_address(address: str) -> bool:
    """Whether an address is this machine's: the kernel would then send from it to itself. No packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)
