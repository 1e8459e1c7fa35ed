"""The states of an execution environment, and every way from one to another.

This table is the truth: `Environment` cannot change its state but through it, the diagram in `docs/` is drawn from it
(`scripts/draw_states.py`), and a pair that is not in it is a bug that is reported with the environment's recent history.

How to read it. Freezing and thawing are states because the kernel answers later: a write to `cgroup.freeze` is a request, `frozen 1` in
`cgroup.events` is the fact. An invocation may arrive in any state:

    idle, frozen, freezing       it is assigned at once (the last two thaw first: see "the freeze race")
    prepared                     the environment begins its init for it
    starting, initializing       it waits in the function's queue until the environment is ready
    busy, resetting              likewise, unless another environment may be started for it
    stopping, gone               the environment is not considered any more

The freeze race, which is where naive implementations lose invocations: an invocation is assigned while a freeze is under way. The environment
then moves FREEZING -> THAWING and asks for a thaw. The sandbox promises that a thaw calls off a freeze that is under way; should
EnvironmentFrozen be reported all the same, it is stale and ignored, because the environment is THAWING and only EnvironmentThawed moves it on.
The invocation is delivered after EnvironmentThawed, never before, and nothing else can happen to it in between but a crash, which puts it back
at the head of the queue.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """States of an execution environment. The values are what stories and the docs show."""

    STARTING = "starting"
    """The sandbox is being built."""
    PREPARED = "prepared"
    """Built, runtime process started and waiting at its gate; none of the function's code has run."""
    INITIALIZING = "initializing"
    """AWS's Init phase: extensions, runtime, the function's static code."""
    IDLE = "idle"
    """Running and waiting for an invocation. After a reset nothing runs in it, and the next invocation begins with an init (AWS: suppressed init)."""
    BUSY = "busy"
    """Serves one invocation, up to the runtime's and every extension's next."""
    FREEZING = "freezing"
    FROZEN = "frozen"
    THAWING = "thawing"
    RESETTING = "resetting"
    """After a failed init, a timeout or a crash: its processes are shut down, its `/tmp` stays."""
    STOPPING = "stopping"
    """AWS's Shutdown phase."""
    GONE = "gone"


class Cause(Enum):
    """Why an environment changes its state: the labels in the diagram."""

    PARKED = "nobody waits"
    INIT = "init begins"
    START_FAILED = "start failed"
    READY = "runtime and extensions wait"
    INIT_FAILED = "init failed or timed out"
    ASSIGNED = "invocation"
    COMPLETED = "done"
    FAILED = "timeout or crash"
    FREEZE = "idle for the freeze delay"
    FROZEN = "kernel: frozen"
    FREEZE_FAILED = "freeze failed"
    THAW_TO_STOP = "shutdown, extensions to tell"
    THAWED = "kernel: thawed"
    UNASSIGNED = "kernel: thawed, nothing to do"
    CRASHED = "a process ended"
    RESET = "nothing runs"
    SHUTDOWN = "shutdown"
    GONE = "nothing is left"


TRANSITIONS: dict[State, dict[Cause, State]] = {
    State.STARTING: {
        Cause.INIT: State.INITIALIZING,
        Cause.PARKED: State.PREPARED,
        Cause.START_FAILED: State.GONE,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.PREPARED: {
        Cause.INIT: State.INITIALIZING,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.INITIALIZING: {
        Cause.READY: State.IDLE,
        Cause.INIT_FAILED: State.RESETTING,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.IDLE: {
        Cause.ASSIGNED: State.BUSY,
        Cause.FREEZE: State.FREEZING,
        Cause.CRASHED: State.RESETTING,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.BUSY: {
        Cause.COMPLETED: State.IDLE,
        Cause.FAILED: State.RESETTING,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.FREEZING: {
        Cause.FROZEN: State.FROZEN,
        Cause.FREEZE_FAILED: State.IDLE,
        Cause.ASSIGNED: State.THAWING,
        Cause.CRASHED: State.RESETTING,
        Cause.THAW_TO_STOP: State.THAWING,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.FROZEN: {
        Cause.ASSIGNED: State.THAWING,
        Cause.CRASHED: State.RESETTING,
        Cause.THAW_TO_STOP: State.THAWING,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.THAWING: {
        Cause.THAWED: State.BUSY,
        Cause.UNASSIGNED: State.IDLE,
        Cause.CRASHED: State.RESETTING,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.RESETTING: {
        Cause.RESET: State.IDLE,
        Cause.SHUTDOWN: State.STOPPING,
    },
    State.STOPPING: {
        Cause.GONE: State.GONE,
    },
    State.GONE: {},
}


class InvalidTransition(Exception):
    """The core's own bug: a change of state that the table does not have. It tells the environment's recent history."""

    def __init__(self, environment: str, before: State, cause: Cause, history: list[str]) -> None:
        self.environment = environment
        self.before = before
        self.cause = cause
        self.history = list(history)
        super().__init__(environment, before, cause)

    def __str__(self) -> str:
        lines = "".join(f"\n  {line}" for line in self.history)
        return (
            f"environment {self.environment} is {self.before.value} and cannot take {self.cause.name} ({self.cause.value!r}); "
            f"its recent history:{lines}\nThis is a bug in Frostline: please report it with this text."
        )


def after(state: State, cause: Cause) -> State | None:
    """The state that follows, or None where the table has no such way."""
    return TRANSITIONS[state].get(cause)
