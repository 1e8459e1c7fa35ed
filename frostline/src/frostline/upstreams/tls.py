"""TLS without a socket: bytes of the network in, bytes of the application out, and the other way round.

Not asyncio's own: there the end of TLS waits for the client's, for half a minute, before the end of TCP is sent. A server says close_notify
and FIN at once. And here the handshake passes the path's latency like everything else.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

READ_BYTES = 65_536


class Tls:
    """The server's end of one TLS connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.ready = False
        """The handshake is done."""
        self.ended = False
        """The client has said close_notify."""

    def received(self, data: bytes) -> bytes:
        """Take bytes of the network; the application's bytes in them. Raises ssl.SSLError; see `outgoing` in either case."""
        self._incoming.write(data)
        plain = bytearray()
        try:
            if not self.ready:
                self._object.do_handshake()
                self.ready = True
            while chunk := self._object.read(READ_BYTES):
                plain += chunk
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return bytes(plain)

    def sent(self, data: bytes) -> bytes:
        """The network's bytes for the application's."""
        self._object.write(data)
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What TLS itself has to say: handshake, alerts, tickets."""
        return self._outgoing.read()

    def end(self) -> bytes:
        """The network's bytes for the end of TLS, close_notify; nothing when there was no handshake."""
        if self.ready:
            with suppress(ssl.SSLError):  # the client's close_notify has not come, and nobody waits for it
                self._object.unwrap()
        return self.outgoing()
