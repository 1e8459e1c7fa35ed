"""What the kernel knows of a TCP connection, and what can be done to one behind its back."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import NamedTuple

TCP_REPAIR = 19
"""`linux/tcp.h`. A socket that is closed in this mode ends without a packet: whoever writes to it afterwards meets a stranger, and a reset.
Takes CAP_NET_ADMIN over the socket's network namespace."""

SO_MEMINFO = 55
SK_MEMINFO_DROPS = 8

TCP_INFO_BYTES = 144
STATE, LAST_DATA_RECEIVED, TOTAL_RETRANSMITTED, SEGMENTS_IN = 0, 52, 100, 140
"""Offsets in `struct tcp_info` (`linux/tcp.h`), whose fields stay where they are: new ones are added at its end."""

OVER = frozenset((6, 7, 9, 11))
"""TIME_WAIT, CLOSE, LAST_ACK and CLOSING (`net/tcp_states.h`): both ends have ended it."""


_u32 = struct.Struct("=I").unpack_from


class Info(NamedTuple):
    """Some of `struct tcp_info`."""

    quiet_s: float
    """Since the other end's last data, or since the connection was opened."""
    retransmitted: int
    """Segments that were sent again."""
    segments_in: int
    """Of the other end's, those without data too."""
    over: bool
    """Both ends have ended it; whoever is reset now does not hear of it."""


def info(sock: socket.socket) -> Info:
    """What the kernel says about a connection; zeros where it says nothing any more."""
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES).ljust(TCP_INFO_BYTES, b"\0")
    except OSError:
        data = bytes(TCP_INFO_BYTES)
    return Info(
        _u32(data, LAST_DATA_RECEIVED)[0] / 1000, _u32(data, TOTAL_RETRANSMITTED)[0], _u32(data, SEGMENTS_IN)[0], data[STATE] in OVER
    )


def waiting(sock: socket.socket) -> int:
    """Bytes that came and that nobody has read (tcp(7), SIOCINQ)."""
    found: int = struct.unpack("=i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]
    return found


def drops(sock: socket.socket) -> int:
    """Packets that did not get past the socket's filter."""
    found: int = struct.unpack_from("=9I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[SK_MEMINFO_DROPS]
    return found


def reset(sock: socket.socket) -> None:
    """Close with RST (SO_LINGER with zero seconds, socket(7)), so that the other end sees a failure and not an ordinary end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def vanish(sock: socket.socket) -> None:
    """Close without a packet. Raises PermissionError (see `TCP_REPAIR`)."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()
