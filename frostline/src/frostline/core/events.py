"""What the world tells the core. The counterpart, what the core wants done, is in `effects`.

Every change of state begins with one of these, handed to `Fleet.handle(event, now)`. They carry no behaviour and no clock; `now` comes beside
them. They are what a story records, so a field renamed here is a new schema version (`story.records.SCHEMA`).

An *exchange* is one HTTP request from inside an environment (`GET /next`, `POST /response`, ...) that waits for its answer; the control plane numbers them.

Longer than 400 lines because it is one list: all that can happen.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from .conditions import Conditions
from .fates import Fate
from .function import Function
from .payload import EMPTY, Payload

InvocationMode = Literal["request_response", "event", "stream"]
"""How the caller wants its answer: whole, not at all (asynchronous), or as a stream."""

LogSource = Literal["function", "extension"]


class Event(Struct, frozen=True, tag_field="event", tag=True):
    """Base of everything that can happen."""


# Functions and callers -------------------------------------------------------------------------------------------------------------------


class FunctionDeployed(Event, frozen=True):
    """A function is there, or its code or configuration is new: environments of older revisions serve no further invocation."""

    function: Function


class FunctionRemoved(Event, frozen=True):
    function: str


class InvocationArrived(Event, frozen=True, kw_only=True):
    """Somebody invoked a function that exists; `wire.invoke` has checked the request's form."""

    function: str
    request_id: str
    payload: Payload
    mode: InvocationMode = "request_response"
    tail: bool = False
    """The caller wants the last 4 KiB of the log (`X-Amz-Log-Type: Tail`)."""
    client_context: str | None = None
    """JSON text, decoded from the base64 header."""
    cognito_identity: str | None = None
    trace_id: str | None = None
    qualified: bool = False
    """The caller named the version, `$LATEST`; then the ARN that the function is told has it, too (recorded on AWS, 2026-01)."""


class InvocationAbandoned(Event, frozen=True):
    """The caller hung up. The invocation goes on, as on AWS; nobody reads the answer."""

    request_id: str


# The sandbox -----------------------------------------------------------------------------------------------------------------------------


class SandboxEvent(Event, frozen=True):
    """Base of what the sandbox reports."""

    environment: str


class EnvironmentStarted(SandboxEvent, frozen=True):
    """The sandbox is built: namespaces, mounts, a listening Runtime API. No process of the function runs yet."""


class EnvironmentStartFailed(SandboxEvent, frozen=True):
    reason: str
    """A sentence for a person."""


class ProcessExited(SandboxEvent, frozen=True, kw_only=True):
    """A process ended, or could not be started (`error`)."""

    process: str
    status: int | None = None
    """Exit status, when it exited by itself."""
    signal: int | None = None
    """The signal that ended it."""
    out_of_memory: bool = False
    """The kernel killed it for its memory limit."""
    error: str = ""
    """Why it could not be executed at all: `fork/exec /opt/extensions/x: permission denied`."""


class EnvironmentFrozen(SandboxEvent, frozen=True):
    """The kernel said so: every process of the environment stands still."""


class EnvironmentFreezeFailed(SandboxEvent, frozen=True):
    reason: str


class ProcessClock(Struct, frozen=True, kw_only=True):
    """What a time warp came to in one process."""

    pid: int
    """The machine's number for it."""
    name: str
    """As in proc_pid_comm(5): the first 15 characters of its program's or main thread's name."""
    moved: bool
    """Its clocks were moved, and its timers with them."""
    note: str = ""
    """Why not; or what was not moved with its clocks. For a person."""


class EnvironmentWarped(SandboxEvent, frozen=True, kw_only=True):
    """The environment's clocks were moved on while it was frozen: the deadlines that it is told are later by as much."""

    seconds: float
    """By how much, this time."""
    ahead_s: float = 0.0
    """How far the environment's clocks are ahead of the machine's now: what it is told in epoch time, such as its deadline, has to be so much later."""
    processes: tuple[ProcessClock, ...] = ()
    error: str = ""
    """Why no clock was moved at all. For a person."""

    @property
    def complete(self) -> bool:
        """Every process of the environment sees that the time has passed."""
        return not self.error and all(process.moved and not process.note for process in self.processes)


