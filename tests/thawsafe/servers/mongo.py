"""As much of MongoDB as PyMongo needs: hello, ping, insert and find over OP_MSG. `_id` is the tag that insert and find are counted by."""

from __future__ import annotations

import socket
import struct
from typing import Any

import bson

from tests.thawsafe.servers.tcp import CountingServer, read_exactly

OP_MSG = 2013
OP_QUERY, OP_REPLY = 2004, 1
"""How PyMongo before 4.20 says hello."""
SERVICE = bson.ObjectId("0123456789abcdef01234567")


class MongoServer(CountingServer):
    """A standalone server, or one behind a load balancer when the client says `loadBalanced`."""

    hellos = 0

    def serve(self, client: socket.socket) -> None:
        while True:
            size, request, _, opcode = struct.unpack("<iiii", read_exactly(client, 16))
            body = read_exactly(client, size - 16)
            if opcode == OP_QUERY:
                answer = bson.encode(self._answer(bson.decode(body[body.index(b"\0", 4) + 9 :])))
                client.sendall(struct.pack("<iiiiiqii", 36 + len(answer), 0, request, OP_REPLY, 0, 0, 0, 1) + answer)
                continue
            assert opcode == OP_MSG
            answer = bson.encode(self._answer(_command(body)))
            client.sendall(struct.pack("<iiiiI", 21 + len(answer), 0, request, OP_MSG, 0) + b"\0" + answer)

    def _answer(self, command: dict[str, Any]) -> dict[str, Any]:
        match next(iter(command)):
            case "hello" | "ismaster" | "isMaster":
                self.hellos += 1
                return self._hello(balanced=bool(command.get("loadBalanced")))
            case "ping":
                self.probes += 1
            case "insert":
                for document in command["documents"]:
                    self.saw(document["_id"])
                return {"ok": 1, "n": len(command["documents"])}
            case "find":
                self.saw(command["filter"]["_id"])
                return {"ok": 1, "cursor": {"id": 0, "ns": f"{command['$db']}.{command['find']}", "firstBatch": [command["filter"]]}}
        return {"ok": 1}

    def _hello(self, *, balanced: bool) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "ok": 1,
            "helloOk": True,
            "isWritablePrimary": True,
            "maxBsonObjectSize": 16 << 20,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "connectionId": self.accepted,
        }
        return answer | ({"msg": "isdbgrid", "serviceId": SERVICE} if balanced else {})


def _command(body: bytes) -> dict[str, Any]:
    """The command of a message, with its document sequences put into it."""
    at, command = 4, {}
    while at < len(body):
        kind, at = body[at], at + 1
        (size,) = struct.unpack_from("<i", body, at)
        if kind == 0:
            command = {**bson.decode(body[at : at + size]), **command}
        else:
            name, _, documents = body[at + 4 : at + size].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents)
        at += size
    return {key: command[key] for key in sorted(command, key=lambda key: key == "documents")}
