"""A TCP proxy in this process that gives connections their fate, as `frostline.core.fates` names them, without a kernel's help.

What a freeze did to a connection is seen when the client writes the next time:

    survive         bytes go on
    fin_delivered   the client's kernel has had the FIN before the thaw
    lost            nothing is visible; the first write is answered by RST, and the server never sees it
    blackhole       nothing is visible; whatever is written vanishes
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal

Fate = Literal["survive", "fin_delivered", "lost", "blackhole"]
FATES: tuple[Fate, ...] = ("survive", "fin_delivered", "lost", "blackhole")
_RST = struct.pack("ii", 1, 0)


class _Pair:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.fate: Fate = "survive"

    def start(self) -> None:
        for source, target, from_client in ((self.client, self.server, True), (self.server, self.client, False)):
            threading.Thread(target=self._pump, args=(source, target, from_client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if from_client and self.fate == "lost":
                    # In this thread, which alone reads from the client: a socket is closed when nobody is in it.
                    self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
                    self.client.close()
                    return
                if self.fate == "survive":
                    target.sendall(data)
            if self.fate in ("survive", "fin_delivered"):
                target.shutdown(socket.SHUT_WR)

    def meet(self, fate: Fate) -> None:
        """The freeze."""
        self.fate = fate
        if fate == "fin_delivered":
            with contextlib.suppress(OSError):
                self.client.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class FateProxy:
    """Forwards connections to a server; `freeze` decides what becomes of those that exist. New ones are always well, unless `deaf`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.host, self.port = self._listener.getsockname()[:2]
        self.accepted = 0
        """Connections that clients opened."""
        self.deaf = False
        """From now on, connections are accepted and never served."""
        self._pairs: list[_Pair] = []
        self._deaf: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.deaf:
                self._deaf.append(client)
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.create_connection(self._target)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(client, server)
            self._pairs.append(pair)  # before it carries anything: a freeze may follow the first answer at once
            pair.start()

    def freeze(self, fate: Fate) -> None:
        """Every connection that exists meets its fate."""
        for pair in self._pairs:
            pair.meet(fate)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for pair in self._pairs:
            pair.close()
        for client in self._deaf:
            client.close()
