"""One execution environment: its life from the first process to the last.

Longer than 400 lines because it is one state machine, and a reader should not have to chase it over files.

The fleet hands events in and reads `state`, `initialized` and `invocation` afterwards; the environment appends effects and never calls the fleet. Every
change of state goes through `_move`, which holds it to the table in `states`. The environment has one timer, named by its id; what it means follows
from the state: init or invocation deadline, freeze delay, reclaim, next step of a shutdown.

Prior art: RIE's `rapid/handlers.go` for the order of an init; Dask's worker state machine for one mutator that returns effects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from .attempt import Attempt
from .effects import (
    Accepted,
    Answer,
    CancelTimer,
    CloseTelemetry,
    DestroyEnvironment,
    Effect,
    Emit,
    FreezeEnvironment,
    KillProcesses,
    NextInvocation,
    NextInvoke,
    OpenGate,
    OpenTelemetry,
    Refused,
    Registered,
    SetTimer,
    StartProcess,
    Subscribed,
    ThawEnvironment,
    Transition,
    Unavailable,
)
from .events import (
    ExtensionExitFailed,
    ExtensionInitFailed,
    ExtensionNext,
    ExtensionRegister,
    Logged,
    ProcessExited,
    RuntimeEvent,
    RuntimeFailed,
    RuntimeInitFailed,
    RuntimeNext,
    RuntimeResponded,
    RuntimeResponseChunk,
    RuntimeResponseEnded,
    RuntimeResponseStarted,
    RuntimeResponseTooLarge,
    RuntimeResponseTruncated,
    TelemetrySubscribe,
)
from .extensions import Extensions
from .function import Function
from .invocation import MAX_RESPONSE_BYTES, Invocation, error_payload
from .members import ExtensionState, Runtime, RuntimeState, extension_exit, runtime_exit
from .payload import Payload
from .platform import Narrator, Phase, Status
from .policy import Policy
from .shutdown import Reason, ShutdownSequence
from .states import Cause, InvalidTransition, State, after

HISTORY = 32
"""How many changes of state an environment remembers for error messages."""


class Environment:
    """One environment of a function's fleet."""

    def __init__(
        self,
        environment_id: str,
        function: Function,
        log_stream: str,
        policy: Policy,
        new_id: Callable[[], str],
        now: float,
        *,
        wanted: bool,
    ) -> None:
        self.id = environment_id
        self.function = function
        self.log_stream = log_stream
        self.state = State.STARTING
        self.since = now
        self.last_used = now
        #: An invocation waits for it: begin the init as soon as the sandbox is built. Otherwise it is a spare and becomes PREPARED.
        self.wanted = wanted
        #: Its extensions and its runtime are up, and the static code has run.
        self.initialized = False
        #: Serve no further invocation: newer code, a reclaim, Frostline's end.
        self.retired: str | None = None
        self.invocation: Invocation | None = None
        self.runtime = Runtime()
        self.extensions = Extensions(function, new_id)
        self._policy = policy
        self._new_id = new_id
        self._narrator = Narrator(environment_id, function, log_stream)
        self._history: deque[tuple[float, State, State, Cause]] = deque(maxlen=HISTORY)
        self._memory_peak_mb: int | None = None
        self._ahead_s = 0.0
        """By how much its own clocks are ahead: what it is told in epoch time must be so much later."""
        self._shutdown: ShutdownSequence | None = None
        self._gated = False
        #: To be stopped as soon as it has thawed, so that its extensions can be told.
        self._leaving = False
        # The init under way, or the last one.
        self._phase: Phase = "init"
        self._init_began: float | None = None
        self._init_duration: float | None = None
        # The invocation under way.
        self._deadline = 0.0
        self._attempt: Attempt | None = None
        self._timer_at = 0.0
        self._freeze_failures = 0

    def __repr__(self) -> str:
        request = f" {self.invocation.request_id}" if self.invocation is not None else ""
        return f"<Environment {self.id} {self.state.value}{request}>"

    # What the fleet asks -----------------------------------------------------------------------------------------------------------------

    @property
    def available(self) -> bool:
        """An invocation can be assigned now."""
        return self.invocation is None and self.retired is None and self.state in (State.IDLE, State.FREEZING, State.FROZEN)

    def coming(self, now: float) -> bool:
        """It will soon be available by itself, so that no other environment need be started for a waiting invocation."""
        if self.retired is not None:
            return False
        match self.state:
            case State.STARTING:
                return self.wanted
            case State.INITIALIZING | State.RESETTING:
                return True
            case State.THAWING:
                return self.invocation is None
            case State.BUSY:
                patience_ends = self.patience_ends
                return patience_ends is not None and now < patience_ends
            case _:
                return False

    @property
    def patience_ends(self) -> float | None:
        """Until when an invocation waits for this environment, which has answered its caller and not finished; None for all others."""
        if self.state is not State.BUSY or self.invocation is None or self.invocation.answered_at is None:
            return None
        return self.invocation.answered_at + self._policy.patience_s

    @property
    def working(self) -> bool:
        """It counts against the function's concurrency."""
        return self.state not in (State.PREPARED, State.STOPPING, State.GONE) and not (self.state is State.STARTING and not self.wanted)

    # State, timer, log -------------------------------------------------------------------------------------------------------------------

    def _move(self, cause: Cause, now: float, out: list[Effect]) -> None:
        following = after(self.state, cause)
        if following is None:
            history = [f"{at:.6f} {before.value} -> {now_.value}: {why.value}" for at, before, now_, why in self._history]
            raise InvalidTransition(self.id, self.state, cause, history)
        self._history.append((now, self.state, following, cause))
        request_id = self.invocation.request_id if self.invocation is not None else None
        out.append(
            Transition(environment=self.id, before=self.state.value, after=following.value, cause=cause.value, request_id=request_id)
        )
        self.state = following
        self.since = now

    def _set_timer(self, at: float, out: list[Effect]) -> None:
        self._timer_at = at
        out.append(SetTimer(timer=self.id, at=at))

    def _say(self, emit: Emit, out: list[Effect]) -> None:
        out.append(emit)
        if emit.text is not None and self.invocation is not None and emit.request_id == self.invocation.request_id:
            self.invocation.log(emit.text)

    def logged(self, event: Logged, now: float, out: list[Effect]) -> None:
        """A process of the environment wrote a line."""
        request_id = self.invocation.request_id if self.invocation is not None else None
        self._say(self._narrator.logged(now, event.process, event.text, request_id), out)

    def sampled(self, peak_mb: int) -> None:
        """The environment's peak memory use changed."""
        self._memory_peak_mb = peak_mb

    def warped(self, ahead_s: float) -> None:
        """Its clocks were moved, and are this far ahead of ours."""
        self._ahead_s = ahead_s

    # Start and init ----------------------------------------------------------------------------------------------------------------------

    def started(self, now: float, out: list[Effect]) -> None:
        """The sandbox is built."""
        if self.state is not State.STARTING:
            return
        if self.wanted:
            self._begin_init("init", Cause.INIT, now, out)
            return
        self._move(Cause.PARKED, now, out)
        self._start_runtime(out, gated=True)

    def begin_init(self, now: float, out: list[Effect]) -> None:
        """A prepared environment is wanted now."""
        self.wanted = True
        if self.state is State.PREPARED:
            self._begin_init("init", Cause.INIT, now, out)

    def _begin_init(self, phase: Phase, cause: Cause | None, now: float, out: list[Effect]) -> None:
        if cause is not None:
            self._move(cause, now, out)
        self._phase = phase
        self._init_began = now
        self._init_duration = None
        self.initialized = False
        self._say(self._narrator.init_start(now, phase), out)
        self.extensions.begin()
        out.extend(StartProcess(environment=self.id, process=extension.process) for extension in self.extensions)
        if phase == "init":
            self._set_timer(now + self._policy.init_timeout_s, out)
        if self.extensions.all_registered:
            self._start_runtime(out, gated=False)

    def _start_runtime(self, out: list[Effect], *, gated: bool) -> None:
        if self._gated and self.runtime.process_alive:
            self._gated = False
            out.append(OpenGate(environment=self.id, process="runtime"))
        elif not self.runtime.process_alive:
            self._gated = gated
            self.runtime.process_alive = True
            out.append(StartProcess(environment=self.id, process="runtime", gated=gated))
        # Behind its gate it has nothing to say: whatever it asks for is refused, and its init begins with the gate.
        self.runtime.state = RuntimeState.ABSENT if gated else RuntimeState.STARTED

    @property
    def _in_init(self) -> bool:
        return not self.initialized and (self.state is State.INITIALIZING or (self.state is State.BUSY and self._init_began is not None))

    def _init_progress(self, now: float, out: list[Effect]) -> None:
        if not self._in_init or self.runtime.state is not RuntimeState.READY or not self.extensions.all_ready:
            return
        assert self._init_began is not None
        self.initialized = True
        duration = now - self._init_began
        self._init_duration = duration if self._phase == "init" else None
        self._report_init("success", None, now, out)
        if self._phase == "init":
            self._move(Cause.READY, now, out)
            self.last_used = now
            self._rest(now, out)
        elif self.runtime.exchanges:
            self._deliver(now, out)

    def _report_init(self, status: Status, error_type: str | None, now: float, out: list[Effect]) -> None:
        assert self._init_began is not None
        self._say(self._narrator.init_runtime_done(now, self._phase, status, error_type), out)
        for extension in self.extensions:
            self._say(self._narrator.extension(now, extension.name, extension.state.value, extension.events, extension.error_type), out)
        self._say(self._narrator.init_report(now, self._phase, status, error_type, now - self._init_began), out)
        self._init_began = None if status != "success" else self._init_began

    def _fail_init(self, status: Status, error_type: str, payload: Payload | None, now: float, out: list[Effect]) -> None:
        """The init failed. In the Init phase the first invocation tries once more (suppressed init); within an invocation that one fails."""
        self._report_init(status, error_type, now, out)
        if self.state is State.INITIALIZING:
            self._move(Cause.INIT_FAILED, now, out)
            self._begin_shutdown("timeout" if status == "timeout" else "failure", now, out)
            return
        assert payload is not None  # an init within an invocation has no timeout of its own
        self._fail(status, error_type, payload, now, out)

    # The Runtime API ---------------------------------------------------------------------------------------------------------------------

    def runtime_next(self, event: RuntimeNext, now: float, out: list[Effect]) -> None:
        """The runtime asks for an invocation: its init, or its work on the last one, is done."""
        runtime = self.runtime
        match runtime.state:
            case RuntimeState.RUNNING if self.invocation is not None:
                # RIE (TestInvokeNextTwice): a second /next during an invocation gets the same event again.
                out.append(Answer(event.exchange, self._next_invocation(self.invocation)))
                return
            case RuntimeState.STARTED | RuntimeState.RESPONDED | RuntimeState.READY:
                pass
            case _:
                out.append(Answer(event.exchange, runtime.refuse("Ready")))
                return
        was_responded = runtime.state is RuntimeState.RESPONDED
        runtime.state = RuntimeState.READY
        runtime.exchanges.append(event.exchange)
        if self._in_init:
            self.extensions.registration_open = False
            self._init_progress(now, out)
        elif was_responded and self.state is State.BUSY:
            self._current_attempt.say_runtime_done(now, out)
            self._check_complete(now, out)
        elif self.state is State.BUSY and self.invocation is not None and not self.invocation.answered:
            self._deliver(now, out)  # it had hung up, and the invocation waited for it
        elif self.state is State.IDLE:
            self._rest(now, out)

    def _current(self, request_id: str) -> Invocation | None:
        invocation = self.invocation
        return invocation if invocation is not None and invocation.request_id == request_id else None

    def _may_respond(self, event: RuntimeEvent, request_id: str, wanted: str, out: list[Effect]) -> Invocation | None:
        # The id before the order, as RIE's router checks them.
        invocation = self._current(request_id)
        if invocation is None:
            out.append(Answer(event.exchange, Refused(status=400, error_type="InvalidRequestID", message="Invalid request ID")))
        elif self.runtime.state is not RuntimeState.RUNNING:
            out.append(Answer(event.exchange, self.runtime.refuse(wanted)))
            return None
        return invocation

    def responded(self, event: RuntimeResponded, now: float, out: list[Effect]) -> None:
        """The runtime's whole response: the invoker has it before the environment is done."""
        invocation = self._may_respond(event, event.request_id, "InvocationResponse", out)
        if invocation is None:
            return
        invocation.succeed(event.payload, event.content_type, now, out)
        self.runtime.state = RuntimeState.RESPONDED
        out.append(Answer(event.exchange, Accepted()))

    def failed(self, event: RuntimeFailed, now: float, out: list[Effect]) -> None:
        """The runtime reports an error of the function; the environment is as good as before."""
        invocation = self._may_respond(event, event.request_id, "InvocationErrorResponse", out)
        if invocation is None:
            return
        invocation.fail(event.error_type, event.payload, now, out)
        self._current_attempt.failed("error", event.error_type)
        self.runtime.state = RuntimeState.RESPONDED
        out.append(Answer(event.exchange, Accepted()))

    def response_too_large(self, event: RuntimeResponseTooLarge, now: float, out: list[Effect]) -> None:
        """A response over the limit: the invoker gets Function.ResponseSizeTooLarge, the runtime 413, and life goes on."""
        invocation = self._may_respond(event, event.request_id, "InvocationResponse", out)
        if invocation is not None:
            self._too_large(invocation, event.exchange, now, out)

    def _too_large(self, invocation: Invocation, exchange: int, now: float, out: list[Effect]) -> None:
        error_type = "Function.ResponseSizeTooLarge"
        message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
        invocation.fail(error_type, error_payload(error_type, message), now, out)
        self._current_attempt.failed("error", error_type)
        self.runtime.state = RuntimeState.RESPONDED
        refusal = f"Exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
        out.append(Answer(exchange, Refused(status=413, error_type="RequestEntityTooLarge", message=refusal)))

    def response_truncated(self, event: RuntimeResponseTruncated, now: float, out: list[Effect]) -> None:
        """The connection broke in the middle of a response; the runtime may go on (RIE: Runtime.TruncatedResponse)."""
        invocation = self._current(event.request_id)
        if invocation is None or self.runtime.state not in (RuntimeState.RUNNING, RuntimeState.RESPONDING):
            return
        error_type = "Runtime.TruncatedResponse"
        message = f"RequestId: {invocation.request_id} Error: Runtime sent a truncated response"
        invocation.fail(error_type, error_payload(error_type, message), now, out)
        self._current_attempt.failed("error", error_type)
        self.runtime.streaming_exchange = None
        self.runtime.state = RuntimeState.RESPONDED

    def response_started(self, event: RuntimeResponseStarted, now: float, out: list[Effect]) -> None:
        """A streamed response begins."""
        invocation = self._may_respond(event, event.request_id, "InvocationResponse", out)
        if invocation is None:
            return
        invocation.begin_stream(event.content_type, now, out)
        self.runtime.state = RuntimeState.RESPONDING
        self.runtime.streaming_exchange = event.exchange

    def response_chunk(self, event: RuntimeResponseChunk, now: float, out: list[Effect]) -> None:
        """Part of a streamed response. Chunks after a timeout or a refusal have no invocation any more and are dropped."""
        invocation = self.invocation
        if invocation is None or self.runtime.streaming_exchange != event.exchange:
            return
        if not invocation.stream(event.payload, out):
            self.runtime.streaming_exchange = None
            self._too_large(invocation, event.exchange, now, out)

    def response_ended(self, event: RuntimeResponseEnded, now: float, out: list[Effect]) -> None:
        """The end of a streamed response."""
        invocation = self.invocation
        if invocation is None or self.runtime.streaming_exchange != event.exchange:
            return
        self.runtime.streaming_exchange = None
        invocation.end_stream(event.error_type, event.error_body, now, out)
        if event.error_type is not None:
            self._current_attempt.failed("error", event.error_type)
        self.runtime.state = RuntimeState.RESPONDED
        out.append(Answer(event.exchange, Accepted()))

    def init_failed(self, event: RuntimeInitFailed, now: float, out: list[Effect]) -> None:
        """The runtime reports that the function's static code failed."""
        if not self._in_init or self.runtime.state is not RuntimeState.STARTED:
            out.append(Answer(event.exchange, self.runtime.refuse("InitError")))
            return
        self.runtime.state = RuntimeState.INIT_ERROR
        out.append(Answer(event.exchange, Accepted()))
        self._fail_init("error", event.error_type, event.payload, now, out)

    def exchange_closed(self, exchange: int) -> None:
        """A process hung up while its poll waited."""
        if exchange in self.runtime.exchanges:
            self.runtime.exchanges.remove(exchange)
        else:
            self.extensions.hung_up(exchange)

    # The Extensions and Telemetry APIs ---------------------------------------------------------------------------------------------------

    def extension_register(self, event: ExtensionRegister, out: list[Effect]) -> None:
        """An extension registers; the last external one lets the runtime start."""
        reply = self.extensions.register(event)
        out.append(Answer(event.exchange, reply))
        if isinstance(reply, Registered) and self._in_init and self.extensions.all_registered and self.runtime.state is RuntimeState.ABSENT:
            self._start_runtime(out, gated=False)

    def extension_next(self, event: ExtensionNext, now: float, out: list[Effect]) -> None:
        """An extension asks for its next event."""
        refusal = self.extensions.next(event)
        if refusal is not None:
            out.append(Answer(event.exchange, refusal))
        elif self._shutdown is not None:
            self._advance_shutdown(now, out)
        elif self._in_init:
            self._init_progress(now, out)
        elif self.state is State.BUSY:
            self._check_complete(now, out)
        elif self.state is State.IDLE:
            self._rest(now, out)

    def extension_failed(self, event: ExtensionInitFailed | ExtensionExitFailed, now: float, out: list[Effect]) -> None:
        """An extension reports that it cannot go on: the environment is reset."""
        during_init = isinstance(event, ExtensionInitFailed)
        reply = self.extensions.init_failed(event) if isinstance(event, ExtensionInitFailed) else self.extensions.exit_failed(event)
        out.append(Answer(event.exchange, reply))
        if isinstance(reply, Accepted) and self._shutdown is None:
            self._crashed("Extension.InitError" if during_init else "Extension.ExitError", event.error_type, now, out)

    def telemetry_subscribe(self, event: TelemetrySubscribe, now: float, out: list[Effect]) -> None:
        """An extension subscribes to telemetry."""
        reply = self.extensions.subscribe(event)
        extension = self.extensions.find(event.extension_id)
        if isinstance(reply, Subscribed) and extension is not None:
            out.append(OpenTelemetry(environment=self.id, extension_name=extension.name, subscription=event.subscription))
            self._say(self._narrator.subscription(now, extension.name, event.subscription.types, event.subscription.api), out)
        out.append(Answer(event.exchange, reply))

    # Invoke ------------------------------------------------------------------------------------------------------------------------------

    def assign(self, invocation: Invocation, now: float, out: list[Effect]) -> None:
        """Serve this invocation: at once when idle, after the thaw when frozen or freezing, after a suppressed init after a reset."""
        assert self.available, f"{self!r} is not available"
        self.invocation = invocation
        self._attempt = Attempt(invocation, self._narrator, self._init_duration)
        if self.state is not State.IDLE:
            self._move(Cause.ASSIGNED, now, out)
            out.append(CancelTimer(self.id))
            out.append(ThawEnvironment(self.id))
            return
        self._move(Cause.ASSIGNED, now, out)
        self._serve(now, out)

    def _serve(self, now: float, out: list[Effect]) -> None:
        self._deadline = now + self.function.timeout_s
        self._set_timer(self._deadline, out)
        if self.initialized:
            if self.runtime.exchanges:
                self._deliver(now, out)
        else:
            self._current_attempt.begin(now)  # a suppressed init is part of the invocation's duration
            self._begin_init("invoke", None, now, out)

    def _next_invocation(self, invocation: Invocation) -> NextInvocation:
        arrived = invocation.arrived
        return NextInvocation(
            request_id=arrived.request_id,
            deadline_ms=int((self._deadline + self._ahead_s) * 1000),
            function_arn=f"{self.function.arn}:$LATEST" if arrived.qualified else self.function.arn,
            payload=arrived.payload,
            trace_id=arrived.trace_id,
            client_context=arrived.client_context,
            cognito_identity=arrived.cognito_identity,
        )

    def _deliver(self, now: float, out: list[Effect]) -> None:
        invocation = self.invocation
        assert invocation is not None
        arrived = invocation.arrived
        self._current_attempt.begin(now)
        self.runtime.state = RuntimeState.RUNNING
        reply = self._next_invocation(invocation)
        out.extend(Answer(exchange, reply) for exchange in self.runtime.exchanges)
        self.runtime.exchanges.clear()
        for extension in self.extensions:
            if "INVOKE" in extension.events and extension.state is ExtensionState.READY:
                extension.state = ExtensionState.RUNNING
                if extension.exchange is not None:
                    event = NextInvoke(
                        event_id=self._new_id(),
                        request_id=arrived.request_id,
                        deadline_ms=reply.deadline_ms,
                        function_arn=reply.function_arn,
                        trace_id=arrived.trace_id,
                    )
                    out.append(Answer(extension.exchange, event))
                    extension.exchange = None
        self._current_attempt.say_start(now, out)  # last: the function need not wait for the log

    def _check_complete(self, now: float, out: list[Effect]) -> None:
        """The freeze race ends here: only an environment whose runtime and extensions all wait goes on to rest."""
        invocation = self.invocation
        if self.state is not State.BUSY or invocation is None or not invocation.answered:
            return
        if self.runtime.state is not RuntimeState.READY or not self.extensions.all_done:
            return
        self._close_invocation(now, out, show_status=False)
        self._move(Cause.COMPLETED, now, out)
        self.last_used = now
        self._rest(now, out)

    def _close_invocation(self, now: float, out: list[Effect], *, show_status: bool) -> None:
        self._current_attempt.close(now, self.function.timeout_s, self._memory_peak_mb, out, show_status=show_status)
        self._init_duration = None
        self.invocation = self._attempt = None

    def _fail(self, status: Status, error_type: str, payload: Payload, now: float, out: list[Effect]) -> None:
        """The invocation cannot go on: answer for it and reset the environment."""
        self._close_failed(status, error_type, payload, now, out)
        self._move(Cause.FAILED, now, out)
        self._begin_shutdown("timeout" if status == "timeout" else "failure", now, out)

    def _close_failed(self, status: Status, error_type: str, payload: Payload, now: float, out: list[Effect]) -> None:
        attempt = self._current_attempt
        attempt.begin(self.since)  # if the runtime never asked for it: its time ran all the same
        attempt.say_start(now, out)
        attempt.invocation.fail(error_type, payload, now, out)
        attempt.failed(status, error_type)
        attempt.say_runtime_done(now, out)
        self._close_invocation(now, out, show_status=True)

    @property
    def _current_attempt(self) -> Attempt:
        assert self._attempt is not None, f"{self!r} has no invocation"
        return self._attempt

    # Freeze and thaw ---------------------------------------------------------------------------------------------------------------------

    def _rest(self, now: float, out: list[Effect]) -> None:
        """Idle: freeze after the delay, or wait for the reclaim. A retired environment's end is the fleet's next step."""
        if self._may_freeze and self.retired is None:
            self._set_timer(now + self._policy.freeze_delay_s, out)
        else:
            self._set_timer(self.last_used + self._policy.idle_timeout_s, out)

    @property
    def _may_freeze(self) -> bool:
        return self._policy.freeze and self.initialized and self._freeze_failures < 3

    def freeze(self, now: float, out: list[Effect]) -> None:
        """Ask for a freeze; EnvironmentFrozen will be the fact."""
        self._move(Cause.FREEZE, now, out)
        out.append(FreezeEnvironment(self.id))

    def freeze_now(self, now: float, out: list[Effect]) -> None:
        """Do not wait for the freeze delay."""
        if self.state is State.IDLE and self._may_freeze and self.retired is None and self._waits:
            self.freeze(now, out)

    @property
    def _waits(self) -> bool:
        """Runtime and extensions wait for the next event."""
        return bool(self.runtime.exchanges) and self.extensions.all_waiting

    def frozen(self, now: float, out: list[Effect]) -> None:
        """The kernel says that everything stands still. Stale when an invocation came in between: see `states`."""
        if self.state is not State.FREEZING:
            return
        self._freeze_failures = 0
        self._move(Cause.FROZEN, now, out)
        self._set_timer(self.last_used + self._policy.idle_timeout_s, out)

    def freeze_failed(self, now: float, out: list[Effect]) -> None:
        """Try again later; after the third time in a row the environment stays unfrozen."""
        if self.state is not State.FREEZING:
            return
        self._freeze_failures += 1
        self._move(Cause.FREEZE_FAILED, now, out)
        if self._may_freeze:
            self._set_timer(now + self._policy.freeze_retry_s, out)
        else:
            self._rest(now, out)

    def thawed(self, now: float, out: list[Effect]) -> None:
        """Everything runs again: deliver what the thaw was for."""
        if self.state is not State.THAWING:
            return
        if self.invocation is not None:
            self._move(Cause.THAWED, now, out)
            self._serve(now, out)
            return
        self._move(Cause.UNASSIGNED, now, out)
        if self.retired is None:
            self._rest(now, out)

    # Time --------------------------------------------------------------------------------------------------------------------------------

    def timer(self, now: float, out: list[Effect]) -> Literal["reclaim"] | None:
        """The environment's timer is due. `reclaim`: it was idle for too long, and the fleet should retire it."""
        if now < self._timer_at:
            return None
        match self.state:
            case State.INITIALIZING:
                self._fail_init("timeout", "Runtime.Unknown", None, now, out)
            case State.BUSY if now >= self._deadline:
                self._timed_out(now, out)
            case State.IDLE | State.FROZEN if now >= self.last_used + self._policy.idle_timeout_s:
                return "reclaim"
            case State.IDLE if self._may_freeze and self.retired is None:
                if self._waits:
                    self.freeze(now, out)
                else:  # somebody hung up; when it asks again, the freeze delay begins anew
                    self._set_timer(self.last_used + self._policy.idle_timeout_s, out)
            case State.RESETTING | State.STOPPING:
                self._advance_shutdown(now, out)
            case _:
                pass
        return None

    def _timed_out(self, now: float, out: list[Effect]) -> None:
        invocation = self.invocation
        assert invocation is not None
        if not self.initialized and self._init_began is not None:
            self._report_init("timeout", "Runtime.Unknown", now, out)
        message = f"RequestId: {invocation.request_id} Error: Task timed out after {self.function.timeout_s:.2f} seconds"
        self._fail("timeout", "Sandbox.Timedout", error_payload("Sandbox.Timedout", message), now, out)

    # Ends --------------------------------------------------------------------------------------------------------------------------------

    def process_exited(self, event: ProcessExited, now: float, out: list[Effect]) -> None:
        """A process ended: expected in a shutdown, a crash otherwise."""
        extension = self.extensions.of_process(event.process) if event.process.startswith("extension:") else None
        if event.process == "runtime":
            self.runtime.process_alive = False
            self.runtime.state = RuntimeState.ABSENT
            self.runtime.exchanges.clear()
            self._gated = False
        elif extension is not None:
            extension.process_alive = False
            extension.exchange = None
        if self._shutdown is not None or self.state in (State.RESETTING, State.STOPPING, State.GONE):
            if self._shutdown is not None:
                self._advance_shutdown(now, out)
            return
        if event.process == "runtime":
            self._crashed(*runtime_exit(event), now, out)
        elif extension is not None:
            extension.state = ExtensionState.EXITED
            extension.error_type, reason = extension_exit(event)
            self._crashed(extension.error_type, reason, now, out)

    def _crashed(self, error_type: str, reason: str, now: float, out: list[Effect]) -> None:
        invocation = self.invocation
        request = f"RequestId: {invocation.request_id} " if invocation is not None else ""
        payload = error_payload(error_type, f"{request}Error: {reason}")
        match self.state:
            case State.INITIALIZING:
                self._fail_init("error", error_type, payload, now, out)
            case State.BUSY:
                if self._in_init:
                    self._fail_init("error", error_type, payload, now, out)
                else:
                    self._fail("error", error_type, payload, now, out)
            case State.IDLE | State.FREEZING | State.FROZEN | State.THAWING:
                # The fleet takes back an invocation that was assigned but not delivered: it never reached the function.
                still = self.state in (State.FREEZING, State.FROZEN)
                self._move(Cause.CRASHED, now, out)
                if still:
                    out.append(ThawEnvironment(self.id))  # frozen extensions could not be told, and what is started next would stand still
                self._begin_shutdown("failure", now, out)
            case State.PREPARED | State.STARTING:
                self.stop("its runtime process could not be prepared", now, out)
            case _:
                pass

    def take_back(self) -> Invocation | None:
        """An assigned invocation that was not delivered, and will not be: the environment failed or is to be stopped."""
        if self.state not in (State.RESETTING, State.STOPPING, State.GONE) and not (self.state is State.THAWING and self._leaving):
            return None
        invocation, self.invocation = self.invocation, None
        self._attempt = None
        return invocation

    def stop(self, why: str, now: float, out: list[Effect]) -> None:
        """Shut the environment down for good. With extensions to tell, a frozen one is thawed first."""
        if self.retired is None:
            self.retired = why
        if self.state in (State.STOPPING, State.GONE):
            return
        if self.state is State.BUSY and self.invocation is not None:
            self._break_off(self.invocation, why, now, out)
        if self.state is State.THAWING and self.extensions.by_name:
            self._leaving = True  # the fleet takes its invocation back, and stops it when it has thawed
            return
        if self.state in (State.FREEZING, State.FROZEN) and self.extensions.by_name:
            self._move(Cause.THAW_TO_STOP, now, out)
            out.append(CancelTimer(self.id))
            out.append(ThawEnvironment(self.id))
            return
        if self.state is State.RESETTING and self._shutdown is not None:
            self._move(Cause.SHUTDOWN, now, out)  # go on with the shutdown that is under way
            return
        resetting = self.state is State.RESETTING
        self._move(Cause.SHUTDOWN, now, out)
        if resetting:
            self._finish_shutdown(out)
        else:
            self._begin_shutdown("spindown", now, out)

    def _break_off(self, invocation: Invocation, why: str, now: float, out: list[Effect]) -> None:
        """What is answered ends here, with its REPORT: only the runtime's or an extension's next request was missing. Other invocations are given up."""
        if invocation.answered:
            self._current_attempt.begin(self.since)
            self._current_attempt.say_runtime_done(now, out)
            self._close_invocation(now, out, show_status=False)
            return
        invocation.give_up(Unavailable(message=f"The execution environment was stopped: {why}."), now, out)
        invocation.complete(out)
        self.invocation = self._attempt = None

    def _begin_shutdown(self, reason: Reason, now: float, out: list[Effect]) -> None:
        self.initialized = False
        self._init_began = None
        out.append(CancelTimer(self.id))
        out.append(CloseTelemetry(self.id))
        self._shutdown = ShutdownSequence(self.id, self.runtime, self.extensions.by_name, reason, self._new_id(), self._policy, now)
        self._wait_or_finish(self._shutdown.begin(now, out), out)

    def _advance_shutdown(self, now: float, out: list[Effect]) -> None:
        if self._shutdown is not None:
            self._wait_or_finish(self._shutdown.advance(now, out), out)

    def _wait_or_finish(self, again_at: float | None, out: list[Effect]) -> None:
        if again_at is not None:
            self._set_timer(again_at, out)
            return
        self._finish_shutdown(out)

    def _finish_shutdown(self, out: list[Effect]) -> None:
        self._shutdown = None
        out.append(CancelTimer(self.id))
        out.append(KillProcesses(self.id) if self.state is State.RESETTING else DestroyEnvironment(self.id))

    def processes_killed(self, now: float, out: list[Effect]) -> None:
        """A reset is complete: the environment is as new, but for its `/tmp`."""
        if self.state is not State.RESETTING:
            return
        self.runtime = Runtime()
        self.extensions.by_name = {}
        self._gated = False
        self.last_used = now
        self._move(Cause.RESET, now, out)
        if self.retired is None:
            self._rest(now, out)

    def gone(self, now: float, out: list[Effect]) -> None:
        """Nothing is left of it."""
        if self.state is State.GONE:
            return
        if self.state is State.STARTING:
            self._move(Cause.START_FAILED, now, out)
        elif self.state is State.STOPPING:
            self._move(Cause.GONE, now, out)
        else:
            # The sandbox lost it (somebody killed its first process): the same as a crash, with nothing left to shut down.
            self._lost(now, out)
        out.append(CancelTimer(self.id))

    def _lost(self, now: float, out: list[Effect]) -> None:
        if self.state is State.BUSY and self.invocation is not None:
            message = f"RequestId: {self.invocation.request_id} Error: the execution environment was lost"
            self._close_failed("failure", "Sandbox.Failure", error_payload("Sandbox.Failure", message), now, out)
        out.append(CloseTelemetry(self.id))
        self._move(Cause.SHUTDOWN, now, out)
        self._move(Cause.GONE, now, out)
