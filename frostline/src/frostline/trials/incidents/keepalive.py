"""`keepalive`: a keep-alive PING is in flight when the function freezes, and times out at the thaw, before its answer is read."""

from __future__ import annotations

from ...core.conditions import Conditions
from ...core.fates import Fates
from ...core.upstream import parse
from ..incident import INCIDENT, Cell, Incident, Stage
from ..ready import Bundled
from ..trial import Level, Script, in_turn

PING_EVERY_S, PING_TIMEOUT_S = 5, 1
"""What the function's client has; see `functions/keepalive-node`."""

RTT = "50ms"
"""Of the path to the cache: within it an answered PING is under way, and the invocation that sent it has ended."""

LONG_GAP_S = 5.2
"""Longer than the interval of PINGs: one is overdue at the thaw."""
SHORT_GAP_S = 1.5
"""Longer than the PING's timeout, and not so long that grpc-js' last name resolution is more than 30 s ago."""

WATCHED_S = 10.0

CACHE = parse([f"cache.local:50051=grpc,idle=never,rtt={RTT}"])
FUNCTION = Bundled(folder="keepalive-node", language="nodejs", handler="index.handler")

AFFECTED, CURRENT = "1.9.0", "1.14.7"
"""grpc-js 1.9.0 to 1.9.7 do not connect again before their next name resolution, up to 30 s later; 1.9.12 and newer do (measured, one by one)."""

READ: dict[str, object] = {}
WARMER = {"warmer": True}
WATCH = {"watch_s": WATCHED_S}

SCRIPT = in_turn([READ, WARMER, READ], [LONG_GAP_S, SHORT_GAP_S])


def _cell(
    version: str,
    variant: str,
    level: Level,
    *,
    pings: bool,
    script: Script = SCRIPT,
    conditions: Conditions | None = None,
    watched_s: float | None = None,
) -> Cell:
    return Cell(
        client=f"grpc-js {version}",
        variant=variant,
        level=level,
        function=FUNCTION,
        variables={
            "GRPC_JS": f"grpc-js-{version}",
            "KEEPALIVE": "on" if pings else "off",
            "CACHE": CACHE[0].name,
            "GRPC_TRACE": "keepalive,dns_resolver,resolving_load_balancer",
            "GRPC_VERBOSITY": "DEBUG",
        },
        script=script,
        conditions=conditions or Conditions(),
        watched_s=watched_s,
    )


def _black_hole(variant: str, *, pings: bool) -> Cell:
    return _cell(
        CURRENT,
        variant,
        "network",
        pings=pings,
        script=in_turn([READ, WATCH], [LONG_GAP_S]),
        conditions=Conditions(fates=Fates(default="blackhole")),
        watched_s=WATCHED_S,
    )


KEEPALIVE = Incident(
    name="keepalive",
    title="A keep-alive PING is stranded by a freeze",
    text=(
        f"A gRPC client sends a PING every {PING_EVERY_S} s and drops the connection when no answer comes within {PING_TIMEOUT_S} s. After a longer "
        "gap a PING is overdue, so it is sent at the thaw. The invocation has little to do, and the environment is frozen again while the answer is "
        f"still on its way ({RTT} there and back). At the next thaw two things are waiting: the answer, in the socket, and the timer, overdue. Node "
        "runs timers first. So a good connection is thrown away: sent in one request, timed out in the next."
    ),
    trial=(
        f"a request, {LONG_GAP_S:g} s of nothing, an invocation without a request (a warmer's), {SHORT_GAP_S:g} s of nothing, a request with a "
        "deadline of 1 s"
    ),
    upstreams=CACHE,
    stages=(
        Stage(
            title="The incident",
            text=(
                f"grpc-js {AFFECTED} does not connect again at once: it waits for a name resolution, which it does once in 30 s. Every request until "
                "then fails with DEADLINE_EXCEEDED, although server, network and connection are well."
            ),
            cells=(_cell(AFFECTED, INCIDENT, "network", pings=True),),
            explained=True,
        ),
        Stage(
            title="The cures",
            text=(
                f"Without keep-alive pings nothing can be stranded. And a newer grpc-js ({CURRENT}), pings and all, still drops the connection, but "
                "connects again at once, so that the request only takes longer."
            ),
            cells=(
                _cell(AFFECTED, "keepalive off", "network", pings=False),
                _cell(CURRENT, "upgrade", "network", pings=True),
                _cell(CURRENT, "upgrade, keepalive off", "network", pings=False),
            ),
        ),
        Stage(
            title="What freezes matters",
            text=(
                "The incident again, never frozen (off), and with the processes alone frozen: the timer is the process's own, so this one needs no "
                "frozen network. It needs a frozen process, and that is why nobody sees it on a machine that does not freeze."
            ),
            cells=tuple(_cell(AFFECTED, INCIDENT, level, pings=True) for level in ("processes", "off")),
            compared=True,
        ),
        Stage(
            title="What keepalive off costs",
            text=(
                "Pings are there to find dead connections. Here the connection has become a black hole in the freeze: nothing comes back, not even a "
                f"reset. Requests with a deadline of 1 s are sent until one succeeds, for {WATCHED_S:g} s at most. Without pings nobody looks: the kernel "
                "gives the connection up after some 15 minutes (tcp_retries2)."
            ),
            cells=(_black_hole("keepalive on", pings=True), _black_hole("keepalive off", pings=False)),
        ),
    ),
)
