"""The lab's own hosts: upstreams, each name with an address that functions are given for it.

Their servers listen in the router's namespace, at sockets that the lab process made and gave away; a port can also stand for one of the
developer's machine. How the dialer gets there is in `inside`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ...core.upstream import Close, Upstream
from .addresses import lab_host_address

Endpoint = tuple[str, int]


class LabPort(Struct, frozen=True, kw_only=True):
    """One port of a host."""

    port: int
    machine_port: int | None = None
    """The port of the developer's machine that it stands for; None where a server listens in the lab."""
    idle_s: float | None = None
    """How long that server lets a connection be idle, and how it closes it then."""
    close: Close = "fin"


class LabHost(Struct, frozen=True, kw_only=True):
    name: str
    address: str
    ports: tuple[LabPort, ...]


def by_host(upstreams: Iterable[Upstream]) -> tuple[Upstream, ...]:
    """The upstreams in the order in which everything about them is handed on: those of one name together."""
    grouped: dict[str, list[Upstream]] = {}
    for upstream in upstreams:
        grouped.setdefault(upstream.host, []).append(upstream)
    return tuple(upstream for group in grouped.values() for upstream in group)


def lay_out(upstreams: Iterable[Upstream]) -> tuple[LabHost, ...]:
    """Hosts for these upstreams, with addresses in the order of their names."""
    ports: dict[str, list[LabPort]] = {}
    for upstream in upstreams:
        port = LabPort(port=upstream.port, machine_port=upstream.machine_port, idle_s=upstream.idle_s, close=upstream.close)
        ports.setdefault(upstream.host, []).append(port)
    return tuple(LabHost(name=name, address=lab_host_address(number), ports=tuple(ports[name])) for number, name in enumerate(ports, 1))


def served(hosts: Iterable[LabHost]) -> list[Endpoint]:
    """Where servers listen, in the order of `by_host`."""
    return [(host.address, port.port) for host in hosts for port in host.ports if port.machine_port is None]
