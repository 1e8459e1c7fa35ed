"""The servers of the table. HTTP and gRPC are upstreams of the lab; Redis, PostgreSQL and MongoDB are services of this machine: as much of them as
the clients need, and they count which keys they saw. Their fakes are those of thawsafe's tests.

Each cell has a name of its own for its server, because thawsafe learns about a path from the connections that died on it, and what one cell taught must not
help the next.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from frostline.core.upstream import Upstream, parse

from .cells import Server

if TYPE_CHECKING:
    from tests.thawsafe.servers.tcp import CountingServer

PORTS: dict[Server, int] = {"http1": 80, "http2": 80, "grpc": 443, "redis": 6379, "postgres": 5432, "mongo": 27017}
RTT_MS = 10
"""Of the lab's paths: far enough that a round trip can be told from noise. Services of this machine are as near as they are."""

REPOSITORY = Path(__file__).parents[2]


def peer(server: Server, number: int) -> str:
    """`HOST:PORT` of a server for the cell with this number."""
    return f"{server}-{number}.local:{PORTS[server]}"


class Servers:
    """Those of one run."""

    def __init__(self, upstreams: tuple[Upstream, ...], counting: list[CountingServer]) -> None:
        self.upstreams = upstreams
        self._counting = counting

    def seen_twice(self) -> set[str]:
        """The keys that a service of this machine saw more than once. What upstreams saw is in the story."""
        return {key for server in self._counting for key, times in server.seen.items() if times > 1}


@contextmanager
def serving(wanted: Iterable[Server], cells: int) -> Iterator[Servers]:
    """The servers, for so many cells, until the context ends."""
    texts, counting = [], []
    with ExitStack() as stack:
        for kind in dict.fromkeys(wanted):
            if kind in ("http1", "http2", "grpc"):
                what = f"{kind},idle=never,rtt={RTT_MS}ms"
            else:
                server = fake(kind)
                stack.callback(server.close)
                counting.append(server)
                what = f"host:{server.port}"
            texts += [f"{peer(kind, number)}={what}" for number in range(cells)]
        yield Servers(parse(texts), counting)


def fake(kind: Server) -> CountingServer:
    """A service of this machine, which counts. Its owner closes it."""
    if str(REPOSITORY) not in sys.path:
        sys.path.append(str(REPOSITORY))
    server: CountingServer = getattr(import_module(f"tests.thawsafe.servers.{kind}"), f"{kind.capitalize()}Server")()
    return server
