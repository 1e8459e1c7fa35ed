"""Which destinations the dialer dials, and as what. What only the machine can know (is this address its own?) it is told."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from .addresses import HOST_ADDRESS, HOST_NAMES, LAB_NETWORK

_LAB = IPv4Network(LAB_NETWORK)
_BROADCAST = IPv4Address("255.255.255.255")


class DestinationDenied(Exception):
    """This destination is not dialed; the text says why, for the person who wonders about a reset connection."""


OUTSIDE = "it is outside of the lab, and this run reaches nothing there"


def candidates(address: str, port: int, own_ports: frozenset[int], is_own_address: Callable[[str], bool]) -> tuple[str, ...]:
    """The addresses to dial in turn for what a function connected to. Raises DestinationDenied.

    `own_ports` are Frostline's own listeners on this machine (the Invoke API and so on), whose callers are people and their SDKs.
    """
    if address == HOST_ADDRESS:
        _deny_own_port(HOST_NAMES[0], port, own_ports)
        return ("127.0.0.1", "::1")
    ip = IPv4Address(address)
    if ip in _LAB:
        raise DestinationDenied(f"{address} belongs to the lab, and nothing listens there")
    if ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip == _BROADCAST:
        raise DestinationDenied(f"{address} is not the address of another host; this machine is {HOST_NAMES[0]}")
    if ip.is_link_local:
        # A cloud machine's metadata service hands out its credentials, and real Lambda has none at that address.
        raise DestinationDenied(f"{address} is link-local: such addresses belong to the machine, not to its functions")
    if port in own_ports and is_own_address(address):
        _deny_own_port(address, port, own_ports)
    return (address,)


def _deny_own_port(host: str, port: int, own_ports: frozenset[int]) -> None:
    if port in own_ports:
        raise DestinationDenied(f"{host}:{port} is Frostline itself, which functions reach only when they are allowed to")
