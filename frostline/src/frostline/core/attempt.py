"""One attempt at an invocation in one environment, as the log tells it: START, the runtime's end, END, REPORT, each once and in this order.

It keeps what these records need (when it began, how it ended, the init that belongs to it) and what has been said already. What happens to the
environment is not its business.
"""

from __future__ import annotations

from .effects import Effect, Emit
from .invocation import Invocation
from .platform import Narrator, Status


class Attempt:
    """From an invocation's assignment to its REPORT."""

    __slots__ = ("_done_said", "_narrator", "_start_said", "began_at", "error_type", "init_duration", "invocation", "status")

    def __init__(self, invocation: Invocation, narrator: Narrator, init_duration: float | None) -> None:
        self.invocation = invocation
        #: When its duration began: at its delivery, or at the suppressed init that is part of it.
        self.began_at: float | None = None
        #: Seconds of the Init phase, for the first invocation after it.
        self.init_duration = init_duration
        self.status: Status = "success"
        self.error_type: str | None = None
        self._narrator = narrator
        self._start_said = False
        self._done_said = False

    def failed(self, status: Status, error_type: str) -> None:
        """How it failed, for the records to come."""
        self.status, self.error_type = status, error_type

    def begin(self, at: float) -> None:
        """Its duration begins, unless it has begun."""
        if self.began_at is None:
            self.began_at = at

    def say_start(self, now: float, out: list[Effect]) -> None:
        """START."""
        if not self._start_said:
            self._start_said = True
            self._say(self._narrator.start(now, self.invocation.request_id, self.invocation.arrived.trace_id), out)

    def say_runtime_done(self, now: float, out: list[Effect]) -> None:
        """platform.runtimeDone: the runtime asked for its next event, or failed."""
        if self._done_said:
            return
        self._done_said = True
        invocation = self.invocation
        emit = self._narrator.runtime_done(
            now,
            invocation.request_id,
            self.status,
            self.error_type,
            started_at=self._began(),
            responded_at=invocation.answered_at,
            response_began_at=invocation.response_began_at,
            produced_bytes=invocation.produced_bytes,
        )
        self._say(emit, out)

    def close(self, now: float, timeout_s: float, memory_peak_mb: int | None, out: list[Effect], *, show_status: bool) -> None:
        """END and REPORT; then an answer that waited for the log's tail goes out. No duration is longer than the timeout."""
        self._say(self._narrator.end(now, self.invocation.request_id), out)
        report = self._narrator.report(
            now,
            self.invocation.request_id,
            self.status,
            self.error_type,
            duration_s=min(now - self._began(), timeout_s),
            init_s=self.init_duration,
            memory_peak_mb=memory_peak_mb,
            show_status=show_status,
        )
        self._say(report, out)
        self.invocation.complete(out)

    def _began(self) -> float:
        assert self.began_at is not None, f"{self.invocation.request_id} ends before it began"
        return self.began_at

    def _say(self, emit: Emit, out: list[Effect]) -> None:
        out.append(emit)
        if emit.text is not None:
            self.invocation.log(emit.text)
