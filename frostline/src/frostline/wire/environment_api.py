"""Everything a process inside an environment can ask of Lambda, on one connection: Runtime, Extensions, Telemetry and Logs API.

    receive(bytes) -> events for the core, and bytes that can be answered at once
    answer(exchange, reply) -> bytes, when the core has decided

A connection that misbehaves (garbage, half requests, too many at once) is answered 400 and closed; nothing it does reaches another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.effects import (
    Accepted,
    NextInvocation,
    NextInvoke,
    NextShutdown,
    Refused,
    Registered,
    Reply,
    ReplyBase,
    Subscribed,
)
from ..core.events import Event, ExchangeClosed, RuntimeResponseStarted
from . import extensions_api, runtime_api, telemetry_api
from .http import BodyChunk, BodyEnded, BodyStarted, Connection, ContinueExpected, Malformed, Plan, Received, Request, TooLarge
from .refusals import NOT_FOUND, bad_request, entity_too_large, refusal
from .responses import CONTINUE, ResponseOrder, json_response, without_body

MAX_PIPELINED = 16
"""Unanswered requests on one connection. Runtime clients send one at a time; the bound is for the others."""

ACCEPTED = json_response(202, {"status": "OK"})


def reply_bytes(reply: Reply) -> bytes:
    """A reply as a response."""
    return _RENDER[type(reply)](reply)


_RENDER: dict[type[ReplyBase], Callable[[Any], bytes]] = {
    Accepted: lambda _: ACCEPTED,
    NextInvocation: runtime_api.next_invocation,
    Refused: lambda reply: refusal(reply.status, reply.error_type, reply.message),
    Registered: extensions_api.registered,
    NextInvoke: extensions_api.next_invoke,
    NextShutdown: extensions_api.next_shutdown,
    Subscribed: lambda _: telemetry_api.SUBSCRIBED,
}


def plan(request: Request) -> Plan:
    """How to take a request's body, whichever API it is for."""
    return runtime_api.plan(request) if request.path.startswith(runtime_api.PREFIX) else extensions_api.PLAN