class EnvironmentThawed(SandboxEvent, frozen=True):
    pass


class ProcessesKilled(SandboxEvent, frozen=True):
    """Answer to `KillProcesses`: nothing runs in the environment any more; its `/tmp` is as it was."""


class EnvironmentGone(SandboxEvent, frozen=True):
    """Nothing is left of it: the answer to `DestroyEnvironment`, or unasked, when its first process was killed from outside."""


class MemorySampled(Event, frozen=True):
    """The environment's peak memory use so far, for its next report. Sent when it has changed, at most some ten times a second."""

    environment: str
    peak_mb: int


# Connections, seen at the environment's edge ---------------------------------------------------------------------------------------------


class NetworkEvent(SandboxEvent, frozen=True, kw_only=True):
    """Base of what is seen of an environment's connections. Nothing in the core follows from them; the story keeps them.

    `at` is when it happened, in epoch seconds: they are told in blocks, a little later.
    """

    at: float


class ConditionsChanged(NetworkEvent, frozen=True, kw_only=True):
    """Somebody chose other fates or middleboxes while functions run. A connection whose end has fallen into a freeze keeps the fate it has met."""

    environment: str = ""
    """The one that they are for; nothing where they are for all that have none of their own."""
    conditions: Conditions | None
    """None: the environment has none of its own any more."""


class ConnectionOpened(NetworkEvent, frozen=True, kw_only=True):
    """The environment connected to a destination, and the destination answered."""

    connection: int
    """A number of its own within one run."""
    host: str | None
    """The name that the environment had looked up last for this address."""
    address: str
    port: int
    local_port: int
    fate: Fate
    middlebox: str | None = None
    """What forgets idle connections on the path, as it was asked for (`nat-gateway`, ...); None for nothing."""
    dialed_s: float = 0.0
    """How long it took until the destination had answered."""
    request_id: str | None = None
    """The invocation that was running, if one was."""


class ConnectionTraffic(NetworkEvent, frozen=True, kw_only=True):
    """A burst of bytes on a connection: from `at` until `until` no direction was quiet for long (see `sandbox.router`)."""

    connection: int
    until: float
    sent: int
    """Bytes from the environment within the burst."""
    received: int
    """Bytes from the peer."""
    kind: Literal["data", "ping", "ping_ack"] = "data"
    """`ping`, `ping_ack`: a single HTTP/2 PING frame that went over the connection in the clear (RFC 9113, 6.7); `sent` or `received` says in which
    direction. Within TLS everything is `data`."""
    while_frozen: bool = False
    """It came from the peer while the environment was frozen, and waited in the router; `at` is when it came, `until` when the thaw let it on."""
    request_id: str | None = None
    """The invocation that was running at `at`."""


class ConnectionRefused(NetworkEvent, frozen=True, kw_only=True):
    """The environment connected to a destination that could not be reached, or may not be; it was reset."""

    host: str | None
    address: str
    port: int
    local_port: int
    reason: str
    request_id: str | None = None


class ConnectionClosed(NetworkEvent, frozen=True, kw_only=True):
    """One side closed a connection: the first FIN or RST, whichever side it came from."""

    connection: int
    by: Literal["environment", "peer", "middlebox"]
    how: Literal["fin", "rst"]
    frozen: bool
    """It fell into a freeze."""
    reached: Literal["at_once", "after_thaw", "never"]
    """When the other side was told."""
    sent: int
    """Bytes from the environment, so far."""
    received: int
    """Bytes from the peer."""
    last_sent_at: float | None = None
    last_received_at: float | None = None
    retransmitted: int = 0
    """Segments that the router had to send again to the peer (TCP_INFO)."""
    request_id: str | None = None


