"""The dialer's way to the lab's own hosts.

The dialer lives in the machine's network, and their servers listen in the router's namespace. A thread of the dialer steps into that
namespace and makes the sockets: a socket belongs to the namespace it was made in, whoever uses it. So nothing has to listen on the machine.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..warden.syscalls import CLONE_NEWNET, setns
from .hosts import Endpoint, LabHost, LabPort
from .names import MACHINE


class Inside:
    """What the dialer knows of the lab's own hosts."""

    def __init__(self, hosts: Sequence[LabHost] = (), netns: int = -1) -> None:
        """`netns`: a descriptor of the router's network namespace, which is this object's now."""
        self.names = {**MACHINE, **{host.name: host.address for host in hosts}}
        """The lab's names and addresses, the machine's among them."""
        self._ports = {(host.address, port.port): port for host in hosts for port in host.ports}
        self._netns = netns
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inside")

    def at(self, destination: Endpoint) -> LabPort | None:
        """The port of a host of the lab, or None for all other destinations."""
        return self._ports.get(destination)

    async def connect(self, destination: Endpoint) -> socket.socket:
        """A connection to a server in the lab. Raises OSError."""
        loop = asyncio.get_running_loop()
        sock = await loop.run_in_executor(self._thread, self._new_socket)
        try:
            await loop.sock_connect(sock, destination)
        except BaseException:
            sock.close()
            raise
        return sock

    def _new_socket(self) -> socket.socket:
        """In the thread, whose network namespace is its own (setns(2)); the process stays where it is."""
        if self._netns >= 0:
            setns(self._netns, CLONE_NEWNET)
            os.close(self._netns)
            self._netns = -1
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        return sock