class ApiConnection:
    """One accepted connection inside an environment.

    `next_exchange` numbers the requests that wait for the core; the numbers are unique among all connections.
    """

    __slots__ = ("_environment", "_http", "_next_exchange", "_order", "_overrides", "_stopped", "_stream", "_stream_request")

    def __init__(self, environment: str, next_exchange: Callable[[], int]) -> None:
        self._environment = environment
        self._next_exchange = next_exchange
        self._http = Connection(plan)
        self._order = ResponseOrder()
        self._overrides: dict[int, bytes] = {}
        self._stream: int | None = None
        """The exchange whose streamed body is being read, as long as the core wants it."""
        self._stream_request: Request | None = None
        self._stopped = False

    @property
    def closed(self) -> bool:
        """The last response was handed out: close the connection once it is written."""
        return self._order.closed

    def receive(self, data: bytes) -> tuple[list[Event], bytes]:
        """Bytes from the process: the events they make, and what can be written at once."""
        events: list[Event] = []
        ready = b""
        for received in self._http.receive(data):
            if self._stopped:
                break
            if type(received) is Request:
                ready += self._request(received, events)
            else:
                ready += self._other(received, events)
        return events, ready

    def answer(self, exchange: int, reply: Reply) -> bytes:
        """The core's answer to an exchange: what can be written now. Nothing for an exchange that is not (or no longer) waiting here."""
        override = self._overrides.pop(exchange, None) if self._overrides else None
        if exchange == self._stream:
            self._stream = None  # answered half-way: the rest of its body is of no interest
        return self._order.write(exchange, override if override and type(reply) is not Refused else reply_bytes(reply))

    def eof(self) -> list[Event]:
        """The process closed the connection: what that means for the requests that waited."""
        events: list[Event] = []
        waiting = self._order.keys
        for truncated in self._http.eof():
            if self._stream is not None:
                waiting.remove(self._stream)
            if truncated.request is not None:
                self._truncated(truncated.request, events)
        events += [ExchangeClosed(self._environment, exchange) for exchange in waiting]
        self._stop()
        self._order = ResponseOrder()
        self._order.closed = True
        return events

    def _other(self, received: Received, events: list[Event]) -> bytes:
        match received:
            case BodyChunk(data):
                if self._stream is not None:
                    events.append(runtime_api.response_chunk(self._environment, self._stream, data))
            case BodyStarted(request):
                before = len(events)
                ready = self._request(request, events)
                self._stream_request = request
                started = events[-1] if len(events) > before else None
                self._stream = started.exchange if isinstance(started, RuntimeResponseStarted) else None
                return ready
            case BodyEnded(trailers):
                if self._stream is not None:
                    events.append(runtime_api.response_ended(self._environment, self._stream, trailers))
                self._stream = self._stream_request = None
            case TooLarge(request, size):
                return self._too_large(request, size, events)
            case ContinueExpected():
                return self._order.interim(CONTINUE)
            case Malformed(reason, request):
                return self._malformed(reason, request, events)
        return b""

    def _request(self, request: Request, events: list[Event]) -> bytes:
        path = request.path
        exchange = self._next_exchange()
        parsed: Event | runtime_api.Override | bytes
        if path.startswith(runtime_api.PREFIX):
            parsed = runtime_api.parse(self._environment, exchange, request)
        elif path.startswith(extensions_api.PREFIX):
            parsed = extensions_api.parse(self._environment, exchange, request)
        elif path.rstrip("/") in (telemetry_api.TELEMETRY_PATH, telemetry_api.LOGS_PATH):
            parsed = telemetry_api.parse(self._environment, exchange, request)
        else:
            parsed = NOT_FOUND
        return self._expect(exchange, request, parsed, events)

    def _expect(self, exchange: int, request: Request, parsed: Event | runtime_api.Override | bytes, events: list[Event]) -> bytes:
        order = self._order
        if len(order) >= MAX_PIPELINED:
            return self._malformed(f"more than {MAX_PIPELINED} requests wait for their answers", None, events)
        order.expect(exchange, last=not request.keep_alive, http_1_0=request.http_1_0)
        if type(parsed) is bytes:
            return order.write(exchange, without_body(parsed) if request.method == "HEAD" else parsed)
        if isinstance(parsed, runtime_api.Override):
            self._overrides[exchange] = parsed.answer
            parsed = parsed.event
        assert isinstance(parsed, Event)
        events.append(parsed)
        return b""

    def _too_large(self, request: Request, size: int, events: list[Event]) -> bytes:
        if not request.path.startswith(runtime_api.PREFIX):
            return self._expect(self._next_exchange(), request, entity_too_large(extensions_api.PLAN.limit), events)
        if request is not self._stream_request:
            exchange = self._next_exchange()
            return self._expect(exchange, request, runtime_api.too_large(self._environment, exchange, request, size), events)
        if self._stream is not None:
            parsed = runtime_api.too_large(self._environment, self._stream, request, size)
            assert isinstance(parsed, runtime_api.Override)  # only responses are streamed
            self._overrides[self._stream] = parsed.answer
            events.append(parsed.event)
        self._stream = self._stream_request = None
        return b""

    def _malformed(self, reason: str, request: Request | None, events: list[Event]) -> bytes:
        self._stop()
        exchange = self._stream
        if exchange is None:
            exchange = self._next_exchange()
            self._order.expect(exchange, last=True)
        else:
            self._order.close_after(exchange)
        if request is not None:
            self._truncated(request, events)
        return self._order.write(exchange, bad_request(reason))

    def _truncated(self, request: Request, events: list[Event]) -> None:
        if request is self._stream_request and self._stream is None:
            return  # the core has had enough of it already
        exchange = self._next_exchange() if self._stream is None else self._stream
        event = runtime_api.truncated(self._environment, exchange, request)
        if event is not None:
            events.append(event)
        self._stream = self._stream_request = None

    def _stop(self) -> None:
        self._stopped = True
        self._http.finish()
