"""Stories for tests, told as Frostline would have recorded them: the two incidents, and a crowd.

A `Teller` keeps lines; `recorded()` passes them through a file's bytes, so that what is drawn is what can be read back.
"""

from __future__ import annotations

import io
import itertools
from functools import lru_cache
from pathlib import Path
from typing import Any

from frostline.core.effects import Effect, Emit, FunctionFailed, Resolve, StartEnvironment, Succeeded, Transition
from frostline.core.events import (
    AnyNetworkEvent,
    ConnectionClosed,
    ConnectionLost,
    ConnectionOpened,
    ConnectionTraffic,
    EnvironmentFrozen,
    EnvironmentStarted,
    EnvironmentThawed,
    Event,
    FirstWriteAnswered,
    FunctionDeployed,
    InvocationArrived,
    Logged,
    NetworkRestored,
    RuntimeNext,
    RuntimeResponded,
)
from frostline.core.payload import Payload
from frostline.diagnose.finding import Cure, Finding, Proof
from frostline.story.grpc_trace import GrpcTrace
from frostline.story.reader import Story
from frostline.story.records import SCHEMA, Header, encoder
from frostline.story.timeline import Timeline, timeline
from frostline.story.writer import StoryWriter
from frostline.testing.builders import function

BEGAN = 1_790_000_000.0
LEVEL: dict[str, object] = {
    "cage": "namespaces",
    "freezer": "cgroup-v2",
    "network": True,
    "egress": True,
    "network_freezes": True,
    "memory_limit": True,
    "process_limit": True,
    "notes": [],
}


class Teller:
    """Tells what happens at a moment, in seconds since the beginning, in any order."""

    def __init__(self) -> None:
        self._told: list[tuple[float, Event, list[Effect]]] = []
        self._running: dict[str, str] = {}
        self._exchange = 0

    def tell(self, at: float, event: Event, *effects: Effect) -> None:
        self._told.append((BEGAN + at, event, list(effects)))

    def deploy(self, name: str, runtime: str = "python3.12") -> None:
        self.tell(0, FunctionDeployed(function(name, runtime=runtime)))

    def start(self, environment: str, name: str, at: float = 0.0) -> None:
        effect = StartEnvironment(environment=environment, function=name, revision="1", log_stream=f"2026/09/21/[$LATEST]{environment}")
        self.tell(at, RuntimeNext(environment, 0), effect)

    def moves(self, environment: str, *stops: tuple[float, str], request_id: str | None = None) -> None:
        """Changes of state, one after the other; the first stop is the state before."""
        for (_, before), (at, after) in itertools.pairwise(stops):
            event = {"frozen": EnvironmentFrozen, "thawing": EnvironmentThawed, "initializing": EnvironmentStarted}.get(after)
            carried = request_id if after in ("busy", "thawing") else None
            effect = Transition(environment=environment, before=before, after=after, cause="", request_id=carried)
            self.tell(at, event(environment) if event else RuntimeNext(environment, 1), effect)

    def init(self, environment: str, name: str, begin: float, end: float, *, built_s: float = 0.06) -> None:
        self.start(environment, name, begin - built_s)
        self.moves(environment, (begin - built_s, "starting"), (begin, "initializing"), (end, "idle"))

    def ends(self, environment: str, at: float, *, before: str = "frozen") -> None:
        """Reclaimed, or Frostline ends."""
        self.moves(environment, (at, before), (at, "stopping"), (at + 0.004, "gone"))

    def serves(
        self,
        environment: str,
        name: str,
        request_id: str,
        begin: float,
        end: float,
        *,
        thawed: bool,
        failed: str | None = None,
        frozen_at: float | None = None,
    ) -> None:
        """One invocation, from its arrival to the freeze after it. `failed`: its error, `Type: message`."""
        arrived = begin - 0.0004 if thawed else begin - 0.0002
        effects: list[Effect] = []
        if thawed:
            effects.append(Transition(environment=environment, before="frozen", after="thawing", cause="invocation", request_id=request_id))
        self.tell(arrived, InvocationArrived(function=name, request_id=request_id, payload=Payload(b"{}")), *effects)
        self.moves(environment, (arrived, "thawing" if thawed else "idle"), (begin, "busy"), request_id=request_id)
        self.platform(environment, name, begin, "platform.start", f"START RequestId: {request_id} Version: $LATEST", request_id)
        self._exchange += 1
        body = Payload(b'{"ok":true}')
        self.tell(end - 0.0005, RuntimeResponded(environment, self._exchange, request_id=request_id, payload=body))
        outcome: Any = Succeeded(payload=body)
        if failed is not None:
            kind, _, message = failed.partition(": ")
            outcome = FunctionFailed(payload=Payload(encoder.encode({"errorType": kind, "errorMessage": message})))
        self.tell(
            end,
            RuntimeNext(environment, self._exchange),
            Transition(environment=environment, before="busy", after="idle", cause="done"),
            Resolve(request_id, outcome),
        )
        self.platform(environment, name, end, "platform.end", f"END RequestId: {request_id}", request_id)
        if frozen_at is not None:
            self.moves(environment, (end, "idle"), (frozen_at - 0.0005, "freezing"), (frozen_at, "frozen"))

    def platform(self, environment: str, name: str, at: float, kind: str, text: str, request_id: str | None = None) -> None:
        emit = Emit(environment=environment, function=name, time=BEGAN + at, type=kind, record={}, text=text, request_id=request_id)
        self.tell(at, RuntimeNext(environment, 2), emit)

    def prints(self, environment: str, name: str, at: float, text: str, request_id: str | None) -> None:
        emit = Emit(
            environment=environment,
            function=name,
            time=BEGAN + at,
            type="function",
            record=text,
            text=text,
            request_id=request_id,
            process="runtime",
        )
        self.tell(at, Logged(environment=environment, process="runtime", text=text), emit)

    def network(self, event: AnyNetworkEvent) -> None:
        """Told 2 ms after it happened, as the router tells it."""
        self._told.append((event.at + 0.002, event, []))

    def opens(self, environment: str, number: int, at: float, request_id: str | None, **details: Any) -> None:
        fields: dict[str, Any] = {
            "host": "cache.local",
            "address": "198.19.64.1",
            "port": 8080,
            "local_port": 40000 + number % 20000,
            "fate": "lost",
            "dialed_s": 0.02,
        } | details
        self.network(ConnectionOpened(environment, at=BEGAN + at, connection=number, request_id=request_id, **fields))

    def burst(self, environment: str, number: int, at: float, until: float, request_id: str | None, **details: Any) -> None:
        fields: dict[str, Any] = {"sent": 0, "received": 0} | details
        traffic = ConnectionTraffic(environment, at=BEGAN + at, until=BEGAN + until, connection=number, request_id=request_id, **fields)
        self.network(traffic)

    def recorded(self, *, cut: int = 0) -> bytes:
        """The file's bytes; without the last `cut` of them, if so wished."""
        file = io.BytesIO()
        file.write(encoder.encode(Header(schema=SCHEMA, version="0.1.0", started_at=BEGAN, level=LEVEL)) + b"\n")
        writer = StoryWriter(file, "story")
        for at, event, effects in sorted(self._told, key=lambda told: told[0]):
            writer.record(event, effects, at)
        writer.flush()
        return file.getvalue()[: len(file.getvalue()) - cut]

    def write(self, path: Path, *, cut: int = 0) -> Path:
        path.write_bytes(self.recorded(cut=cut))
        return path

    def timeline(self, *, cut: int = 0) -> Timeline:
        with Story(io.BytesIO(self.recorded(cut=cut)), "story") as story:
            made = timeline(story.header, story)
            made.truncated = story.truncated
        return made


