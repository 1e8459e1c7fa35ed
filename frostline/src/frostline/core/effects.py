"""What the core wants done. The counterpart, what the world tells the core, is in `events`.

`Fleet.handle` returns a list of these, in the order in which they must be carried out. The control plane's one ladder (`control.ring`)
does so, and feeds what comes of it back as events. An effect says *what*; how is the business of `sandbox`, `wire` and `control`.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from .events import Subscription
from .payload import EMPTY, Payload


class Effect(Struct, frozen=True, tag_field="effect", tag=True):
    """Base of everything the core can want."""


# The sandbox -----------------------------------------------------------------------------------------------------------------------------


class StartEnvironment(Effect, frozen=True, kw_only=True):
    """Build a sandbox for this function and revision. Answer: EnvironmentStarted or EnvironmentStartFailed."""

    environment: str
    function: str
    revision: str
    log_stream: str


class StartProcess(Effect, frozen=True, kw_only=True):
    """Start `runtime` or `extension:<file name>`. When it ends: ProcessExited.

    With `gated` the process gets ready (its interpreter, its runtime client) and runs nothing of the function until OpenGate.
    """

    environment: str
    process: str
    gated: bool = False


class OpenGate(Effect, frozen=True, kw_only=True):
    """Let a gated process begin its init."""

    environment: str
    process: str


class SignalProcess(Effect, frozen=True, kw_only=True):
    environment: str
    process: str
    signal: Literal["SIGTERM", "SIGKILL"]


class KillProcesses(Effect, frozen=True):
    """SIGKILL all, keep `/tmp`. Answer: ProcessesKilled."""

    environment: str


class FreezeEnvironment(Effect, frozen=True):
    """Answer: EnvironmentFrozen or EnvironmentFreezeFailed, unless ThawEnvironment calls it off."""

    environment: str


class ThawEnvironment(Effect, frozen=True):
    """Answer: EnvironmentThawed."""

    environment: str


class DestroyEnvironment(Effect, frozen=True):
    """Answer: EnvironmentGone."""

    environment: str


# Answers to exchanges --------------------------------------------------------------------------------------------------------------------


class ReplyBase(Struct, frozen=True, tag_field="reply", tag=True):
    """Base of what an exchange can be answered; `wire` turns it into a status, headers and a body."""


class Accepted(ReplyBase, frozen=True):
    """202 `{"status":"OK"}`."""


class Refused(ReplyBase, frozen=True, kw_only=True):
    """An error in the API's own shape: `{"errorMessage": ..., "errorType": ...}`."""

    status: int
    error_type: str
    message: str


class NextInvocation(ReplyBase, frozen=True, kw_only=True):
    """The answer to the runtime's `/next`: an invocation."""

    request_id: str
    deadline_ms: int
    """Epoch milliseconds."""
    function_arn: str
    payload: Payload
    trace_id: str | None = None
    client_context: str | None = None
    cognito_identity: str | None = None


class Registered(ReplyBase, frozen=True, kw_only=True):
    """The answer to an extension's registration."""

    extension_id: str
    function_name: str
    function_version: str
    handler: str
    account_id: str | None = None


class NextInvoke(ReplyBase, frozen=True, kw_only=True):
    """The INVOKE event, to an extension's `/event/next`."""

    event_id: str
    request_id: str
    deadline_ms: int
    function_arn: str
    trace_id: str | None = None


class NextShutdown(ReplyBase, frozen=True, kw_only=True):
    """The SHUTDOWN event, to an extension's `/event/next`."""

    event_id: str
    reason: Literal["spindown", "timeout", "failure"]
    deadline_ms: int


class Subscribed(ReplyBase, frozen=True):
    """200 `OK`, to a telemetry subscription."""


Reply = Accepted | Refused | NextInvocation | Registered | NextInvoke | NextShutdown | Subscribed
"""Everything an exchange can be answered."""


class Answer(Effect, frozen=True):
    """Answer an exchange."""

    exchange: int
    reply: Reply


