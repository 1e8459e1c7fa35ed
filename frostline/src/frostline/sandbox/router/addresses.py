"""The lab's address plan. Standard library only and cheap to import, because every process of the sandbox may need it.

Why 198.19.0.0/17: RFC 2544 sets 198.18.0.0/15 aside for benchmarks between devices, so no LAN, VPN or Internet host has such an address.
10/8, 172.16/12 and 192.168/16 are what LANs and container engines use; 100.64/10 is carrier NAT and Tailscale; 169.254/16 is link-local,
and cloud machines keep their credentials there. Within the benchmark range two other users are known, and both are left alone: proxies
that invent addresses for names (Clash, 198.18.0.0/16) and OrbStack (198.19.192.0/18).

A clash would cost little: no packet of an environment leaves the router, and what it dials is dialed anew from the machine. Only addresses
within the /17 itself could then not be reached.
"""

from __future__ import annotations

LAB_NETWORK = "198.19.0.0/17"
"""All addresses of the lab: 198.19.0.0/18 for environments, 198.19.64.0/18 for its own hosts, whose last /24 is `SERVICE_NETWORK`."""

SERVICE_NETWORK = "198.19.127.0/24"
"""Where the four addresses below are, and nothing else."""

GATEWAY_ADDRESS = "198.19.127.1"
"""Every environment's next hop; also the source of the router's own ICMP messages."""

HOST_ADDRESS = "198.19.127.2"
"""Stands for the developer's machine: dialed as 127.0.0.1, then ::1."""

NAMESERVER_ADDRESS = "198.19.127.3"
"""What an environment's `/etc/resolv.conf` names. Port 53 of every other address is answered by the same name server."""

OUTSIDE_ADDRESS = "198.19.127.4"
"""What every name outside of the lab resolves to where nothing outside is reached: whoever dials it is refused, and told why."""

HOST_NAMES = ("host.frostline.internal", "host.docker.internal")
"""Names of the developer's machine: ours, and the one that people already have in their settings. They resolve to `HOST_ADDRESS`."""

LAB_DOMAIN = "frostline.internal"
"""Names below it are the lab's: answered here or not at all, never asked of the real network."""

RESOLV_CONF = f"nameserver {NAMESERVER_ADDRESS}\noptions ndots:1\n"
"""An environment's `/etc/resolv.conf`: no search list, as names are looked up by the machine's resolver, which has its own."""

ENVIRONMENT_INTERFACE = "eth0"
"""An environment's end of its veth."""

ROUTER_INTERFACE_PREFIX = "env"
"""The router's ends: `env1`, `env2`, ... The nft table matches on it."""

GATEWAY_MAC = bytes.fromhex("020000001901")
ENVIRONMENT_MAC = bytes.fromhex("020000001902")
"""Fixed, and the same in every environment (each veth is a link of its own), so that both neighbours can be entered as permanent."""

SLOTS = range(1, 1 << 14)
"""Numbers of environments: the host part of 198.19.0.0/18."""


HOSTS = range(1, 63 << 8)
"""Numbers of the lab's own hosts, which are upstreams: the host part of 198.19.64.0/18, up to where `SERVICE_NETWORK` begins."""


def lab_host_address(number: int) -> str:
    """The IPv4 address of one of the lab's own hosts. Raises ValueError outside `HOSTS`."""
    if number not in HOSTS:
        raise ValueError(f"host {number} is outside {HOSTS.start}..{HOSTS.stop - 1}")
    return f"198.19.{64 + (number >> 8)}.{number & 255}"


def environment_address(slot: int) -> str:
    """The IPv4 address of the environment in a slot. Raises ValueError outside `SLOTS`."""
    if slot not in SLOTS:
        raise ValueError(f"slot {slot} is outside {SLOTS.start}..{SLOTS.stop - 1}")
    return f"198.19.{slot >> 8}.{slot & 255}"
