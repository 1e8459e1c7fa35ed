"""Sees the resets that the router's kernel sends to environments: the answer to whoever writes on a connection that was lost in a freeze.

No process of ours has a socket for such a connection any more, so a packet socket has to look. Its filter runs in the kernel and lets nothing
through but outgoing TCP segments with RST: what gigabytes of traffic cost is a few instructions each, and only headers are copied.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from contextlib import suppress

ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
SO_TIMESTAMPNS = 35
"""The kernel says when it sent a packet: a function may have finished by the time that we look."""

PACKET_OUTGOING = 4
SKF_AD_PKTTYPE = 0xFFFFF004
"""`linux/filter.h`: SKF_AD_OFF + SKF_AD_PKTTYPE."""

HEADERS = 80
"""Bytes: the longest IPv4 header and TCP's ports."""

# Operations of classic BPF (`linux/filter.h`).
LD_B, LDX_MSH, LD_B_X = 0x30, 0xB1, 0x50
JEQ, JSET, RET = 0x15, 0x45, 0x06

RESETS = (
    (LD_B, 0, 0, SKF_AD_PKTTYPE),
    (JEQ, 0, 7, PACKET_OUTGOING),
    (LD_B, 0, 0, 9),  # the protocol
    (JEQ, 0, 5, socket.IPPROTO_TCP),
    (LD_B, 0, 0, 0),  # the version, in the upper half
    (JSET, 0, 3, 0x40),
    (LDX_MSH, 0, 0, 0),
    (LD_B_X, 0, 0, 13),  # the flags
    (JSET, 1, 0, 0x04),
    (RET, 0, 0, 0),
    (RET, 0, 0, HEADERS),
)
NOTHING = ((RET, 0, 0, 0),)

Flow = tuple[str, int, str, int]
"""The environment's address and port, then the destination's."""


def attach_filter(sock: socket.socket, program: tuple[tuple[int, int, int, int], ...]) -> None:
    """Have the kernel drop what the program does not let through, before the socket sees it. Raises OSError."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def deafen(sock: socket.socket) -> None:
    """Let the other end's packets go unanswered.

    Some kernels keep filters from ordinary users: what the other end sends is acknowledged then, and it is on the caller to read none of it.
    """
    with suppress(OSError):
        attach_filter(sock, NOTHING)


def packet_socket() -> socket.socket:
    """A packet socket of the calling process's namespace that receives outgoing resets only. Raises OSError."""
    # Packets that leave are shown to sockets for all protocols only.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    try:
        attach_filter(sock, RESETS)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket) -> tuple[Flow | None, float]:
    """The next captured reset, and when it was sent (epoch seconds). Raises OSError, BlockingIOError when there is none."""
    data, ancillary, _, _ = sock.recvmsg(HEADERS, socket.CMSG_SPACE(16))
    stamp = next((value for level, kind, value in ancillary if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)), None)
    if stamp is None:
        return read(data), time.time()
    seconds, nanoseconds = struct.unpack("@ll", stamp)
    return read(data), seconds + nanoseconds / 1e9


def read(data: bytes) -> Flow | None:
    """The flow that a captured segment reset, or None for what is none."""
    head = (data[0] & 15) * 4 if data else 0
    if head < 20 or len(data) < head + 4:
        return None
    source, destination = struct.unpack_from("!HH", data, head)
    return socket.inet_ntoa(data[16:20]), destination, socket.inet_ntoa(data[12:16]), source
