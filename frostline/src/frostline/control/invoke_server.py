"""The Invoke API: the server that boto3, the AWS CLI and curl talk to.

Requests become calls and outcomes become bytes in `wire`; this module carries bytes, keeps answers in the order of their requests, and knows who waits.
Under `/_frostline/` are a few calls of Frostline's own: logs and environments, for its command line, and what connections meet.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from random import Random, SystemRandom
from typing import cast
from urllib.parse import parse_qs

import msgspec

from ..core.conditions import Conditions
from ..core.effects import Outcome, StreamChunk, StreamEnd, StreamStart
from ..core.events import InvocationAbandoned
from ..project import ProjectError
from ..wire import invoke_answers as answers
from ..wire import network_call
from ..wire.aws_errors import error
from ..wire.http import Connection, ContinueExpected, Malformed, Request, TooLarge
from ..wire.invoke_api import (
    Call,
    GetConfigurationCall,
    GetFunctionCall,
    InvokeCall,
    ListFunctionsCall,
    UpdateConfigurationCall,
    parse,
    plan,
    too_large,
)
from ..wire.refusals import NOT_FOUND, bad_request, method_not_allowed, refusal
from ..wire.responses import CONTINUE, LAST_CHUNK, ResponseOrder, chunk, json_response, stream_head
from .logs import LogLine
from .service import Service

OWN = "/_frostline/"
MAX_PIPELINED = 64
"""Unanswered requests on one connection before reading pauses."""

MAX_BEHIND = 8 * 1024 * 1024
"""Bytes of log that a follower may not have read before it is cut off: some 30,000 lines."""


class RequestIds:
    """Request ids: version 4 UUIDs, from a generator of their own because `uuid.uuid4` takes longer than parsing a request."""

    def __init__(self) -> None:
        self._bits = Random(SystemRandom().getrandbits(128)).getrandbits

    def __call__(self) -> str:
        """A new id."""
        text = f"{self._bits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


class InvokeServer:
    """All connections to the Invoke API."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.plane = service.plane
        self.new_request_id = RequestIds()
        self._server: asyncio.Server | None = None
        self._connections: set[InvokeProtocol] = set()

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; the port (a free one for 0). Raises OSError when it cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: InvokeProtocol(self), host, port, backlog=1024)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """Take no more requests; answers that are being written go out."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.finish()
        await asyncio.sleep(0)

    def add(self, connection: InvokeProtocol) -> None:
        """A new connection."""
        self._connections.add(connection)

    def drop(self, connection: InvokeProtocol) -> None:
        """A connection is closed."""
        self._connections.discard(connection)

    # Calls -------------------------------------------------------------------------------------------------------------------------------

    def answer(self, call: Call, request_id: str) -> bytes:
        """The answer to a call that needs no waiting."""
        match call:
            case ListFunctionsCall():
                return answers.list_functions_response(call, self.service.functions, request_id)
            case GetFunctionCall():
                return answers.function_response(call, request_id)
            case GetConfigurationCall():
                return answers.configuration_response(call, request_id)
            case UpdateConfigurationCall():
                try:
                    updated = self.service.update(call.target.function.name, call.update.changes)
                except ProjectError as problem:
                    return error(400, "InvalidParameterValueException", problem.message, request_id)
                return answers.configuration_response(call, request_id, updated)
            case InvokeCall():
                raise TypeError("an invocation is answered when it is done")

    def own(self, request: Request, connection: InvokeProtocol, key: int) -> bytes | None:
        """Frostline's own calls: bytes, or None for an answer that goes on."""
        query = {name: values[0] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
        match request.path.removeprefix(OWN):
            case "environments":
                return json_response(200, {"environments": [self._environment(e) for e in self.plane.hosts]})
            case "logs":
                lines = self.plane.logs.lines(query.get("function"))
                if re.fullmatch(r"[0-9]{1,9}", query.get("limit", "")):
                    lines = lines[max(len(lines) - int(query["limit"]), 0) :]
                if query.get("follow") != "1":
                    return json_response(200, {"lines": [msgspec.to_builtins(line) for line in lines]})
                connection.follow(key, lines, query.get("function"))
                return None
            case "network":
                return self._network(request, query.get("environment"))
            case _:
                return NOT_FOUND

    def _network(self, request: Request, environment: str | None) -> bytes:
        """See `wire.network_call`."""
        plane, chosen = self.plane, self.plane.sandbox.conditions
        if environment is not None and environment not in plane.hosts:
            return refusal(
                404, "NoSuchEnvironment", f"There is no environment {environment!r}; /_frostline/environments has those that there are."
            )
        if request.method in ("PUT", "POST"):
            present = chosen.get(environment) or chosen.get(None) or Conditions()
            try:
                conditions = network_call.read(request.body, present)
            except ValueError as problem:
                return refusal(400, "InvalidParameterValue", str(problem))
            if conditions.fates != present.fates and not plane.level.network_freezes:
                return refusal(409, "NetworkDoesNotFreeze", "Connections meet a fate where the network freezes, and here it does not.")
            if conditions.middleboxes != present.middleboxes and not (plane.level.network and plane.level.egress):
                return refusal(409, "NoNetwork", "Environments have no network of their own here that a middlebox could be in.")
            plane.decide(conditions, environment)
        elif request.method == "DELETE":
            if environment is None:
                return refusal(400, "MissingEnvironment", network_call.WHOSE)
            plane.decide(None, environment)
        elif request.method != "GET":
            return method_not_allowed(network_call.METHODS)
        return json_response(200, network_call.shown(freezes=plane.level.network_freezes, conditions=chosen))

    def _environment(self, environment_id: str) -> dict[str, object]:
        host = self.plane.hosts[environment_id]
        found = next((e for e in self.plane.ring.fleet.environments if e.id == environment_id), None)
        return {
            "environment": environment_id,
            "function": host.deployment.function.name,
            "state": found.state.value if found is not None else "gone",
            "since": found.since if found is not None else None,
            "logStream": host.log_stream,
        }


class InvokeProtocol(asyncio.Protocol):
    """One connection to the Invoke API."""

    def __init__(self, server: InvokeServer) -> None:
        self._server = server
        self._http = Connection(plan)
        self._order = ResponseOrder()
        self._transport: asyncio.Transport | None = None
        self._next_key = 0
        self._waiting: set[str] = set()
        self._following: dict[int, Callable[[], None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._server.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        for received in self._http.receive(data):
            self._take(received)

    def _take(self, received: object) -> None:
        key = self._next_key = self._next_key + 1
        match received:
            case Request():
                self._order.expect(key, last=not received.keep_alive, http_1_0=received.http_1_0)
                self._request(received, key)
            case TooLarge(request, size):
                self._order.expect(key, last=not request.keep_alive, http_1_0=request.http_1_0)
                self.write(key, too_large(request, size, self._server.new_request_id()))
            case ContinueExpected():
                self._send(self._order.interim(CONTINUE))
            case Malformed(reason):
                self._order.expect(key, last=True)
                self.write(key, bad_request(reason))
            case _:
                pass

    def _request(self, request: Request, key: int) -> None:
        server = self._server
        if request.path.startswith(OWN):
            ready = server.own(request, self, key)
            if ready is not None:
                self.write(key, ready)
            return
        server.service.refresh()
        request_id = server.new_request_id()
        call = parse(request, server.service.functions, request_id)
        if isinstance(call, InvokeCall):
            self._waiting.add(request_id)
            if len(self._waiting) >= MAX_PIPELINED and self._transport is not None:
                self._transport.pause_reading()
            server.plane.invoke(call.arrived(), _Waiting(self, key, request_id, stream=call.mode == "stream"))
        else:
            self.write(key, call if isinstance(call, bytes) else server.answer(call, request_id))

    def answered(self, request_id: str) -> None:
        """An invocation's answer is complete."""
        self._waiting.discard(request_id)
        if len(self._waiting) == MAX_PIPELINED - 1 and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def follow(self, key: int, lines: list[LogLine], function: str | None) -> None:
        """Send log lines, and go on with new ones until the connection closes."""

        def send(line: LogLine) -> None:
            if function is None or line.function == function:
                self.write(key, chunk(msgspec.json.encode(line) + b"\n"), done=False)
                if self._transport is not None and self._transport.get_write_buffer_size() > MAX_BEHIND:
                    self._transport.abort()

        self.write(key, stream_head(200, "application/x-ndjson"), done=False)
        for line in lines:
            send(line)
        self._following[key] = self._server.plane.logs.follow(send)

    def write(self, key: int, data: bytes, *, done: bool = True) -> None:
        """More of the answer to a request."""
        self._send(self._order.write(key, data, done=done))
        if self._order.closed and self._transport is not None:
            self._transport.close()

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def finish(self) -> None:
        """The server ends: close when nothing is owed."""
        for key in self._stop():
            self.write(key, LAST_CHUNK)
        if self._transport is not None:
            self._transport.close()

    def _stop(self) -> list[int]:
        """Follow no log any more; the requests that did."""
        following, self._following = self._following, {}
        for stop in following.values():
            stop()
        return list(following)

    def connection_lost(self, exc: Exception | None) -> None:
        """They hung up: what they invoked goes on without them."""
        del exc
        self._transport = None
        self._server.drop(self)
        self._stop()
        plane = self._server.plane
        for request_id in tuple(self._waiting):
            plane.invokers.drop(request_id)
            plane.ring.feed(InvocationAbandoned(request_id))
        self._waiting.clear()


class _Waiting:
    """The invoker on one request of one connection."""

    __slots__ = ("_connection", "_key", "_request_id", "_stream")

    def __init__(self, connection: InvokeProtocol, key: int, request_id: str, *, stream: bool) -> None:
        self._connection = connection
        self._key = key
        self._request_id = request_id
        self._stream = stream

    def resolve(self, outcome: Outcome) -> None:
        """The whole answer."""
        make = answers.stream_outcome if self._stream else answers.outcome_response
        self._connection.write(self._key, make(outcome, self._request_id))
        self._connection.answered(self._request_id)

    def stream_start(self, start: StreamStart) -> None:
        """The head of a streamed answer."""
        del start
        self._connection.write(self._key, answers.stream_started(self._request_id), done=False)

    def stream_chunk(self, chunk_: StreamChunk) -> None:
        """Part of it."""
        self._connection.write(self._key, answers.stream_chunk(chunk_.payload.data), done=False)

    def stream_end(self, end: StreamEnd) -> None:
        """Its end."""
        self._connection.write(self._key, answers.stream_ended(end))
        self._connection.answered(self._request_id)
