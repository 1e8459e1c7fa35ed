"""As much of Redis as redis-py needs: HELLO, CLIENT, SELECT, PING; GET and INCR count their key as a tag."""

from __future__ import annotations

import socket
from io import BufferedReader

from tests.thawsafe.servers.tcp import CountingServer


class RedisServer(CountingServer):
    """Speaks RESP 2, and 3 to who says HELLO 3."""

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as stream:
            while True:
                client.sendall(self._answer(*_command(stream)))

    def _answer(self, name: str, *arguments: str) -> bytes:
        match name.upper():
            case "HELLO":
                return b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n" if arguments[0] == "3" else b"*0\r\n"
            case "CLIENT" if arguments[0].upper() == "MAINT_NOTIFICATIONS":
                return b"-ERR unknown subcommand\r\n"
            case "CLIENT" | "SELECT" | "AUTH":
                return b"+OK\r\n"
            case "PING":
                self.probes += 1
                return b"+PONG\r\n"
            case "GET":
                self.saw(arguments[0])
                return b"$2\r\nok\r\n"
            case "INCR" | "INCRBY":
                self.saw(arguments[0])
                return b":1\r\n"
        return b"-ERR unknown command\r\n"


def _command(stream: BufferedReader) -> list[str]:
    count = stream.readline()
    if not count:
        raise EOFError
    words = []
    for _ in range(int(count[1:])):
        size = int(stream.readline()[1:])
        words.append(stream.read(size + 2)[:-2].decode())
    return words