class PathExpired(NetworkEvent, frozen=True, kw_only=True):
    """A middlebox forgot a connection that had been idle for as long as it remembers; neither end was asked."""

    connection: int
    middlebox: str
    idle_s: float
    """Its limit."""
    then: Literal["rst", "fin", "silence"]
    """What it does: `fin` tells both ends now; `rst` answers whoever sends next; `silence` drops what is sent."""


class ConnectionLost(NetworkEvent, frozen=True, kw_only=True):
    """The freeze took a connection away, and the environment does not know: `lost` answers its next packet by RST, `blackhole` not at all."""

    connection: int
    fate: Literal["lost", "blackhole"]
    ended_at: float | None = None
    """When the peer, or a middlebox, ended it."""
    by: Literal["peer", "middlebox"] = "peer"


class FirstWriteAnswered(NetworkEvent, frozen=True, kw_only=True):
    """What an environment got for the first thing it sent after a thaw, on a connection that is older than the freeze; or after its path expired."""

    connection: int
    answer: Literal["data", "fin", "rst", "nothing"]
    """`nothing`: not within a second, or into a black hole. `rst` also where the first thing sent was the environment's own end of the connection.
    `fin` also where the peer's end had come before, and the environment closed the connection for it."""
    after_s: float | None = None
    """How long the answer took; None where only the answer was seen."""
    idle_s: float | None = None
    """How long the connection had been idle before, frozen time included."""
    sent: int | None = None
    """Bytes of the segment that nobody took; 0 for the environment's own end of the connection, or a keep-alive probe. None where the router took
    it, or could not look."""
    farewell: bool = False
    """They are no request, but what clients say when they leave or look whether somebody is there."""
    request_id: str | None = None


class NetworkRestored(NetworkEvent, frozen=True, kw_only=True):
    """What a freeze of the network came to."""

    frozen_s: float
    connections: int
    """How many there were at the thaw."""
    drained: bool
    """All that the environment had sent was on its way when the network was cut; False: the drain limit was reached first."""
    fins: int
    """Connections whose peer sent a FIN meanwhile."""
    resets: int
    lost: int
    black_holed: int
    waiting: int
    """Connections whose peer sent data meanwhile, which arrives after the thaw."""


class ConnectionsUnrecorded(NetworkEvent, frozen=True, kw_only=True):
    """More happened than could be told: so many events were left out."""

    count: int


AnyNetworkEvent = (
    ConditionsChanged
    | ConnectionOpened
    | ConnectionRefused
    | ConnectionTraffic
    | ConnectionClosed
    | PathExpired
    | ConnectionLost
    | FirstWriteAnswered
    | NetworkRestored
    | ConnectionsUnrecorded
)


# The Runtime API -------------------------------------------------------------------------------------------------------------------------


class RuntimeEvent(Event, frozen=True):
    """Base of requests on the Runtime API: each one holds an exchange that is owed an answer."""

    environment: str
    exchange: int


class RuntimeNext(RuntimeEvent, frozen=True):
    """`GET /runtime/invocation/next`."""


class RuntimeResponded(RuntimeEvent, frozen=True, kw_only=True):
    """`POST /runtime/invocation/{request_id}/response`, complete."""

    request_id: str
    payload: Payload
    content_type: str = "application/json"


class RuntimeResponseStarted(RuntimeEvent, frozen=True, kw_only=True):
    """The head of a streamed response: `Lambda-Runtime-Function-Response-Mode: streaming`."""

    request_id: str
    content_type: str = "application/octet-stream"


class RuntimeResponseChunk(RuntimeEvent, frozen=True, kw_only=True):
    """Part of a streamed response's body."""

    payload: Payload


class RuntimeResponseEnded(RuntimeEvent, frozen=True, kw_only=True):
    """The end of a streamed response; the error fields come from its trailers."""

    error_type: str | None = None
    error_body: Payload = EMPTY


