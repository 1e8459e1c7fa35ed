"""The fleet: every function's environments, and the one door through which state changes.

`Fleet.handle(event, now)` takes what happened and answers with what is to be done. It routes the event to the environment that it concerns, and then
settles what follows for that function: invocations that wait are assigned, environments are started or retired, spares are kept. Nothing else changes state.

How an invocation finds its environment (`_dispatch`):
 1. one that is available: idle before frozen, warm before reset, and the one used last first, so that idle ones can grow old and be reclaimed;
 2. otherwise it waits for one that is coming (initializing, resetting, about to finish), as long as there are more coming than waiting;
 3. otherwise a prepared spare begins its init, or a new environment is started, up to the function's concurrency.
An invocation is refused on arrival when as many are unanswered as the function may run at once (429, as on AWS), and, where no concurrency is
reserved, as many more wait as AWS would run.

Longer than 400 lines because whatever changes state passes through this one class, and a reader should see all of it in one place.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from .effects import CancelTimer, Effect, Resolve, SetTimer, StartEnvironment, Stopped, Throttled, Unavailable
from .environment import Environment
from .events import (
    EnvironmentFreezeFailed,
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    EnvironmentWarped,
    Event,
    ExchangeClosed,
    ExtensionExitFailed,
    ExtensionInitFailed,
    ExtensionNext,
    ExtensionRegister,
    FreezeRequested,
    FunctionDeployed,
    FunctionRemoved,
    InvocationAbandoned,
    InvocationArrived,
    Logged,
    MemorySampled,
    NetworkEvent,
    ProcessesKilled,
    ProcessExited,
    ProvisionRequested,
    ReclaimRequested,
    RuntimeFailed,
    RuntimeInitFailed,
    RuntimeNext,
    RuntimeResponded,
    RuntimeResponseChunk,
    RuntimeResponseEnded,
    RuntimeResponseStarted,
    RuntimeResponseTooLarge,
    RuntimeResponseTruncated,
    ShutdownRequested,
    TelemetrySubscribe,
    TimerFired,
)
from .function import Function
from .invocation import Invocation
from .policy import Policy
from .pool import Pool
from .states import State


class Fleet:
    """All state of the control plane. Pure: time is an argument, and randomness comes from `random` (ids, chaos)."""

    def __init__(self, policy: Policy, random: Random) -> None:
        self.policy = policy
        self.pools: dict[str, Pool] = {}
        self.shutting_down = False
        self._random = random
        self._environments: dict[str, tuple[Environment, Pool]] = {}
        #: Asynchronous invocations between two attempts.
        self._waiting: dict[str, Invocation] = {}
        #: Asynchronous invocations that the shutdown interrupted.
        self._lost = 0
        self._out: list[Effect] = []

    # The one door ------------------------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event and answer with effects, to be carried out in their order. `now`: epoch seconds that never go backwards."""
        self._out = []
        match event:
            case InvocationArrived():
                self._arrived(event, now)
            case TimerFired():
                self._timer(event.timer, now)
            case FunctionDeployed():
                self._deployed(event.function, now)
            case FunctionRemoved():
                self._removed(event.function, now)
            case ReclaimRequested():
                self._reclaim(event, now)
            case ProvisionRequested():
                self._provision(event.function, now)
            case ShutdownRequested():
                self._shut_down(now)
            case InvocationAbandoned():
                pass  # it goes on, as on AWS; the control plane drops the answer
            case NetworkEvent():
                pass  # for the story alone
            case _:
                self._environment_event(event, now)
        return self._out

    def _environment_event(self, event: Event, now: float) -> None:  # noqa: C901  one ladder, one step each
        found = self._environments.get(getattr(event, "environment", ""))
        if found is None:
            return  # a late word from an environment that is gone
        environment, pool = found
        out = self._out
        before = environment.invocation
        match event:
            # In the order of how often they come: this is the hot path.
            case RuntimeNext():
                environment.runtime_next(event, now, out)
            case RuntimeResponded():
                environment.responded(event, now, out)
            case Logged():
                environment.logged(event, now, out)
                return
            case MemorySampled():
                environment.sampled(event.peak_mb)
                return
            case EnvironmentFrozen():
                environment.frozen(now, out)
            case EnvironmentThawed():
                environment.thawed(now, out)
            case EnvironmentWarped():
                environment.warped(event.ahead_s)
            case RuntimeResponseChunk():
                environment.response_chunk(event, now, out)
            case RuntimeResponseStarted():
                environment.response_started(event, now, out)
            case RuntimeResponseEnded():
                environment.response_ended(event, now, out)
            case RuntimeFailed():
                environment.failed(event, now, out)
            case ExtensionNext():
                environment.extension_next(event, now, out)
            case EnvironmentStarted():
                environment.started(now, out)
            case EnvironmentStartFailed():
                self._start_failed(environment, pool, event.reason, now)
            case ProcessExited():
                if environment.state is State.PREPARED:
                    pool.spare_failed = environment.function.revision
                environment.process_exited(event, now, out)
            case ProcessesKilled():
                environment.processes_killed(now, out)
            case EnvironmentGone():
                environment.gone(now, out)
            case EnvironmentFreezeFailed():
                environment.freeze_failed(now, out)
            case FreezeRequested():
                environment.freeze_now(now, out)
            case RuntimeInitFailed():
                environment.init_failed(event, now, out)
            case RuntimeResponseTooLarge():
                environment.response_too_large(event, now, out)
            case RuntimeResponseTruncated():
                environment.response_truncated(event, now, out)
            case ExchangeClosed():
                environment.exchange_closed(event.exchange)
            case ExtensionRegister():
                environment.extension_register(event, out)
            case ExtensionInitFailed() | ExtensionExitFailed():
                environment.extension_failed(event, now, out)
            case TelemetrySubscribe():
                environment.telemetry_subscribe(event, now, out)
            case _:
                raise TypeError(f"the fleet does not know the event {event!r}")
        self._settle(environment, pool, before, now)

    # What follows from an environment's change -------------------------------------------------------------------------------------------

    def _settle(self, environment: Environment, pool: Pool, before: Invocation | None, now: float) -> None:
        taken_back = environment.take_back()
        if taken_back is not None:
            self._requeue(taken_back, pool, now)
        elif before is not None and environment.invocation is None:
            self._finished(before, pool, now)
            if self._chance(self.policy.chaos) and environment.retired is None:
                environment.retired = "chaos"
        if environment.retired is not None and environment.state is State.IDLE:
            environment.stop(environment.retired, now, self._out)
        elif self.shutting_down and environment.state not in (State.THAWING, State.STOPPING, State.GONE):
            environment.stop("shutdown", now, self._out)
        if environment.state is State.GONE:
            self._forget(environment, pool)
        if pool.queue:
            self._dispatch(pool, now)
        if environment.state is State.IDLE and environment.initialized and pool.spare is None:
            self._replace_spare(pool, now)

    def _requeue(self, invocation: Invocation, pool: Pool, now: float) -> None:
        """An invocation that its environment could not take goes back to the head of the queue, if anybody will serve the queue."""
        pool.queue.appendleft(invocation)
        if self.shutting_down:
            self._abandon_queue(pool, "Frostline is shutting down.", now)
        elif self.pools.get(pool.function.name) is not pool:
            self._abandon_queue(pool, "The function was removed.", now)

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _forget(self, environment: Environment, pool: Pool) -> None:
        pool.environments.pop(environment.id, None)
        self._environments.pop(environment.id, None)
        self._check_stopped()

    def _start_failed(self, environment: Environment, pool: Pool, reason: str, now: float) -> None:
        stopping = environment.state is not State.STARTING
        environment.gone(now, self._out)
        if stopping:
            return
        if not environment.wanted:
            pool.spare_failed = environment.function.revision
            return
        # One waiting invocation is answered for each environment that could not be built, so that a broken machine cannot keep anybody waiting.
        if pool.queue:
            invocation = pool.queue.popleft()
            invocation.give_up(Unavailable(message=f"An execution environment could not be started: {reason}"), now, self._out)
            self._finished(invocation, pool, now)

    # Invocations -------------------------------------------------------------------------------------------------------------------------

    def _arrived(self, event: InvocationArrived, now: float) -> None:
        pool = self.pools.get(event.function)
        if pool is None or self.shutting_down:
            message = "Frostline is shutting down." if self.shutting_down else f"Function not found: {event.function}"
            self._out.append(Resolve(event.request_id, Unavailable(message=message)))
            return
        invocation = Invocation(event, now)
        invocation.accept(self._out)
        self._enqueue(invocation, pool, now)

    def _enqueue(self, invocation: Invocation, pool: Pool, now: float) -> None:
        pool.last_arrival = now
        if pool.unanswered >= pool.function.concurrency + pool.function.queue_limit:
            if invocation.arrived.mode == "event":
                self._retry_throttled(invocation, now)
            else:
                invocation.give_up(Throttled(reason="ReservedFunctionConcurrentInvocationLimitExceeded"), now, self._out)
            return
        invocation.queued_at = now
        pool.queue.append(invocation)
        self._dispatch(pool, now)

    def _dispatch(self, pool: Pool, now: float) -> None:
        """Give waiting invocations to environments, or see to it that environments come."""
        queue = pool.queue
        while queue:
            environment = pool.best()
            if environment is None:
                break
            environment.assign(queue.popleft(), now, self._out)
        if not queue or self.shutting_down:
            return
        environments = pool.environments.values()
        missing = len(queue) - sum(1 for environment in environments if environment.coming(now))
        working = sum(1 for environment in environments if environment.working)
        while missing > 0 and working < pool.function.concurrency:
            missing -= 1
            working += 1
            self._bring(pool, now)
        # Those that are about to finish may not: look again when the patience with the first of them is over.
        ends = [end for environment in environments if (end := environment.patience_ends) is not None and end > now]
        if ends:
            self._out.append(SetTimer(timer=f"queue:{pool.function.name}", at=min(ends)))

    def _bring(self, pool: Pool, now: float) -> None:
        """One more environment begins its init."""
        spare = pool.spare
        if spare is not None:
            spare.begin_init(now, self._out)
        else:
            self._start(pool, now, wanted=True)

    def _provision(self, name: str, now: float) -> None:
        pool = self.pools.get(name)
        if pool is None or self.shutting_down:
            return
        if sum(1 for environment in pool.environments.values() if environment.working) < pool.function.concurrency:
            self._bring(pool, now)

    def _start(self, pool: Pool, now: float, *, wanted: bool) -> None:
        function = pool.function
        environment_id = f"{self._random.getrandbits(128):032x}"
        log_stream = f"{datetime.fromtimestamp(now, UTC):%Y/%m/%d}/[$LATEST]{environment_id}"
        environment = Environment(environment_id, function, log_stream, self.policy, self._new_id, now, wanted=wanted)
        pool.environments[environment_id] = environment
        self._environments[environment_id] = (environment, pool)
        self._out.append(
            StartEnvironment(environment=environment_id, function=function.name, revision=function.revision, log_stream=log_stream)
        )

    def _new_id(self) -> str:
        bits = f"{self._random.getrandbits(128):032x}"
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"

    def _finished(self, invocation: Invocation, pool: Pool, now: float) -> None:
        """The last of an attempt: asynchronous invocations that failed are tried again, as AWS does."""
        if invocation.arrived.mode != "event" or not invocation.failed:
            return
        if self.shutting_down:
            self._count_lost(invocation)
            return
        if invocation.attempt > pool.function.maximum_retry_attempts:
            return
        delay = self.policy.retry_delay_s * invocation.attempt
        invocation.attempt += 1
        self._retry(invocation, pool.function, now, delay)

    def _retry_throttled(self, invocation: Invocation, now: float) -> None:
        delay = min(self.policy.throttle_retry_s * 2**invocation.throttles, self.policy.throttle_retry_max_s)
        invocation.throttles += 1
        pool = self.pools[invocation.arrived.function]
        self._retry(invocation, pool.function, now, delay)

    def _retry(self, invocation: Invocation, function: Function, now: float, delay: float) -> None:
        if now + delay > invocation.first_seen + function.maximum_event_age_s:
            return
        invocation.reset_for_attempt()
        self._waiting[invocation.request_id] = invocation
        self._out.append(SetTimer(timer=f"retry:{invocation.request_id}", at=now + delay))

    # Functions ---------------------------------------------------------------------------------------------------------------------------

    def _deployed(self, function: Function, now: float) -> None:
        pool = self.pools.get(function.name)
        if pool is None:
            pool = self.pools[function.name] = Pool(function)
        elif pool.function.revision != function.revision:
            for environment in list(pool.environments.values()):
                self._retire(environment, "the function changed", now)
        pool.function = function
        pool.spare_failed = None
        if pool.queue:
            self._dispatch(pool, now)
        self._keep_spare(pool, now)

    def _removed(self, name: str, now: float) -> None:
        pool = self.pools.pop(name, None)
        if pool is None:
            return
        self._abandon_queue(pool, "The function was removed.", now)
        for environment in list(pool.environments.values()):
            self._retire(environment, "the function was removed", now)

    def _abandon_queue(self, pool: Pool, message: str, now: float) -> None:
        while pool.queue:
            invocation = pool.queue.popleft()
            invocation.give_up(Unavailable(message=message), now, self._out)
            self._count_lost(invocation)

    def _retire(self, environment: Environment, why: str, now: float) -> None:
        """No further invocation for it: at once when it has none, after its invocation otherwise."""
        if environment.retired is None:
            environment.retired = why
        if environment.state not in (State.BUSY, State.THAWING) or environment.invocation is None:
            environment.stop(why, now, self._out)

    def _reclaim(self, event: ReclaimRequested, now: float) -> None:
        for environment, pool in list(self._environments.values()):
            if event.environment not in (None, environment.id) or event.function not in (None, pool.function.name):
                continue
            if event.environment is not None or event.function is not None or environment.available:
                self._retire(environment, "reclaimed", now)
                if pool.queue:
                    self._dispatch(pool, now)

    # Spares ------------------------------------------------------------------------------------------------------------------------------

    def _replace_spare(self, pool: Pool, now: float) -> None:
        if self.policy.spares > 0 and not self.shutting_down and pool.spare_failed != pool.function.revision:
            self._out.append(SetTimer(timer=f"spare:{pool.function.name}", at=now + self.policy.spare_delay_s))

    def _keep_spare(self, pool: Pool, now: float) -> None:
        """Keep one prepared environment for this function; over the bound, at the cost of the function that was invoked longest ago."""
        if self.policy.spares <= 0 or self.shutting_down or pool.spare is not None or pool.spare_failed == pool.function.revision:
            return
        if pool.function.concurrency <= 0:
            return
        holders = [(other.last_arrival, other.function.name, spare) for other in self.pools.values() if (spare := other.spare) is not None]
        if len(holders) >= self.policy.spares:
            oldest, _, spare = min(holders, key=lambda holder: holder[:2])
            if oldest >= pool.last_arrival:
                return
            spare.stop("another function needs the place", now, self._out)
        self._start(pool, now, wanted=False)

    # Time and the end --------------------------------------------------------------------------------------------------------------------

    def _timer(self, timer: str, now: float) -> None:
        found = self._environments.get(timer)
        if found is not None:
            environment, pool = found
            before = environment.invocation
            if environment.timer(now, self._out) == "reclaim":
                environment.stop("idle for too long", now, self._out)
            self._settle(environment, pool, before, now)
            return
        kind, _, name = timer.partition(":")
        if self.shutting_down:
            return
        if kind == "retry":
            invocation = self._waiting.pop(name, None)
            pool_ = self.pools.get(invocation.arrived.function) if invocation is not None else None
            if invocation is not None and pool_ is not None:
                self._enqueue(invocation, pool_, now)
            return
        pool_ = self.pools.get(name)
        if pool_ is None:
            return
        if kind == "queue" and pool_.queue:
            self._dispatch(pool_, now)
        elif kind == "spare":
            quiet_at = pool_.last_arrival + self.policy.spare_delay_s
            if now < quiet_at:
                self._out.append(SetTimer(timer=timer, at=quiet_at))
            else:
                self._keep_spare(pool_, now)

    def _shut_down(self, now: float) -> None:
        if self.shutting_down:
            return
        self.shutting_down = True
        for pool in self.pools.values():
            self._abandon_queue(pool, "Frostline is shutting down.", now)
        for request_id in self._waiting:
            self._out.append(CancelTimer(f"retry:{request_id}"))
        for environment, pool in list(self._environments.values()):
            before = environment.invocation
            environment.stop("shutdown", now, self._out)
            taken_back = environment.take_back()
            if taken_back is not None:
                self._requeue(taken_back, pool, now)
            elif before is not None and environment.invocation is None:
                self._finished(before, pool, now)
        self._check_stopped()

    def _count_lost(self, invocation: Invocation) -> None:
        """An asynchronous invocation that Frostline's end leaves unfinished."""
        if self.shutting_down and invocation.arrived.mode == "event":
            self._lost += 1

    def _check_stopped(self) -> None:
        if self.shutting_down and not self._environments:
            self._out.append(Stopped(unfinished_asynchronous=self._lost + len(self._waiting)))
            self._waiting.clear()

    # Looking ------------------------------------------------------------------------------------------------------------------------------

    @property
    def environments(self) -> list[Environment]:
        """All environments there are, for tests and for looking."""
        return [environment for environment, _ in self._environments.values()]

    def validate(self) -> None:
        """Every invariant that spans collections; tests call it after each event. Raises AssertionError."""
        served: set[str] = set()
        for pool in self.pools.values():
            for invocation in pool.queue:
                assert not invocation.answered, f"{invocation.request_id} waits and is answered"
                assert invocation.request_id not in served, f"{invocation.request_id} waits twice"
                served.add(invocation.request_id)
        for environment, pool in self._environments.values():
            assert pool.environments.get(environment.id) is environment, f"{environment!r} is in no pool"
            assert environment.state is not State.GONE, f"{environment!r} is still known"
            has = environment.invocation is not None
            assert has == (environment.state is State.BUSY) or (environment.state is State.THAWING), (
                f"{environment!r} has an invocation: {has}"
            )
            if environment.state in (State.FREEZING, State.FROZEN):
                assert environment.initialized and environment.runtime.state.value == "Ready", f"{environment!r} is not at rest"
            if environment.invocation is not None:
                assert environment.invocation.request_id not in served, f"{environment.invocation.request_id} is served twice"
                served.add(environment.invocation.request_id)
        for request_id in self._waiting:
            assert request_id not in served, f"{request_id} is served and waits for a retry"
