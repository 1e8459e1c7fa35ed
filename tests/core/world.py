"""A world for the fleet to live in: sandboxes, processes and callers that keep the port's promises and are otherwise as bad as they can be.

Whatever the fleet wants done is done at some later time, or fails; processes answer right, wrong, twice or never, and crash; timers fire late.
Each `step` does one thing that could happen next, by a number that a test chooses. `calm` then lets everybody behave, so that one can see whether all that
is owed is given; `end` shuts the fleet down.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random

from msgspec.structs import replace

from frostline.core.effects import (
    Answer,
    CancelTimer,
    DestroyEnvironment,
    Effect,
    FreezeEnvironment,
    KillProcesses,
    NextInvocation,
    NextShutdown,
    OpenGate,
    Refused,
    Registered,
    SetTimer,
    SignalProcess,
    StartEnvironment,
    StartProcess,
    ThawEnvironment,
)
from frostline.core.events import (
    EnvironmentFreezeFailed,
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    Event,
    ExchangeClosed,
    ExtensionExitFailed,
    ExtensionInitFailed,
    ExtensionNext,
    ExtensionRegister,
    FreezeRequested,
    FunctionDeployed,
    FunctionRemoved,
    InvocationArrived,
    InvocationMode,
    Logged,
    MemorySampled,
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
    Subscription,
    TelemetrySubscribe,
    TimerFired,
)
from frostline.core.fleet import Fleet
from frostline.core.function import Function
from frostline.core.payload import EMPTY, Payload
from frostline.core.policy import Policy
from frostline.testing.laws import Laws

from .sandboxes import Process, Sandbox

Move = Callable[[], None]

TIME = (0.0005,) * 6 + (0.002,) * 6 + (0.03,) * 3 + (0.3, 1.5, 3.5, 11.0, 70.0, 2500.0)
WRONG_ID = "nobody"


class World:
    """Everything around one fleet."""

    def __init__(self, policy: Policy, functions: list[Function]) -> None:
        self.fleet = Fleet(policy, Random(1))
        self.laws = Laws()
        self.now = 1000.0
        self.timers: dict[str, float] = {}
        self.sandboxes: dict[str, Sandbox] = {}
        self.functions: dict[str, Function] = {}
        self.story: list[str] = []
        self._numbers = count(1)
        self._owners: dict[int, Process] = {}
        self._known = functions
        for function in functions:
            self.deploy(function)

    # Events in, effects out --------------------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Hand an event to the fleet, look whether all is well, and take note of what it wants."""
        self.story.append(f"{self.now:.4f} {event}")
        effects = self.fleet.handle(event, self.now)
        self.story += [f"    {effect}" for effect in effects]
        self.fleet.validate()
        self.laws.observe(event, effects)
        for effect in effects:
            self._take(effect)

    def _take(self, effect: Effect) -> None:
        match effect:
            case SetTimer():
                self.timers[effect.timer] = effect.at
            case CancelTimer():
                self.timers.pop(effect.timer, None)
            case Answer():
                self._answered(effect)
            case StartEnvironment():
                assert self.functions[effect.function].revision == effect.revision, f"{effect!r} runs old code"
                self.sandboxes[effect.environment] = Sandbox(effect.environment)
            case StartProcess():
                self.sandboxes[effect.environment].processes[effect.process] = Process(effect.process, gated=effect.gated)
            case OpenGate():
                self.sandboxes[effect.environment].processes[effect.process].gated = False
            case SignalProcess():
                self.sandboxes[effect.environment].processes[effect.process].leaving = True
            case KillProcesses():
                self.sandboxes[effect.environment].orders.append("kill")
            case FreezeEnvironment():
                self.sandboxes[effect.environment].orders.append("freeze")
            case ThawEnvironment():
                self.sandboxes[effect.environment].orders.append("thaw")
            case DestroyEnvironment():
                self.sandboxes[effect.environment].orders.append("destroy")

    def _answered(self, answer: Answer) -> None:
        process = self._owners.pop(answer.exchange, None)
        if process is None:
            return
        if process.poll == answer.exchange:
            process.poll = None
            process.leaving |= isinstance(answer.reply, Refused)
        if process.stream == answer.exchange:
            process.stream = None
        match answer.reply:
            case NextInvocation():
                process.request_id = answer.reply.request_id
            case NextShutdown():
                process.leaving = True
            case Registered():
                process.extension_id = answer.reply.extension_id

    def _ask(self, process: Process, *, poll: bool = False) -> int:
        """The number of a new exchange of this process; for a `poll` it waits."""
        exchange = next(self._numbers)
        self._owners[exchange] = process
        if poll:
            process.poll = exchange
        return exchange

    # One step ----------------------------------------------------------------------------------------------------------------------------

    def step(self, choice: int) -> None:
        """Do one of the things that could happen next. What keeps the world going is chosen more often than what disturbs it."""
        choice, kind = divmod(choice, 64)
        moves: list[Move] = []
        if kind < 20:
            moves = [
                partial(self.obey, sandbox, how) for sandbox in self.sandboxes.values() if sandbox.orders for how in (0, 0, 0, 0, 1, 2)
            ]
        elif kind < 40:
            moves = [
                move for sandbox in self.sandboxes.values() for process in sandbox.running() if (move := self.proper(sandbox, process))
            ]
        elif kind < 46:
            moves = [partial(self.fire, timer) for timer, at in self.timers.items() if at <= self.now]
        elif kind < 49:
            names = list(self.functions)
            moves = [partial(self.invoke, name, mode, tail) for name in names for mode in MODES for tail in (False, True)]
        elif kind < 50:
            moves = self._disturbances()
        elif kind < 54:
            moves = [
                move
                for sandbox in self.sandboxes.values()
                for process in sandbox.processes.values()
                for move in self._whims(sandbox, process)
            ]
        elif kind >= 58:
            self.now += TIME[choice % len(TIME)]
        if moves:
            moves[choice % len(moves)]()

    def fire(self, timer: str) -> None:
        """A timer that is due fires."""
        del self.timers[timer]
        self.tell(TimerFired(timer))

    def invoke(self, name: str, mode: InvocationMode, tail: bool) -> None:
        """Somebody invokes a function."""
        self.tell(InvocationArrived(function=name, request_id=f"r{next(self._numbers)}", payload=EMPTY, mode=mode, tail=tail))

    def deploy(self, function: Function) -> None:
        """New code."""
        self.functions[function.name] = replace(function, revision=str(next(self._numbers)))
        self.tell(FunctionDeployed(self.functions[function.name]))

    def remove(self, name: str) -> None:
        """No code."""
        del self.functions[name]
        self.tell(FunctionRemoved(name))

    def lose(self, sandbox: Sandbox) -> None:
        """Somebody kills the sandbox from outside."""
        del self.sandboxes[sandbox.environment]
        self.tell(EnvironmentGone(sandbox.environment))

    def _disturbances(self) -> list[Move]:
        environments = [environment.id for environment in self.fleet.environments]
        moves: list[Move] = [partial(self.deploy, function) for function in self._known]
        moves += [partial(self.remove, name) for name in self.functions]
        moves += [partial(self.tell, ReclaimRequested(function=name)) for name in self.functions]
        moves += [partial(self.tell, ReclaimRequested(environment=environment)) for environment in environments]
        moves += [partial(self.tell, ProvisionRequested(name)) for name in self.functions]
        moves += [partial(self.tell, FreezeRequested(environment)) for environment in environments]
        moves += [partial(self.lose, sandbox) for sandbox in self.sandboxes.values() if "start" not in sandbox.orders]
        moves += [partial(self.tell, ReclaimRequested()), partial(self.tell, ShutdownRequested())]
        return moves

    # The sandbox -------------------------------------------------------------------------------------------------------------------------

    def obey(self, sandbox: Sandbox, how: int = 0) -> None:
        """Carry out the oldest order: well (0), or in another way that the port allows."""
        environment = sandbox.environment
        order = "destroy" if how == 2 and "destroy" in sandbox.orders else sandbox.orders.popleft()
        match order:
            case "start" if how == 2:
                del self.sandboxes[environment]
                self.tell(EnvironmentStartFailed(environment, "the machine is broken"))
            case "start":
                self.tell(EnvironmentStarted(environment))
            case "freeze" if how == 2:
                self.tell(EnvironmentFreezeFailed(environment, "the kernel refuses"))
            case "freeze" if how == 0 and "thaw" in sandbox.orders:
                pass  # called off
            case "freeze":
                sandbox.frozen = True
                self.tell(EnvironmentFrozen(environment))
            case "thaw":
                sandbox.frozen = False
                self.tell(EnvironmentThawed(environment))
            case "kill":
                self._kill(sandbox)
                sandbox.processes.clear()
                self.tell(ProcessesKilled(environment))
            case "destroy":
                if how:
                    self._kill(sandbox)
                del self.sandboxes[environment]
                self.tell(EnvironmentGone(environment))

    def _kill(self, sandbox: Sandbox) -> None:
        for process in list(sandbox.processes.values()):
            if process.alive:
                self.exit(sandbox, process, signal=9)

    # Processes ---------------------------------------------------------------------------------------------------------------------------

    def exit(self, sandbox: Sandbox, process: Process, **how: object) -> None:
        """A process ends."""
        process.alive = False
        process.poll = process.stream = None
        self.tell(replace(ProcessExited(sandbox.environment, process=process.name), **how))

    def proper(self, sandbox: Sandbox, process: Process) -> Move | None:
        """What a well-behaved process does next; None while it waits."""
        name = sandbox.environment
        if process.leaving:
            return partial(self.exit, sandbox, process, status=0)
        if process.poll is not None:
            return None
        if process.name == "runtime":
            if process.stream is not None:
                return lambda: self._end_stream(name, process)
            if process.request_id is not None:
                return lambda: self._respond(name, process)
            return lambda: self.tell(RuntimeNext(name, self._ask(process, poll=True)))
        if process.extension_id is None:
            return lambda: self._register(name, process, process.name.removeprefix("extension:"))
        identity = process.extension_id
        return lambda: self.tell(ExtensionNext(name, self._ask(process, poll=True), extension_id=identity))

    def _respond(self, name: str, process: Process) -> None:
        request_id, process.request_id = process.request_id, None
        self.tell(RuntimeResponded(name, self._ask(process), request_id=request_id or WRONG_ID, payload=Payload(b"{}")))

    def _end_stream(self, name: str, process: Process) -> None:
        exchange, process.stream, process.request_id = process.stream, None, None
        self.tell(RuntimeResponseEnded(name, exchange or 0))

    def _begin_stream(self, name: str, process: Process) -> None:
        process.stream = self._ask(process)
        self.tell(RuntimeResponseStarted(name, process.stream, request_id=process.request_id or WRONG_ID))

    def _register(self, name: str, process: Process, extension: str, events: tuple[str, ...] = ("INVOKE", "SHUTDOWN")) -> None:
        self.tell(ExtensionRegister(name, self._ask(process, poll=True), name=extension, events=events))

    def _hang_up(self, name: str, process: Process) -> None:
        exchange, process.poll = process.poll, None
        if exchange is not None:
            self._owners.pop(exchange)
            self.tell(ExchangeClosed(name, exchange))

    def _whims(self, sandbox: Sandbox, process: Process) -> list[Move]:
        """What a badly behaved process might do. A dead one may have left requests behind that are read late; a frozen one can only be killed."""
        name = sandbox.environment
        ends: list[Move] = [
            partial(self.exit, sandbox, process, signal=9, out_of_memory=True),
            partial(self.exit, sandbox, process, status=1),
        ]
        if not process.alive:
            return [] if sandbox.frozen else [lambda: self.tell(RuntimeNext(name, self._ask(process)))]
        if sandbox.frozen or process.gated:
            return ends
        return ends + (self._runtime_whims(name, process) if process.name == "runtime" else self._extension_whims(name, process))

    def _runtime_whims(self, name: str, process: Process) -> list[Move]:
        request_id = process.request_id or WRONG_ID
        stream = process.stream or 0
        payload = Payload(b"{}")
        return [
            partial(self._hang_up, name, process),
            partial(self._begin_stream, name, process),
            partial(self._respond, name, process),
            partial(self._register, name, process, "inner", ("INVOKE",)),
            lambda: self.tell(RuntimeNext(name, self._ask(process, poll=True))),
            lambda: self.tell(RuntimeResponded(name, self._ask(process), request_id=WRONG_ID, payload=payload)),
            lambda: self.tell(RuntimeFailed(name, self._ask(process), request_id=request_id, error_type="E", payload=payload)),
            lambda: self.tell(RuntimeResponseTooLarge(name, self._ask(process), request_id=request_id, size=7_000_000)),
            lambda: self.tell(RuntimeResponseTruncated(name, self._ask(process), request_id=request_id)),
            lambda: self.tell(RuntimeResponseChunk(name, stream, payload=payload)),
            lambda: self.tell(RuntimeResponseEnded(name, stream, error_type="E")),
            lambda: self.tell(RuntimeInitFailed(name, self._ask(process), error_type="E", payload=payload)),
            lambda: self.tell(Logged(environment=name, process=process.name, text="hello")),
            lambda: self.tell(MemorySampled(name, 40)),
        ]

    def _extension_whims(self, name: str, process: Process) -> list[Move]:
        identity = process.extension_id or WRONG_ID
        subscription = Subscription(protocol="HTTP", port=80)
        return [
            partial(self._hang_up, name, process),
            partial(self._register, name, process, "logger", ("INVOKE",)),
            lambda: self.tell(ExtensionNext(name, self._ask(process, poll=True), extension_id=identity)),
            lambda: self.tell(ExtensionInitFailed(name, self._ask(process), extension_id=identity, error_type="E")),
            lambda: self.tell(ExtensionExitFailed(name, self._ask(process), extension_id=identity, error_type="E")),
            lambda: self.tell(TelemetrySubscribe(name, self._ask(process), extension_id=identity, subscription=subscription)),
        ]

    # Calm and end ------------------------------------------------------------------------------------------------------------------------

    def calm(self, *, until: float) -> None:
        """Everybody behaves, and due timers fire, up to `until` seconds from now."""
        until += self.now
        for _ in range(5000):
            moves = [partial(self.obey, sandbox) for sandbox in self.sandboxes.values() if sandbox.orders]
            moves += [
                move for sandbox in self.sandboxes.values() for process in sandbox.running() if (move := self.proper(sandbox, process))
            ]
            if moves:
                moves[0]()
                continue
            timer, at = min(self.timers.items(), key=lambda item: item[1], default=("", until))
            if at >= until:
                self.now = until
                return
            self.now = max(self.now, at)
            self.fire(timer)
        raise AssertionError("the world does not come to rest")

    def end(self) -> None:
        """Shut down, with everybody behaving, and see that nothing is left."""
        self.tell(ShutdownRequested())
        self.calm(until=5.0)
        assert self.laws.stopped, f"never Stopped; left: {self.fleet.environments}"
        assert not self.fleet.environments and not self.sandboxes
        left = [timer for timer in self.timers if not timer.startswith(("spare:", "queue:"))]
        assert not left, f"timers that nobody cancelled: {left}"
        self.laws.finished()


MODES: tuple[InvocationMode, ...] = ("request_response", "event", "stream")
