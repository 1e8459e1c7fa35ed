"""What passes between environments and the router's kernel on connections that no process of ours reads any more.

Two kinds of segments: the resets by which the kernel answers whoever writes on a connection that was lost in a freeze, and what environments send on
such connections, and into black holes. A packet socket has to look. Its filter runs in the kernel and lets nothing else through: what
gigabytes of traffic cost is a few instructions a segment, and little more than headers is copied.
"""

from __future__ import annotations

import ctypes
import re
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
SO_TIMESTAMPNS = 35
"""The kernel says when it had a packet: a function may have finished by the time that we look."""

PACKET_OUTGOING = 4
SKF_AD_PKTTYPE = 0xFFFFF004
"""`linux/filter.h`: SKF_AD_OFF + SKF_AD_PKTTYPE."""

SNAPSHOT = 192
"""Bytes that are copied of a packet: the longest headers, and enough of what follows to see whether it is a request."""

SO_RCVBUFFORCE = 33
BACKLOG_BYTES = 4 << 20
"""What may wait to be read: a pool of hundreds of dead connections can be written to in one go. The kernel's usual limit has place for some 160."""

MAX_PORTS = 240
"""Connections whose segments are looked for: a jump of classic BPF passes over 255 instructions at most."""

# Operations of classic BPF (`linux/filter.h`).
LD_B, LDX_MSH, LD_B_X, LD_H_X = 0x30, 0xB1, 0x50, 0x48
JEQ, JSET, RET = 0x15, 0x45, 0x06

Instruction = tuple[int, int, int, int]
DROP: Instruction = (RET, 0, 0, 0)
TAKE: Instruction = (RET, 0, 0, SNAPSHOT)
NOTHING = (DROP,)

FIN, RST = 0x01, 0x04

FAREWELL_BYTES = 64
"""What clients say when they leave or look whether somebody is there is shorter (TLS close_notify 31, HTTP/2 GOAWAY 17 and 39 within TLS, PostgreSQL
Terminate 5), and requests are longer, but for those of Redis."""

_REDIS = re.compile(rb"\*\d+\r\n\$\d+\r\n(\w+)\r\n")
"""A command: an array of strings, the first of which is its name (Redis serialization protocol)."""

_REDIS_FAREWELLS = (b"PING", b"QUIT")

Flow = tuple[str, int, str, int]
"""The environment's address and port, then the destination's."""


class Reset(NamedTuple):
    """The kernel reset the environment's end of a connection."""

    flow: Flow
    at: float
    """Epoch seconds of the wall clock."""


class Sent(NamedTuple):
    """An environment sent a segment."""

    flow: Flow
    at: float
    size: int
    """Bytes, without headers."""
    ends: bool
    """FIN or RST."""
    farewell: bool
    """What it has is no request."""


def attach_filter(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Have the kernel drop what the program does not let through, before the socket sees it. Raises OSError."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def deafen(sock: socket.socket) -> None:
    """Let the other end's packets go unanswered.

    Some kernels keep filters from ordinary users: what the other end sends is acknowledged then, and it is on the caller to read none of it.
    """
    with suppress(OSError):
        attach_filter(sock, NOTHING)


def program(ports: Sequence[int] = ()) -> list[Instruction]:
    """Lets through the resets that go out, and what comes from these ports of environments, the last `MAX_PORTS` of them."""
    watched = sorted(set(ports[-MAX_PORTS:]))
    return [
        (LD_B, 0, 0, 9),  # the protocol
        (JEQ, 1, 0, socket.IPPROTO_TCP),
        DROP,
        (LD_B, 0, 0, 0),  # the version, in the upper half
        (JSET, 1, 0, 0x40),
        DROP,
        (LDX_MSH, 0, 0, 0),
        (LD_B, 0, 0, SKF_AD_PKTTYPE),
        (JEQ, len(watched) + 2, 0, PACKET_OUTGOING),
        (LD_H_X, 0, 0, 0),  # the port that it comes from
        *((JEQ, len(watched) - place + 2, 0, port) for place, port in enumerate(watched)),
        DROP,
        (LD_B_X, 0, 0, 13),  # the flags
        (JSET, 0, 1, RST),
        TAKE,
        DROP,
    ]


def packet_socket() -> socket.socket:
    """A packet socket of the calling process's namespace that receives outgoing resets only. Raises OSError."""
    # Packets that leave are shown to sockets for all protocols only.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    try:
        attach_filter(sock, program())
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BACKLOG_BYTES)  # as much of it as anybody may have
        with suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BACKLOG_BYTES)
    except OSError:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket) -> Reset | Sent | None:
    """The next captured segment; None for what is none. Raises OSError, BlockingIOError when there is none."""
    data, ancillary, _, source = sock.recvmsg(SNAPSHOT, socket.CMSG_SPACE(16))
    stamp = next((value for level, kind, value in ancillary if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)), None)
    if stamp is None:
        return read(data, time.time(), outgoing=source[2] == PACKET_OUTGOING)
    seconds, nanoseconds = struct.unpack("@ll", stamp)
    return read(data, seconds + nanoseconds / 1e9, outgoing=source[2] == PACKET_OUTGOING)


def read(data: bytes, at: float, *, outgoing: bool) -> Reset | Sent | None:
    """What a captured packet says; None where it is no segment."""
    head = (data[0] & 15) * 4 if data else 0
    if head < 20 or len(data) < head + 20:
        return None
    from_port, to_port = struct.unpack_from("!HH", data, head)
    source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
    if outgoing:
        return Reset((destination, to_port, source, from_port), at)
    begin = head + (data[head + 12] >> 4) * 4
    size = max(struct.unpack_from("!H", data, 2)[0] - begin, 0)
    ends = bool(data[head + 13] & (FIN | RST))
    return Sent((source, from_port, destination, to_port), at, size, ends, is_farewell(data[begin:], size))


def is_farewell(begin: bytes, size: int) -> bool:
    """Whether so many bytes, which begin like this, are no request."""
    if size > FAREWELL_BYTES:
        return False
    command = _REDIS.match(begin)
    return command is None or command[1].upper() in _REDIS_FAREWELLS