class RuntimeResponseTooLarge(RuntimeEvent, frozen=True, kw_only=True):
    """A response over the limit; `size` is what was announced or read so far."""

    request_id: str
    size: int


class RuntimeResponseTruncated(RuntimeEvent, frozen=True, kw_only=True):
    """The connection closed in the middle of a response's body; nobody is left to be answered."""

    request_id: str


class RuntimeFailed(RuntimeEvent, frozen=True, kw_only=True):
    """`POST /runtime/invocation/{request_id}/error`."""

    request_id: str
    error_type: str
    payload: Payload


class RuntimeInitFailed(RuntimeEvent, frozen=True, kw_only=True):
    """`POST /runtime/init/error`."""

    error_type: str
    payload: Payload


class ExchangeClosed(Event, frozen=True):
    """The process hung up while its request was waiting (a `/next` long poll, usually because the process ended)."""

    environment: str
    exchange: int


# The Extensions and Telemetry APIs -------------------------------------------------------------------------------------------------------


class ExtensionEvent(Event, frozen=True):
    """Base of requests on the Extensions API."""

    environment: str
    exchange: int


class ExtensionRegister(ExtensionEvent, frozen=True, kw_only=True):
    """`POST /extension/register`."""

    name: str
    events: tuple[str, ...]
    """Of `INVOKE` and `SHUTDOWN`; other values arrive too, and the core refuses them."""
    account_id_wanted: bool = False


class ExtensionNext(ExtensionEvent, frozen=True, kw_only=True):
    """`GET /extension/event/next`."""

    extension_id: str


class ExtensionInitFailed(ExtensionEvent, frozen=True, kw_only=True):
    """`POST /extension/init/error`."""

    extension_id: str
    error_type: str


class ExtensionExitFailed(ExtensionEvent, frozen=True, kw_only=True):
    """`POST /extension/exit/error`."""

    extension_id: str
    error_type: str


class Subscription(Struct, frozen=True, kw_only=True):
    """What an extension asked the Telemetry API (or the older Logs API) for; checked and completed by `wire.telemetry`."""

    protocol: Literal["HTTP", "TCP"]
    port: int
    path: str = "/"
    method: Literal["POST", "PUT"] = "POST"
    types: tuple[Literal["platform", "function", "extension"], ...] = ()
    max_items: int = 1000
    max_bytes: int = 262_144
    timeout_ms: int = 1000
    schema_version: str = "2022-12-13"
    api: Literal["telemetry", "logs"] = "telemetry"


class TelemetrySubscribe(ExtensionEvent, frozen=True, kw_only=True):
    """`PUT /2022-07-01/telemetry`, or `PUT /2020-08-15/logs`."""

    extension_id: str
    subscription: Subscription


class Logged(Event, frozen=True, kw_only=True):
    """One log line (or one framed message, which may hold several lines) from a process of an environment."""

    environment: str
    process: str
    text: str
    """Without the line's end."""


# Time and the operator -------------------------------------------------------------------------------------------------------------------


class TimerFired(Event, frozen=True):
    """A timer set by `effects.SetTimer` is due."""

    timer: str


class ReclaimRequested(Event, frozen=True, kw_only=True):
    """Somebody wants environments gone: one, one function's, or (neither given) all that are idle."""

    environment: str | None = None
    function: str | None = None


class ProvisionRequested(Event, frozen=True):
    """Somebody wants an environment of a function initialized before anybody invokes it, as provisioned concurrency does; within its concurrency."""

    function: str


class FreezeRequested(Event, frozen=True):
    """Somebody wants an environment frozen that waits for its freeze delay; not one that works, or whose runtime or extensions do."""

    environment: str


class ShutdownRequested(Event, frozen=True):
    """Frostline ends: refuse new invocations, shut environments down within AWS's budgets."""