# Answers to invokers ---------------------------------------------------------------------------------------------------------------------


class OutcomeBase(Struct, frozen=True, tag_field="outcome", tag=True):
    """Base of how an invocation ends for whoever asked for it."""


class Succeeded(OutcomeBase, frozen=True, kw_only=True):
    payload: Payload
    content_type: str = "application/json"
    log_tail: str | None = None


class FunctionFailed(OutcomeBase, frozen=True, kw_only=True):
    """The function, its init or its environment failed: HTTP 200 with `X-Amz-Function-Error: Unhandled`."""

    payload: Payload
    """`{"errorType": ..., "errorMessage": ...}` as AWS sends it."""
    log_tail: str | None = None


class Throttled(OutcomeBase, frozen=True, kw_only=True):
    """429 TooManyRequestsException."""

    reason: Literal["ReservedFunctionConcurrentInvocationLimitExceeded", "ConcurrentInvocationLimitExceeded"]


class Queued(OutcomeBase, frozen=True):
    """202: an asynchronous invocation was taken."""


class Unavailable(OutcomeBase, frozen=True, kw_only=True):
    """500 ServiceException: the machine's fault, not the function's (a sandbox could not be built, or Frostline is shutting down)."""

    message: str


Outcome = Succeeded | FunctionFailed | Throttled | Queued | Unavailable
"""Every way an invocation can end for its invoker."""


class Resolve(Effect, frozen=True):
    """Tell the invoker how it ended: exactly once for every invocation, unless it was streamed (see StreamEnd)."""

    request_id: str
    outcome: Outcome


class StreamStart(Effect, frozen=True, kw_only=True):
    """The head of a streamed response goes to the invoker."""

    request_id: str
    content_type: str


class StreamChunk(Effect, frozen=True, kw_only=True):
    request_id: str
    payload: Payload


class StreamEnd(Effect, frozen=True, kw_only=True):
    """The end of a streamed response: exactly once for every StreamStart."""

    request_id: str
    error_type: str | None = None
    error_payload: Payload = EMPTY
    log_tail: str | None = None


# Seeing ----------------------------------------------------------------------------------------------------------------------------------


class Emit(Effect, frozen=True, kw_only=True):
    """One telemetry event and, where it has one, its log line: for the log store, the terminal and telemetry subscribers."""

    environment: str
    function: str
    time: float
    type: str
    """`platform.start`, `platform.report`, ..., `function`, `extension`: the Telemetry API's names."""
    record: dict[str, object] | str
    """The Telemetry API's record."""
    text: str | None = None
    """The log line as CloudWatch shows it (`START RequestId: ...`), without its end; None when the log has no such line."""
    request_id: str | None = None
    process: str | None = None


class OpenTelemetry(Effect, frozen=True, kw_only=True):
    """Begin to deliver telemetry to a subscriber, from the environment's first event on (buffered events included)."""

    environment: str
    extension_name: str
    subscription: Subscription


class CloseTelemetry(Effect, frozen=True):
    """Deliver what is buffered, due or not: the processes of the environment are about to end."""

    environment: str


class Transition(Effect, frozen=True, kw_only=True):
    """An environment changed its state: nothing to do, something to record."""

    environment: str
    before: str
    after: str
    cause: str
    request_id: str | None = None


# Time ------------------------------------------------------------------------------------------------------------------------------------


class SetTimer(Effect, frozen=True, kw_only=True):
    """Feed back TimerFired(timer) at `at` (seconds, same clock as `now`). Setting a timer again moves it."""

    timer: str
    at: float


class CancelTimer(Effect, frozen=True):
    timer: str


class Stopped(Effect, frozen=True):
    """Answer to ShutdownRequested: no environment is left and nobody waits for an answer."""

    unfinished_asynchronous: int = 0
    """Asynchronous invocations that waited, ran or were to be tried again: they are lost (a durable queue is not part of this)."""
