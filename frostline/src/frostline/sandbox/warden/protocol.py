"""Messages over a Unix stream socket: a header, a JSON object, and file descriptors beside it.

A stream and a length, rather than SOCK_SEQPACKET, because macOS has no SOCK_SEQPACKET for Unix sockets, and because an environment's
variables may be larger than one packet.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Message = dict[str, Any]
else:
    Message = dict

HEADER = struct.Struct("!IB")
"""Length of the JSON text, number of descriptors."""

MAX_DESCRIPTORS = 64
"""Most descriptors beside one message; Linux allows 253."""

CHUNK = 65536
_ANCILLARY = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
# Linux closes them on exec atomically; elsewhere `receive` does it one by one, in processes that have one thread.
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def encode(message: Message, descriptors: int = 0) -> bytes:
    """The bytes of a message that travels with so many descriptors."""
    if descriptors > MAX_DESCRIPTORS:
        raise ValueError(f"{descriptors} descriptors with one message; at most {MAX_DESCRIPTORS}")
    body = json.dumps(message, separators=(",", ":")).encode()
    return HEADER.pack(len(body), descriptors) + body


def send_some(sock: socket.socket, data: bytes | memoryview, fds: Sequence[int]) -> int:
    """One `sendmsg`; how many bytes went. The descriptors go with the first byte."""
    if not fds:
        return sock.send(data)
    return sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send a whole message on a blocking socket. The caller keeps its descriptors."""
    data = memoryview(encode(message, len(fds)))
    sent = send_some(sock, data, fds)
    if sent < len(data):
        sock.sendall(data[sent:])


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """One `recvmsg`: bytes and descriptors. No bytes: the other side is gone."""
    data, ancillary, flags, _ = sock.recvmsg(CHUNK, _ANCILLARY, _FLAGS)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if not _FLAGS:
        for fd in fds:
            os.set_inheritable(fd, False)
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise OSError("descriptors were lost on the way: this process has too many open files (see `ulimit -n`)")
    return data, list(fds)


class Decoder:
    """Puts messages together from what `receive` returned, however the stream was cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fds: list[int] = []

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> Iterator[tuple[Message, list[int]]]:
        """Take bytes and descriptors; yield the messages that are complete, each with its own descriptors."""
        self._buffer += data
        self._fds += fds
        while len(self._buffer) >= HEADER.size:
            length, descriptors = HEADER.unpack_from(self._buffer)
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            message = json.loads(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            mine, self._fds = self._fds[:descriptors], self._fds[descriptors:]
            yield message, mine
