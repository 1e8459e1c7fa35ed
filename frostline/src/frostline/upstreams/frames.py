"""HTTP/2 frames that pass by (RFC 9113, 4.1): only their heads are read, to know which streams are open. No I/O here.

For gRPC: grpcio's server answers, and whoever stands before it has to know when a connection is idle.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

PREFACE_BYTES = 24
HEAD_BYTES = 9

DATA, HEADERS, RST_STREAM, GOAWAY = 0x0, 0x1, 0x3, 0x7
END_STREAM = 0x1

MAX_DETAIL = 256
"""Bytes of a GOAWAY that are kept."""


class Frames:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        """Streams that the server has not ended."""
        self.highest = 0
        """The client's last stream."""
        self.goaway: str | None = None
        """What the server said with its GOAWAY, once it has said one."""
        self._from_client, self._from_server = _Reader(PREFACE_BYTES), _Reader(0)

    def client(self, data: bytes) -> bool:
        """The client sent this; whether some of it belongs to requests."""
        asked = False
        for kind, _, stream, _ in self._from_client.feed(data):
            asked |= kind in (DATA, HEADERS)
            if kind == HEADERS and stream > self.highest:
                self.highest = stream
                self.open.add(stream)
            elif kind == RST_STREAM:
                self.open.discard(stream)
        return asked

    def server(self, data: bytes) -> None:
        """The server sent this."""
        for kind, flags, stream, payload in self._from_server.feed(data):
            if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                self.open.discard(stream)
            elif kind == GOAWAY:
                self.goaway = payload[8:].decode(errors="replace")


class _Reader:
    """Heads of frames in one direction, however the bytes are cut; with GOAWAY, what it carries."""

    def __init__(self, skip: int) -> None:
        self._skip = skip
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, flags, stream and payload (of GOAWAY; else nothing) of the frames that begin here."""
        data = self._rest + data
        self._rest = b""
        at = 0
        while True:
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
            if len(data) - at < HEAD_BYTES:
                break
            length, kind, flags, stream = _head(data, at)
            wanted = HEAD_BYTES + (min(length, MAX_DETAIL) if kind == GOAWAY else 0)
            if len(data) - at < wanted:
                break
            yield kind, flags, stream, data[at + HEAD_BYTES : at + wanted]
            at += wanted
            self._skip = length - (wanted - HEAD_BYTES)
        self._rest = data[at:]


def _head(data: bytes, at: int) -> tuple[int, int, int, int]:
    high, low, kind, flags, stream = struct.unpack_from("!BHBBI", data, at)
    return high << 16 | low, kind, flags, stream & 0x7FFFFFFF


def goaway(last_stream: int) -> bytes:
    """A GOAWAY frame with NO_ERROR: streams above were not looked at."""
    return struct.pack("!BHBBIII", 0, 8, GOAWAY, 0, 0, last_stream, 0)
