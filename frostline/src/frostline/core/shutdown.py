"""How an environment's processes are shut down: for a reset, and for good.

AWS's rules (life cycle docs; RIE `rapid/shutdown.go`): without extensions the runtime is killed at once, with no SIGTERM. With extensions there is a budget,
2,000 ms (external) or 500 ms (internal only). The runtime gets SIGTERM and 30 % of it, then SIGKILL. Then extensions that registered for SHUTDOWN get
that event with the deadline, the others SIGKILL; who has not ended at the deadline is killed.

The sequence has no I/O and no clock of its own: `begin` and `advance` append effects and return when they want to be called again, or None when
nothing is left to wait for.
"""

from __future__ import annotations

from typing import Literal

from .effects import Answer, Effect, NextShutdown, SignalProcess
from .members import Extension, ExtensionState, Runtime
from .policy import Policy

Reason = Literal["spindown", "timeout", "failure"]


def budget_s(extensions: dict[str, Extension], policy: Policy) -> float:
    """The time that AWS gives to this environment's shutdown, in seconds."""
    if any(extension.external for extension in extensions.values()):
        return policy.shutdown_external_s
    return policy.shutdown_internal_s if extensions else 0.0


class ShutdownSequence:
    """One shutdown under way."""

    __slots__ = ("_deadline", "_environment", "_event_id", "_extensions", "_extensions_told", "_reason", "_runtime", "_runtime_deadline")

    def __init__(
        self,
        environment: str,
        runtime: Runtime,
        extensions: dict[str, Extension],
        reason: Reason,
        event_id: str,
        policy: Policy,
        now: float,
    ) -> None:
        self._environment = environment
        self._runtime = runtime
        self._extensions = extensions
        self._reason: Reason = reason
        self._event_id = event_id
        budget = budget_s(extensions, policy)
        self._deadline = now + budget
        self._runtime_deadline = now + budget * policy.shutdown_runtime_share
        self._extensions_told = False

    def begin(self, now: float, out: list[Effect]) -> float | None:
        """First step. Returns when to call `advance`, or None: kill what is left now."""
        if self._deadline <= now:
            return None
        if self._runtime.process_alive:
            out.append(SignalProcess(environment=self._environment, process="runtime", signal="SIGTERM"))
        return self.advance(now, out)

    def advance(self, now: float, out: list[Effect]) -> float | None:
        """Next step: after a process ended, an extension asked for its next event, or time passed."""
        if now >= self._deadline:
            return None
        if not self._extensions_told:
            if self._runtime.process_alive and now < self._runtime_deadline:
                return self._runtime_deadline
            self._extensions_told = True
            if self._runtime.process_alive:
                out.append(SignalProcess(environment=self._environment, process="runtime", signal="SIGKILL"))
            out.extend(
                SignalProcess(environment=self._environment, process=extension.process, signal="SIGKILL")
                for extension in self._extensions.values()
                if extension.process_alive and "SHUTDOWN" not in extension.events
            )
        self._tell(out)
        if any(extension.process_alive for extension in self._extensions.values()):
            return self._deadline
        return None

    def _tell(self, out: list[Effect]) -> None:
        for extension in self._extensions.values():
            if extension.exchange is None or extension.shutdown_sent or "SHUTDOWN" not in extension.events:
                continue
            reply = NextShutdown(event_id=self._event_id, reason=self._reason, deadline_ms=int(self._deadline * 1000))
            out.append(Answer(extension.exchange, reply))
            extension.exchange = None
            extension.shutdown_sent = True
            extension.state = ExtensionState.RUNNING
