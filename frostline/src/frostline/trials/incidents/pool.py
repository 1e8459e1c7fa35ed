"""`pool`: an idle connection is closed by its server while the function is frozen, and the next request goes into it."""

from __future__ import annotations

from msgspec import Struct

from ...core.upstream import parse
from ..incident import INCIDENT, Cell, Incident, Stage
from ..ready import Bundled
from ..trial import Level, in_turn

SERVER_IDLE_S = 3.0
GAP_S = 4.5
"""Longer than the server's limit, so that it closes within the gap. Below it, httpx's default expiry (5 s) would be a risk too, and nothing else changes."""

ORDERS = parse([f"orders.local:8080=http1,idle={SERVER_IDLE_S:g}s"])


class _Client(Struct, frozen=True):
    """A client, and the variants that its function knows (`VARIANT`)."""

    name: str
    function: Bundled
    cures: tuple[str, ...]


CLIENTS = (
    _Client("net/http", Bundled(folder="pool-go", language="go", handler="bootstrap"), ("DisableKeepAlives", "IdleConnTimeout")),
    _Client(
        "requests",
        Bundled(folder="pool-python", language="python", handler="with_requests.handler"),
        ("Connection: close", "new session when idle"),
    ),
    _Client("httpx", Bundled(folder="pool-python", language="python", handler="with_httpx.handler"), ("keepalive_expiry",)),
    _Client("aiohttp", Bundled(folder="pool-python", language="python", handler="with_aiohttp.handler"), ("keepalive_timeout",)),
)


def _cell(client: _Client, variant: str, level: Level) -> Cell:
    return Cell(
        client=client.name,
        variant=variant,
        level=level,
        function=client.function,
        variables={"VARIANT": variant, "ORDERS_URL": f"http://{ORDERS[0].name}/orders"},
        script=in_turn([{}, {}], [GAP_S]),
    )


POOL = Incident(
    name="pool",
    title="A pooled connection dies while the function is frozen",
    text=(
        "An HTTP client keeps its connection for the next request. Every server closes connections that were idle for too long; this one after "
        f"{SERVER_IDLE_S:g} seconds. Here that moment falls into a freeze: the network stands still, the server's FIN is lost, and after the thaw "
        "the connection looks as good as new. The next request goes into it, and is answered by a reset. Some clients would send a "
        "GET again; none sends a POST again, because it might have been carried out."
    ),
    trial=f"a POST, nothing to do for {GAP_S:g} s, a POST at once; each trial in an execution environment of its own",
    upstreams=ORDERS,
    stages=(
        Stage(
            title="The incident",
            text=(
                "Nothing limits how long these clients keep an idle connection, or the limit is longer than the server's: net/http has a Transport "
                "with a few fields set, and IdleConnTimeout, left at zero, means no limit; requests has no such setting; httpx was given "
                "keepalive_expiry=None; aiohttp has its default of 15 s."
            ),
            cells=tuple(_cell(client, INCIDENT, "network") for client in CLIENTS),
            explained=True,
        ),
        Stage(
            title="The cures",
            text=(
                "First the check: without keep-alives (DisableKeepAlives, Connection: close) it is gone, and every request pays for a connection. "
                "Then the cure: an idle limit below the server's, spelled out. requests has none, so a session that was idle for too long is replaced."
            ),
            cells=tuple(_cell(client, cure, "network") for client in CLIENTS for cure in client.cures),
        ),
        Stage(
            title="Why the network has to freeze, too",
            text=(
                "The incident again, with the same gaps: never frozen (off), and with the processes alone frozen. Then the kernel still receives the "
                "FIN, and a client that looks at its socket before it uses it finds out. What fails all the same lost a race with the FIN at the "
                "thaw. This is why the bug is not seen on a developer's machine."
            ),
            cells=tuple(_cell(client, INCIDENT, level) for level in ("processes", "off") for client in CLIENTS),
            compared=True,
        ),
    ),
)