K1 = "1f3c9e20-77aa-4c1e-9d0b-000000000001"
K2 = "27b80d41-0c5e-4f7a-8e11-000000000002"
K3 = "3ad2f6c8-51b9-4b60-a3f4-000000000003"
KEEPALIVE = "a41c7d0e9b3f4c55a41c7d0e9b3f4c55"


def keepalive() -> Teller:
    """Incident 1: an overdue PING is sent in request 2, its answer comes while frozen, and the overdue timeout fires in request 3."""
    told = Teller()
    told.deploy("checkout", "nodejs20.x")
    e, f = KEEPALIVE, "checkout"
    told.init(e, f, 0.06, 0.412)
    told.serves(e, f, K1, 0.413, 0.521, thawed=False, frozen_at=0.5235)
    told.prints(e, f, 0.418, "cart 118: looking up prices", K1)
    told.opens(e, 1, 0.462, K1, dialed_s=0.045)
    told.burst(e, 1, 0.463, 0.5165, K1, sent=412, received=268)
    told.prints(e, f, 0.518, "cart 118: 3 prices", K1)

    told.serves(e, f, K2, 8.9, 8.9062, thawed=True, frozen_at=8.9090)
    told.network(_restored(e, 8.8997, 8.3762, waiting=0))
    told.prints(
        e, f, 8.9009, "D 2026-09-21T14:13:28.900Z | v1.9.7 4711 | keepalive | (1) 198.19.64.1:8080 Sending ping with timeout 1000ms", K2
    )
    told.burst(e, 1, 8.9012, 8.9012, K2, sent=17, kind="ping")
    told.prints(e, f, 8.9040, "cart 119: empty, nothing to look up", K2)
    told.burst(e, 1, 8.9464, 12.2997, None, received=17, kind="ping_ack", while_frozen=True)

    told.serves(e, f, K3, 12.3, 13.3052, thawed=True, failed="Error: 4 DEADLINE_EXCEEDED: Deadline exceeded", frozen_at=13.3085)
    told.network(_restored(e, 12.2997, 3.3907, waiting=1))
    told.prints(
        e,
        f,
        12.3004,
        "D 2026-09-21T14:13:32.300Z | v1.9.7 4711 | keepalive | (1) 198.19.64.1:8080 Ping timeout passed without response",
        K3,
    )
    told.network(
        ConnectionClosed(
            e,
            at=BEGAN + 12.3008,
            connection=1,
            by="environment",
            how="rst",
            frozen=False,
            reached="at_once",
            sent=429,
            received=285,
            last_sent_at=BEGAN + 8.9012,
            last_received_at=BEGAN + 8.9464,
            request_id=K3,
        )
    )
    told.prints(e, f, 12.3021, "cart 120: looking up prices", K3)
    told.prints(
        e,
        f,
        12.303,
        "D 2026-09-21T14:13:32.303Z | v1.9.7 4711 | dns_resolver | resolution update delayed by min time between resolutions",
        K3,
    )
    told.prints(e, f, 13.3031, "cart 120: 4 DEADLINE_EXCEEDED: Deadline exceeded", K3)
    told.ends(e, 14.1)
    return told


