"""From which gap on a thing can happen to a connection. A trial of what cannot happen would blame a function for nothing."""

from __future__ import annotations

from msgspec import Struct

from ...core.upstream import Upstream

PROTOCOLS = {"http1": "HTTP", "http2": "HTTP/2", "grpc": "gRPC"}
"""Of stand-ins."""

PORTS = {
    80: "HTTP",
    443: "TLS",
    3306: "MySQL",
    5432: "PostgreSQL",
    6432: "PostgreSQL",
    5672: "AMQP",
    6379: "Redis",
    6380: "Redis",
    9092: "Kafka",
    11211: "memcached",
    27017: "MongoDB",
    50051: "gRPC",
}
"""Services by their usual ports (IANA's registry; 6380, 6432 and 50051 by habit), where nothing better is known."""

SHORTEST_IDLE_S = {
    "HTTP": 5.0,  # Node before 26, uvicorn, hypercorn
    "TLS": 5.0,
    "HTTP/2": 60.0,  # an ALB; nginx has 75 s
    "gRPC": 60.0,
    "PostgreSQL": 300.0,  # none by itself; managed services and poolers that scale to zero close after 5 min
    "MySQL": 300.0,  # 8 h by itself
    "Redis": 300.0,  # none by itself; 300 is the usual `timeout`
    "MongoDB": 300.0,
    "memcached": 300.0,
    "AMQP": 300.0,
    "Kafka": 600.0,  # connections.max.idle.ms
}
"""The shortest idle limits that servers of a kind commonly have, in seconds."""

UNKNOWN_IDLE_S = 5.0
"""For a server of which nothing is known."""

SILENCE_S = 240.0
"""Before this nothing on a path is known to forget a connection without a word: Azure's load balancer does then (docs: "Load Balancer TCP Reset and Idle
Timeout"); Google's connection tracking after 10 min, AWS's network firewall after 350 s."""

BALANCED = ("HTTP", "TLS", "HTTP/2", "gRPC")
"""What an Application Load Balancer carries."""


class Server(Struct, frozen=True, kw_only=True):
    """What is known of the server behind a destination."""

    protocol: str
    """For people: `HTTP`, `Redis`, ...; `TCP` where nothing says."""
    idle_s: float | None
    """How long it lets a connection be idle at least; None for ever."""
    is_stand_in: bool = False
    """It is one of the lab's: it does what its `--upstream` says, and `idle_s` is its own limit. Otherwise that is the shortest one that is common."""


def server(host: str, port: int, upstreams: tuple[Upstream, ...], *, http2: bool) -> Server:
    """What its stand-in says, or its port. `http2`: its connections have carried HTTP/2 frames."""
    found = next((one for one in upstreams if (one.host, one.port) == (host, port)), None)
    if found is not None and found.protocol in PROTOCOLS:
        return Server(protocol=PROTOCOLS[found.protocol], idle_s=found.idle_s, is_stand_in=True)
    if found is not None and found.protocol == "echo":
        return Server(protocol="TCP", idle_s=found.idle_s, is_stand_in=True)
    served = found.machine_port if found is not None else None
    protocol = "HTTP/2" if http2 else PORTS.get(port) or PORTS.get(served or 0, "TCP")
    return Server(protocol=protocol, idle_s=SHORTEST_IDLE_S.get(protocol, UNKNOWN_IDLE_S))
