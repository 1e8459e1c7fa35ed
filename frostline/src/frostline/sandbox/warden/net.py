"""The part of an environment's network that needs nobody else: its loopback, and the Runtime API's address on it."""

from __future__ import annotations

import fcntl
import socket
import struct

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
IFF_UP = 0x1

API_HOST, API_PORT = "169.254.100.1", 9001
BACKLOG = 4096
"""Thousands of connections from a runtime that misbehaves must not hide the one that matters. The kernel's default limit is the same."""


def _ifreq_address(name: str, address: str) -> bytes:
    return struct.pack("16sH2x4s8x", name.encode(), socket.AF_INET, socket.inet_aton(address))


def loopback_up() -> None:
    """Bring `lo` up (which gives it 127.0.0.1) and add the Runtime API's address, for this host alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        fcntl.ioctl(sock, SIOCSIFADDR, _ifreq_address("lo:api", API_HOST))
        fcntl.ioctl(sock, SIOCSIFNETMASK, _ifreq_address("lo:api", "255.255.255.255"))


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(BACKLOG)
    return sock
