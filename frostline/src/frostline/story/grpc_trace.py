"""What gRPC libraries write about their connections when they are told to trace: from a log line to what it means.

Read are the lines of grpc-js (`GRPC_TRACE=keepalive,dns_resolver,resolving_load_balancer`, `GRPC_VERBOSITY=DEBUG`), of C-core (grpcio and its kin,
`GRPC_TRACE=http_keepalive,...`) and of grpc-go (`GRPC_GO_LOG_SEVERITY_LEVEL=info`).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

GrpcLibrary = Literal["grpc-js", "grpc-core", "grpc-go"]
GrpcWhat = Literal[
    "ping_sent",
    "ping_answered",
    "ping_timed_out",
    "resolving",
    "resolved",
    "resolution_delayed",
    "connecting",
    "ready",
    "idle",
    "failing",
    "disconnected",
    "other",
]


class GrpcTrace(Struct, frozen=True):
    """One trace line."""

    at: float
    environment: str
    request_id: str | None
    library: GrpcLibrary
    tracer: str
    """The tracer as its library calls it: `keepalive`, `dns_resolver`, ..."""
    what: GrpcWhat
    subject: str
    """The address, target or channel that it speaks of; empty where it names none."""
    text: str


def read_trace(text: str, *, at: float, environment: str, request_id: str | None) -> GrpcTrace | None:
    """The trace that a log line is, or None for any other line."""
    del text, at, environment, request_id
    return None
