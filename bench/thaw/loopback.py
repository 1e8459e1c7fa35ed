"""The servers of the table on this machine's loopback, in a process of their own: what measures a client's processor time must not count theirs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from frostline.testing.upstreams import LocalUpstream

from .cells import Server
from .servers import fake

LIMIT_S = 60.0


@contextmanager
def on_loopback(wanted: Iterable[Server]) -> Iterator[dict[Server, str]]:
    """`HOST:PORT` of each server, until the context ends. Raises OSError when they do not start."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, list(dict.fromkeys(wanted))), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(LIMIT_S):
            raise OSError(f"the servers did not start within {LIMIT_S:g} s")
        try:
            yield here.recv()
        except EOFError:
            raise OSError("the servers ended at their start; see above") from None
    finally:
        here.close()
        process.join()


def _serve(parent: Connection, wanted: list[Server]) -> None:
    found: dict[Server, str] = {}
    running = []
    for kind in wanted:
        if kind in ("http1", "http2", "grpc"):
            upstream = LocalUpstream(f"{kind},idle=never")
            upstream.start()
            found[kind] = upstream.address
            running.append(upstream.stop)
        else:
            server = fake(kind)
            found[kind] = f"127.0.0.1:{server.port}"
            running.append(server.close)
    parent.send(found)
    parent.poll(None)  # until the other end is closed
    for stop in running:
        stop()