def _restored(environment: str, at: float, frozen_s: float, *, waiting: int = 0, fins: int = 0, lost: int = 0) -> NetworkRestored:
    return NetworkRestored(
        environment,
        at=BEGAN + at,
        frozen_s=frozen_s,
        connections=1,
        drained=True,
        fins=fins,
        resets=0,
        lost=lost,
        black_holed=0,
        waiting=waiting,
    )


def keepalive_timeline() -> Timeline:
    """The story with its traces: reading them out of log lines is not what is tested here."""
    made = keepalive().timeline()
    made.traces = [
        GrpcTrace(BEGAN + 8.9009, KEEPALIVE, K2, "grpc-js", "keepalive", "ping_sent", "198.19.64.1:8080", "Sending ping"),
        GrpcTrace(BEGAN + 12.3004, KEEPALIVE, K3, "grpc-js", "keepalive", "ping_timed_out", "198.19.64.1:8080", "Ping timeout passed"),
    ]
    return made


KEEPALIVE_FINDING = Finding(
    rule="keepalive-stranded",
    severity="failure",
    claim=(
        f"A keepalive PING was sent on connection 1 to cache.local:8080 in request {K2} and timed out in request {K3}, though its answer had come: "
        "the environment was frozen for 3.39 s in between. The client threw a healthy connection away, and the request failed."
    ),
    function="checkout",
    environment=KEEPALIVE,
    at=BEGAN + 12.3004,
    requests=(K2, K3),
    connection=1,
    destination="cache.local:8080",
    proof=(
        Proof(at=BEGAN + 8.9012, text=f"PING sent on connection 1, in request {K2}", request_id=K2, connection=1),
        Proof(at=BEGAN + 8.9090, text="the environment was frozen, the PING unanswered"),
        Proof(at=BEGAN + 8.9464, text="its answer came and waited: the environment was frozen", connection=1),
        Proof(at=BEGAN + 12.3008, text=f"the client reset connection 1, in request {K3}", request_id=K3, connection=1),
    ),
    cures=(
        Cure(
            client="grpc-js",
            setting="'grpc.keepalive_time_ms': 2147483647",
            why="No PING, so none can be left unanswered. A connection that dies silently is then noticed by the request's own deadline only.",
        ),
    ),
)

P1 = "51a0c2d4-1111-4222-8333-000000000001"
P2 = "62b1d3e5-1111-4222-8333-000000000002"
P3 = "73c2e4f6-1111-4222-8333-000000000003"
POOL = "b7f20c41de5a4a0cb7f20c41de5a4a0c"


