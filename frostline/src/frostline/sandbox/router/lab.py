"""The lab process: the router's network namespace in person.

It is started inside a fresh network namespace, builds the router there, makes the listening sockets and gives them away, then attaches and
detaches environments as it is told. Strictly one thing at a time: no step takes longer than a millisecond, except deleting links, which is
put off until nothing else waits.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections import deque

import msgspec

from . import messages, resets, ruleset
from .addresses import SLOTS, environment_address
from .hosts import LabHost, served
from .links import Links
from .messages import Attach, Attached, AttachFailed, Detach, Failed, Furnished, Ready
from .netlink import NetlinkError
from .ruleset import DNS_PORT, STEER_PORT, RulesetError

BACKLOG = 4096
"""Connections that wait for the dialer; the kernel's own limit (net.core.somaxconn) for a fresh namespace."""


def run(control: socket.socket, nft: str, hosts: str = "[]") -> None:
    """Build the router and serve until the main process is gone. `hosts`: the lab's own (`hosts.LabHost`), as JSON."""
    try:
        lab = Lab(control)
        own = msgspec.json.decode(hosts, type=tuple[LabHost, ...])
        sockets = lab.build(nft, own)
        if own:
            lab.furnish(own)
    except (NetlinkError, RulesetError, OSError) as error:
        messages.send(control, Failed(f"the router could not be built: {error}"))
        return
    messages.send(control, Ready(), [sock.fileno() for sock in sockets])
    for sock in sockets:
        sock.close()
    lab.serve()


class Lab:
    """Which environment has which slot; the rest is in the kernel."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._links = Links()
        self._slots: dict[str, int] = {}
        # First in, first out: an address rests as long as possible before another environment gets it, so that late packets of its
        # former owner's connections meet nobody.
        self._free = deque(SLOTS)
        self._condemned: list[int] = []

    def build(self, nft: str, hosts: tuple[LabHost, ...] = ()) -> list[socket.socket]:
        """Links, rules, sockets. Raises NetlinkError, RulesetError, OSError."""
        self._links.prepare(host.address for host in hosts)
        ruleset.load(nft, [(host.address, port.port) for host in hosts for port in host.ports])
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        sockets = [transparent_socket(stream, STEER_PORT), transparent_socket(datagram, DNS_PORT), transparent_socket(stream, DNS_PORT)]
        for sock in sockets:
            if sock.type == stream:
                sock.listen(BACKLOG)
        with contextlib.suppress(OSError):  # a kernel without packet sockets: what a lost connection's write meets is then not recorded
            sockets.append(resets.packet_socket())
        return sockets

    def furnish(self, hosts: tuple[LabHost, ...]) -> None:
        """Give away this namespace, in which the lab's hosts are dialed, and the sockets at which their servers listen. Raises OSError."""
        with open("/proc/self/ns/net", "rb") as netns, contextlib.ExitStack() as stack:
            listeners = [stack.enter_context(listening_socket(address, port)) for address, port in served(hosts)]
            fds = [netns.fileno(), *(listener.fileno() for listener in listeners)]
            for first in range(0, len(fds), messages.MAX_FDS):
                messages.send(self._control, Furnished(), fds[first : first + messages.MAX_FDS])

    def serve(self) -> None:
        """Until end-of-file."""
        while True:
            if self._condemned and not self._message_waits():
                self._sweep()
            received = messages.receive(self._control)
            if received is None:
                return
            message, fds = received
            match message:
                case Attach(environment):
                    messages.send(self._control, self._attach(environment, fds))
                case Detach(environment):
                    self._detach(environment)
                case _:
                    raise RuntimeError(f"the lab was sent {message!r}")
            for fd in fds:
                # An environment's namespace lives as long as anybody holds a descriptor of it.
                os.close(fd)

    def _attach(self, environment: str, fds: list[int]) -> Attached | AttachFailed:
        if environment in self._slots:
            return AttachFailed(environment, "it is attached already")
        if len(fds) != 1:
            return AttachFailed(environment, "its network namespace was not handed over")
        sweep_first = bool(self._condemned)
        try:
            slot = self._connect(fds[0])
        except (NetlinkError, OSError) as error:
            if not sweep_first:
                return AttachFailed(environment, str(error))
            # A namespace that was detached just now still has its old link.
            self._sweep()
            return self._attach(environment, fds)
        self._slots[environment] = slot
        return Attached(environment, environment_address(slot))

    def _connect(self, netns: int) -> int:
        if not self._free:
            raise OSError(f"all {len(SLOTS):,} addresses are in use")
        slot = self._free.popleft()
        try:
            self._links.attach(slot, netns)
        except (NetlinkError, OSError):
            self._condemn(slot)
            raise
        return slot

    def _detach(self, environment: str) -> None:
        slot = self._slots.pop(environment, None)
        if slot is not None:
            self._condemn(slot)

    def _condemn(self, slot: int) -> None:
        self._links.condemn(slot)
        self._condemned.append(slot)

    def _message_waits(self) -> bool:
        return bool(select.select([self._control], [], [], 0)[0])

    def _sweep(self) -> None:
        self._links.sweep()
        self._free.extend(self._condemned)
        self._condemned.clear()


def transparent_socket(kind: socket.SocketKind, port: int) -> socket.socket:
    """A socket that takes and sends packets under addresses that are not ours (IP_TRANSPARENT, ip(7))."""
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_IP, socket.IP_TRANSPARENT, 1)
    sock.bind(("0.0.0.0", port))
    return sock


def listening_socket(address: str, port: int) -> socket.socket:
    """A socket that listens at a port of one of the lab's hosts. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"no server can listen at {address}:{port} in the lab: {error.strerror}") from error
    return sock
