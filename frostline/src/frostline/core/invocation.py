"""One invocation, and the law that its invoker is answered exactly once.

An invocation that was accepted is answered by one `Resolve`, or, when its invoker asked for a stream, by one `StreamStart` and one `StreamEnd`. All
answers go through the methods here; each of them asserts that none went before. What differs between ways to invoke is settled here too:

    request_response   one Resolve with the whole response
    stream             StreamStart, StreamChunk ..., StreamEnd, also for a function that answers at once
    event              Resolve(Queued) on arrival; what becomes of it later is only seen in `failed`, by which the fleet decides on a retry

With `tail` the answer is held until the invocation is complete, because the log's last lines, END and REPORT, belong to it.
"""

from __future__ import annotations

import msgspec

from .effects import Effect, FunctionFailed, Outcome, Queued, Resolve, StreamChunk, StreamEnd, StreamStart, Succeeded
from .events import InvocationArrived
from .payload import EMPTY, Payload

MAX_RESPONSE_BYTES = 6_291_556
"""6 MiB and 100 bytes (RIE: MaxPayloadSize; AWS's message for `Function.ResponseSizeTooLarge` has the same number)."""

TAIL_BYTES = 4096
"""AWS: "the last 4 KB of the execution log"."""


def error_payload(error_type: str, message: str) -> Payload:
    """The response that Lambda makes up for a function that could not answer for itself."""
    return Payload(msgspec.json.encode({"errorType": error_type, "errorMessage": message}))


class Invocation:
    """An accepted invocation, from its arrival to its answer (and, asynchronous, over its attempts)."""

    __slots__ = (
        "_chunks",
        "_content_type",
        "_held",
        "_lines",
        "_size",
        "_streaming",
        "_tail_size",
        "answered",
        "answered_at",
        "arrived",
        "attempt",
        "failed",
        "first_seen",
        "queued_at",
        "response_began_at",
        "throttles",
    )

    def __init__(self, arrived: InvocationArrived, now: float) -> None:
        self.arrived = arrived
        self.first_seen = now
        self.queued_at = now
        #: 1 for the first attempt; only asynchronous invocations have more.
        self.attempt = 1
        #: How often an asynchronous invocation found no concurrency left.
        self.throttles = 0
        self.reset_for_attempt()

    def reset_for_attempt(self) -> None:
        """Forget what the last attempt answered: asynchronous invocations are tried again."""
        self.answered = False
        self.answered_at: float | None = None
        self.response_began_at: float | None = None
        self.failed = False
        #: The answer, kept back for the log's tail.
        self._held: Outcome | StreamEnd | None = None
        self._content_type = ""
        self._streaming = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._lines: list[str] = []
        self._tail_size = 0

    @property
    def request_id(self) -> str:
        """The id that the invoker, the function and every log line share."""
        return self.arrived.request_id

    @property
    def produced_bytes(self) -> int:
        """Size of the response so far."""
        return self._size

    def accept(self, out: list[Effect]) -> None:
        """Tell an asynchronous invoker that its event was taken."""
        if self.arrived.mode == "event":
            out.append(Resolve(self.request_id, Queued()))

    # Answers -----------------------------------------------------------------------------------------------------------------------------

    def succeed(self, payload: Payload, content_type: str, now: float, out: list[Effect]) -> None:
        """The function answered, whole."""
        if self.arrived.mode == "stream":
            self.begin_stream(content_type, now, out)
            self.stream(payload, out)
            self.end_stream(None, EMPTY, now, out)
            return
        self._size = len(payload)
        self._settle(Succeeded(payload=payload, content_type=content_type), now, out)

    def fail(self, error_type: str, payload: Payload, now: float, out: list[Effect]) -> None:
        """The function, or its environment, failed. Does nothing when the invoker already has its answer."""
        if self.answered:
            return
        self.failed = True
        if self.arrived.mode == "stream":
            if not self._streaming:
                self.begin_stream("application/json", now, out)
            self.end_stream(error_type, payload, now, out)
            return
        self._size = len(payload)
        self._settle(FunctionFailed(payload=payload), now, out)

    def give_up(self, outcome: Outcome, now: float, out: list[Effect]) -> None:
        """Answer for the platform: throttled, or unavailable. Nothing of the log belongs to it."""
        if self.answered:
            return
        if self._streaming and self.arrived.mode == "stream":
            self.end_stream("ServiceException", EMPTY, now, out)
            return
        self._answered(now)
        self.failed = True
        if self.arrived.mode != "event":
            out.append(Resolve(self.request_id, outcome))

    def begin_stream(self, content_type: str, now: float, out: list[Effect]) -> None:
        """The head of a streamed response."""
        self._streaming = True
        if self.response_began_at is None:
            self.response_began_at = now
        if self.arrived.mode == "stream":
            out.append(StreamStart(request_id=self.request_id, content_type=content_type))
        else:
            self._content_type = content_type

    def stream(self, payload: Payload, out: list[Effect]) -> bool:
        """Part of a streamed response. False: an invoker that wants it whole cannot have more than `MAX_RESPONSE_BYTES`."""
        self._size += len(payload)
        if self.arrived.mode == "stream":
            if payload.data:
                out.append(StreamChunk(request_id=self.request_id, payload=payload))
            return True
        if self._size > MAX_RESPONSE_BYTES:
            return False
        self._chunks.append(payload.data)
        return True

    def end_stream(self, error_type: str | None, error: Payload, now: float, out: list[Effect]) -> None:
        """The end of a streamed response, with the error of its trailers if it has one."""
        if error_type is not None:
            self.failed = True
        self._streaming = False
        if self.arrived.mode == "stream":
            self._settle(StreamEnd(request_id=self.request_id, error_type=error_type, error_payload=error), now, out)
        elif error_type is not None:
            self._settle(FunctionFailed(payload=error), now, out)
        else:
            self._settle(Succeeded(payload=Payload(b"".join(self._chunks)), content_type=self._content_type), now, out)
        self._chunks = []

    def complete(self, out: list[Effect]) -> None:
        """The log is complete: an answer that was held for its tail can go."""
        held, self._held = self._held, None
        if held is None or not self.arrived.tail:
            return
        tail = self._tail()
        if isinstance(held, StreamEnd):
            out.append(msgspec.structs.replace(held, log_tail=tail))
        elif isinstance(held, Succeeded | FunctionFailed):
            out.append(Resolve(self.request_id, msgspec.structs.replace(held, log_tail=tail)))

    def _settle(self, answer: Outcome | StreamEnd, now: float, out: list[Effect]) -> None:
        self._answered(now)
        if self.arrived.mode == "event":
            return
        if self.arrived.tail:
            self._held = answer
        elif isinstance(answer, StreamEnd):
            out.append(answer)
        else:
            out.append(Resolve(self.request_id, answer))

    def _answered(self, now: float) -> None:
        assert not self.answered, f"invocation {self.request_id} would be answered twice"
        self.answered = True
        self.answered_at = now
        if self.response_began_at is None:
            self.response_began_at = now

    # The log's tail ----------------------------------------------------------------------------------------------------------------------

    def log(self, line: str) -> None:
        """Remember a log line for the tail, within bounds."""
        if not self.arrived.tail:
            return
        self._lines.append(line)
        self._tail_size += len(line) + 1
        while len(self._lines) > 1 and self._tail_size - len(self._lines[0]) - 1 > TAIL_BYTES:
            self._tail_size -= len(self._lines.pop(0)) + 1

    def _tail(self) -> str:
        text = "".join(f"{line}\n" for line in self._lines).encode()
        return text[-TAIL_BYTES:].decode(errors="ignore")
