"""Who waits for the answers to invocations."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..core.effects import Outcome, StreamChunk, StreamEnd, StreamStart, Unavailable
from ..core.payload import Payload


class Invoker(Protocol):
    """Somebody who invoked a function: a connection to the Invoke API, or a program."""

    def resolve(self, outcome: Outcome) -> None:
        """The whole answer. Called once, and then nothing else is."""

    def stream_start(self, start: StreamStart) -> None:
        """A streamed answer begins."""

    def stream_chunk(self, chunk: StreamChunk) -> None:
        """Part of a streamed answer."""

    def stream_end(self, end: StreamEnd) -> None:
        """The end of a streamed answer. Called once, and then nothing else is."""


class FutureInvoker:
    """An invoker inside the program: the outcome is awaited."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def resolve(self, outcome: Outcome) -> None:
        """The whole answer."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def stream_start(self, start: StreamStart) -> None:
        """Not asked for: this invoker wants whole answers."""

    def stream_chunk(self, chunk: StreamChunk) -> None:
        """Not asked for."""

    def stream_end(self, end: StreamEnd) -> None:
        """Not asked for."""


class Invokers:
    """All who wait, by request id."""

    def __init__(self) -> None:
        self._waiting: dict[str, Invoker] = {}
        self._streaming: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request_id: str, invoker: Invoker) -> None:
        """Somebody waits for this invocation's answer."""
        self._waiting[request_id] = invoker

    def drop(self, request_id: str) -> None:
        """They hung up."""
        self._waiting.pop(request_id, None)
        self._streaming.discard(request_id)

    def resolve(self, request_id: str, outcome: Outcome) -> None:
        """Tell them."""
        invoker = self._waiting.pop(request_id, None)
        if invoker is not None:
            invoker.resolve(outcome)

    def stream_start(self, start: StreamStart) -> None:
        """Tell them that a stream begins."""
        invoker = self._waiting.get(start.request_id)
        if invoker is not None:
            self._streaming.add(start.request_id)
            invoker.stream_start(start)

    def stream_chunk(self, chunk: StreamChunk) -> None:
        """Hand them a part."""
        invoker = self._waiting.get(chunk.request_id)
        if invoker is not None:
            invoker.stream_chunk(chunk)

    def stream_end(self, end: StreamEnd) -> None:
        """Tell them that the stream is over."""
        invoker = self._waiting.pop(end.request_id, None)
        self._streaming.discard(end.request_id)
        if invoker is not None:
            invoker.stream_end(end)

    def abandon_all(self, message: str) -> None:
        """The control plane ends without having heard from the core: nobody is left waiting."""
        waiting, self._waiting = self._waiting, {}
        for request_id, invoker in waiting.items():
            if request_id in self._streaming:
                invoker.stream_end(StreamEnd(request_id=request_id, error_type="ServiceException", error_payload=Payload(message.encode())))
            else:
                invoker.resolve(Unavailable(message=message))
        self._streaming.clear()
