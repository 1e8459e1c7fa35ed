"""The process in which all upstreams of a run are.

It is given its upstreams as an argument, and one socket, at descriptor 3: on it come the listening sockets, in the upstreams' order, and on it
goes what is told (`reporter`). At its end of file the process ends. What takes time, imports and certificates, is done before the sockets
are there, while the lab is being built.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket

from ..core.upstream import Upstream, UpstreamsReady
from .connection import Tell
from .reporter import Reporter
from .server import ALPN, Server

CONTROL_FD = 3


def run(control: socket.socket, upstreams: tuple[Upstream, ...]) -> None:
    """Serve until the other side is gone. Raises OSError, also when a descriptor was lost on its way."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_run(control, upstreams))


async def _run(control: socket.socket, upstreams: tuple[Upstream, ...]) -> None:
    reporter = Reporter()
    servers, authority = prepare(upstreams, reporter.tell)
    listeners = receive(control, len(servers))  # blocks, and nothing else is there yet that could be kept waiting
    if not listeners:
        return
    for server, listener in zip(servers, listeners, strict=True):
        server.start(listener)
    await asyncio.get_running_loop().create_unix_connection(lambda: reporter, sock=control)
    reporter.say(UpstreamsReady(authority=authority))
    await reporter.ended.wait()
    os._exit(0)  # at once: nobody waits for connections, or for the threads of gRPC


def prepare(upstreams: tuple[Upstream, ...], tell: Tell, *, names: tuple[str, ...] = ()) -> tuple[list[Server], str]:
    """The servers, and the certificate by which they are trusted (PEM; nothing without TLS). `names`: what they are called beside their own."""
    authority = None
    if any(upstream.tls for upstream in upstreams):
        from .authority import Authority

        authority = Authority()
    servers = []
    for upstream in upstreams:
        context = authority.context([upstream.host, *names], ALPN[upstream.protocol]) if authority is not None and upstream.tls else None
        servers.append(Server(upstream, tell, context))
    return servers, authority.pem if authority is not None else ""


def receive(control: socket.socket, count: int) -> list[socket.socket]:
    """The listening sockets; none when the other side has gone."""
    data, fds, flags, _ = socket.recv_fds(control, 1, count)
    if flags & socket.MSG_CTRUNC or (data and len(fds) != count):
        raise OSError(f"{len(fds)} of {count} listening sockets arrived: this process has too many open files (see `ulimit -n`)")
    return [socket.socket(fileno=fd) for fd in fds]