def pool() -> Teller:
    """Incident 2: the server closes an idle connection while the environment is frozen, and the next request is written to it."""
    told = Teller()
    told.deploy("orders", "provided.al2023")
    e, f = POOL, "orders"
    told.init(e, f, 0.05, 0.071, built_s=0.04)
    told.serves(e, f, P1, 0.0712, 0.0884, thawed=False, frozen_at=0.0907)
    told.opens(e, 1, 0.0741, P1, host="payments.local", address="198.19.64.2", port=443, dialed_s=0.002)
    told.burst(e, 1, 0.0743, 0.0871, P1, sent=1874, received=4120)
    peer = ConnectionClosed(
        e,
        at=BEGAN + 3.0871,
        connection=1,
        by="peer",
        how="fin",
        frozen=True,
        reached="never",
        sent=1874,
        received=4120,
        last_sent_at=BEGAN + 0.08,
        last_received_at=BEGAN + 0.0871,
    )
    told.network(peer)
    told.serves(e, f, P2, 4.591, 4.5935, thawed=True, failed="errorString: read: connection reset by peer", frozen_at=4.5961)
    told.network(_restored(e, 4.5907, 4.5, fins=1, lost=1))
    told.network(ConnectionLost(e, at=BEGAN + 4.5906, connection=1, fate="lost", ended_at=BEGAN + 3.0871))
    told.network(
        FirstWriteAnswered(e, at=BEGAN + 4.5919, connection=1, answer="rst", after_s=0.0003, idle_s=4.5045, sent=1874, request_id=P2)
    )
    told.prints(e, f, 4.5925, 'Post "https://payments.local/charge": read tcp: connection reset by peer', P2)
    told.serves(e, f, P3, 6.2, 6.2154, thawed=True, frozen_at=6.2181)
    told.network(_restored(e, 6.1997, 1.6036))
    told.opens(e, 2, 6.2043, P3, host="payments.local", address="198.19.64.2", port=443, dialed_s=0.002)
    told.burst(e, 2, 6.2045, 6.2142, P3, sent=1874, received=4120)
    told.ends(e, 7.4)
    return told


POOL_FINDING = Finding(
    rule="stale-connection-reused",
    severity="failure",
    claim=(
        f"Request {P2} wrote to connection 1 to payments.local:443, opened in request {P1} and idle for 4.50 s. The server had closed it while the "
        "environment was frozen, and nothing in the function could know."
    ),
    function="orders",
    environment=POOL,
    at=BEGAN + 4.5919,
    requests=(P1, P2),
    connection=1,
    destination="payments.local:443",
    proof=(
        Proof(at=BEGAN + 3.0871, text="the server closed connection 1 (FIN) while the environment was frozen", connection=1),
        Proof(at=BEGAN + 4.5919, text=f"the first write after the thaw, in request {P2}, was answered by RST", request_id=P2, connection=1),
    ),
    cures=(
        Cure(
            client="net/http",
            setting="Transport{IdleConnTimeout: 2 * time.Second}",
            why="Zero means no limit. A connection that was idle for longer than the server keeps it is not used again.",
        ),
    ),
)


@lru_cache(maxsize=1)
def big() -> Timeline:
    """Three thousand invocations, put together once: not to be changed."""
    return crowd().timeline()


def crowd(invocations: int = 3000, environments: int = 20, connections: int = 200) -> Teller:
    """Many: environments that take turns, connections that are reused, and a failure now and then."""
    told = Teller()
    told.deploy("search")
    rounds = invocations // environments
    per_environment = connections // environments
    number = 0
    for index in range(environments):
        e = f"{index:02x}" * 16
        begin = 0.1 + index * 0.011
        told.init(e, "search", begin, begin + 0.08)
        at = begin + 0.081
        opened, gone = 0, False
        for turn in range(rounds):
            request_id = f"{index:08x}-{turn:04x}-4000-8000-{index * rounds + turn:012x}"
            length = 0.004 + 0.003 * ((index * 7 + turn * 3) % 11)
            broken = (index * rounds + turn) % 397 == 396
            end = at + length
            told.serves(
                e,
                "search",
                request_id,
                at,
                end,
                thawed=turn > 0,
                frozen_at=end + 0.0025,
                failed="ConnectionResetError: [Errno 104] Connection reset by peer" if broken else None,
            )
            told.prints(e, "search", at + 0.0008, f"query {turn} of {index}", request_id)
            if turn * per_environment // rounds >= opened or gone:
                number, gone = number + 1, False
                opened = max(opened, turn * per_environment // rounds + 1)
                told.opens(e, number, at + 0.001, request_id, host="index.local", port=9200)
            if not broken:
                told.burst(e, number, at + 0.0015, end - 0.001, request_id, sent=300 + turn, received=2000)
            else:
                gone = True
                told.network(ConnectionLost(e, at=BEGAN + at - 0.0003, connection=number, fate="lost", ended_at=BEGAN + at - 0.1))
                told.network(
                    FirstWriteAnswered(e, at=BEGAN + at + 0.0019, connection=number, answer="rst", after_s=0.0003, request_id=request_id)
                )
            at = end + 0.15 + 0.02 * ((index + turn) % 13)
    return told
