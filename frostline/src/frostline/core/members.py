"""Who lives in an environment: the runtime process and the extensions, each with the state that its API knows.

The names of the states and the sentences of refusals are those of AWS's runtime interface emulator, because runtimes and extensions log them.
"""

from __future__ import annotations

from enum import Enum

from .effects import Refused
from .events import ProcessExited

MAX_EXTENSIONS = 10
"""AWS: "The maximum number of extensions is 10"."""

EXTENSION_EVENTS = ("INVOKE", "SHUTDOWN")


class RuntimeState(Enum):
    """What the runtime may do next on its API; values are RIE's names."""

    ABSENT = "Absent"
    """No process (before the init, after a reset)."""
    STARTED = "Started"
    INIT_ERROR = "InitError"
    READY = "Ready"
    """It waits in /next."""
    RUNNING = "Running"
    """It has an invocation."""
    RESPONDING = "InvocationResponse"
    """A streamed response is under way."""
    RESPONDED = "RuntimeResponseSentState"


class ExtensionState(Enum):
    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    """It waits in /event/next."""
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"


class Runtime:
    """The runtime process, as its API sees it."""

    __slots__ = ("exchanges", "process_alive", "state", "streaming_exchange")

    def __init__(self) -> None:
        self.state = RuntimeState.ABSENT
        self.process_alive = False
        #: /next polls that wait for an answer. More than one is a runtime's oddity that RIE allows: all of them get the event.
        self.exchanges: list[int] = []
        self.streaming_exchange: int | None = None

    def refuse(self, wanted: str) -> Refused:
        """The answer to a request that this state does not allow."""
        return Refused(
            status=403,
            error_type="InvalidStateTransition",
            message=f"Transition from {self.state.value} to {wanted} failed for runtime. Error: State transition is not allowed",
        )


class Extension:
    """One extension: external ones are processes of their own, internal ones live in the runtime's."""

    __slots__ = ("error_type", "events", "exchange", "extension_id", "external", "name", "process_alive", "shutdown_sent", "state")

    def __init__(self, name: str, *, external: bool) -> None:
        self.name = name
        self.external = external
        self.state = ExtensionState.STARTED
        self.extension_id: str | None = None
        self.events: tuple[str, ...] = ()
        self.exchange: int | None = None
        self.process_alive = external
        self.error_type: str | None = None
        self.shutdown_sent = False

    @property
    def process(self) -> str:
        """The name of its process in events and effects."""
        return f"extension:{self.name}"

    @property
    def holds_completion(self) -> bool:
        """An invocation is not complete before this extension is back in its next."""
        return "INVOKE" in self.events and self.state is ExtensionState.RUNNING

    def refuse(self, wanted: str) -> Refused:
        """The answer to a request that this state does not allow."""
        return Refused(
            status=403,
            error_type="Extension.InvalidExtensionState",
            message=f"Transition from {self.state.value} to {wanted} failed for extension {self.name}. Error: State transition is not allowed",
        )


def runtime_exit(exited: ProcessExited) -> tuple[str, str]:
    """The error type and the sentence for a runtime process that ended.

    `Runtime.OutOfMemory` is what AWS's REPORT lines show (`Status: error Error Type: Runtime.OutOfMemory`, seen 2026).
    """
    if exited.error:
        return "Runtime.InvalidEntrypoint", f"Runtime exited with error: {exited.error}"
    if exited.out_of_memory:
        return "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"
    if exited.status == 0:
        return "Runtime.ExitError", "Runtime exited without providing a reason"
    return "Runtime.ExitError", f"Runtime exited with error: {describe_exit(exited)}"


def extension_exit(exited: ProcessExited) -> tuple[str, str]:
    """The error type and the sentence for an extension's process that ended."""
    kind = "Extension.LaunchError" if exited.error else "Extension.Crash"
    return kind, "exit code 0" if exited.status == 0 else describe_exit(exited)


def describe_exit(exited: ProcessExited) -> str:
    """How a process ended, in the words of AWS's messages: `exit status 127`, `signal: killed`."""
    if exited.error:
        return exited.error
    if exited.out_of_memory:
        return "signal: killed"
    if exited.signal is not None:
        return f"signal: {SIGNAL_WORDS.get(exited.signal, f'signal {exited.signal}')}"
    return f"exit status {exited.status}"


SIGNAL_WORDS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
}
SIGNAL_WORDS |= {
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
    24: "CPU time limit exceeded",
}
"""Go's words for signals (os/signal on Linux), since AWS's messages are made by a Go program."""
