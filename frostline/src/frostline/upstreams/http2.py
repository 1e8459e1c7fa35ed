"""HTTP/2 (RFC 9113) on h2: by ALPN within TLS, by prior knowledge without."""

from __future__ import annotations

import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError, StreamClosedError

from ..core.upstream import Upstream
from .answers import Answer, Request, answer
from .connection import Connection
from .ledger import Ledger


class Http2:
    """A conversation. PINGs are answered, and keep no connection from being idle."""

    def __init__(self, connection: Connection, upstream: Upstream, ledger: Ledger) -> None:
        self._connection, self._upstream, self._ledger = connection, upstream, ledger
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self._said_goodbye = False
        self._requests: dict[int, Request] = {}
        self._answering: dict[int, asyncio.TimerHandle | None] = {}
        self._blocked: dict[int, bytes] = {}
        """Bodies that wait until the client takes more (flow control)."""
        self._h2.initiate_connection()
        self._flush()

    def received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            self._said_goodbye = True  # h2 has written it
            self._flush()
            self._connection.close("goaway", "refused", f"HTTP/2: {error}")
            return
        for event in events:
            match event:
                case RequestReceived():
                    self._connection.heard()
                    self._requests[event.stream_id] = _request(event)
                case DataReceived():
                    self._connection.heard()
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    self._requests[event.stream_id].bytes += len(event.data)
                case StreamEnded():
                    self._answer(event.stream_id)
                case StreamReset():
                    self._drop(event.stream_id)
                case WindowUpdated():
                    for stream in list(self._blocked):
                        self._send_body(stream)
        self._flush()

    def goodbye(self) -> bytes:
        if self._said_goodbye:
            return b""
        self._said_goodbye = True
        self._h2.close_connection()
        return self._h2.data_to_send()

    def over(self) -> None:
        for timer in self._answering.values():
            if timer is not None:
                timer.cancel()

    def _flush(self) -> None:
        self._connection.send(self._h2.data_to_send())

    def _answer(self, stream: int) -> None:
        request = self._requests.pop(stream)
        made = answer(self._upstream, self._connection, self._ledger, request)
        self._answering[stream] = None
        self._connection.working(len(self._answering))
        if made.wait_s:
            self._answering[stream] = asyncio.get_running_loop().call_later(made.wait_s, self._give, stream, made, request.method == "HEAD")
        else:
            self._give(stream, made, request.method == "HEAD")

    def _give(self, stream: int, made: Answer, head_only: bool) -> None:
        headers = [(":status", str(made.status)), ("content-type", made.content_type), ("content-length", str(len(made.body)))]
        whole = head_only or not made.body
        self._h2.send_headers(stream, headers, end_stream=whole)
        if whole:
            self._done(stream)
        else:
            self._blocked[stream] = made.body
            self._send_body(stream)
        self._flush()

    def _send_body(self, stream: int) -> None:
        body = self._blocked[stream]
        try:
            part = body[: min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)]
            rest = body[len(part) :]
            if part:
                self._h2.send_data(stream, part, end_stream=not rest)
        except StreamClosedError:  # reset by the client, of which an event tells too
            return
        if rest:
            self._blocked[stream] = rest
        else:
            self._done(stream)

    def _drop(self, stream: int) -> None:
        """The client wants no answer any more."""
        self._requests.pop(stream, None)
        timer = self._answering.get(stream)
        if timer is not None:
            timer.cancel()
        if stream in self._answering:
            self._done(stream)

    def _done(self, stream: int) -> None:
        self._answering.pop(stream, None)
        self._blocked.pop(stream, None)
        self._connection.working(len(self._answering))


def _request(event: RequestReceived) -> Request:
    headers = [(str(name), str(value)) for name, value in event.headers]  # text, as the configuration has it
    found = dict(headers)
    return Request(method=found[":method"], path=found.get(":path", ""), headers=headers)
