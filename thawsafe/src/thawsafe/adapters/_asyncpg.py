"""Questions to an idle connection of asyncpg, for pools of several libraries."""

from __future__ import annotations

import asyncio
from typing import Any

from ._clients import is_ended


async def answers(connection: Any, timeout: float) -> bool:  # noqa: ASYNC109 - asyncpg's own limit would do something else
    """Ask `SELECT 1` and wait so long for the answer. After anything but True the connection is closed.

    Not an empty query, which asyncpg 0.32 does not understand the answer of. A query that is cancelled, by asyncpg's own timeout too, makes
    it open another connection to say so: the query here never is, its connection is terminated instead.
    """
    query = asyncio.get_running_loop().create_task(connection.execute("SELECT 1"), name="thawsafe-probe")
    query.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # looked at here, whatever becomes of the caller
    try:
        await asyncio.wait({query}, timeout=timeout)
    finally:
        if not query.done():
            connection.terminate()
    return query.done() and query.exception() is None


def has_ended(connection: Any) -> bool:
    """The free check. An idle connection has nothing to be read but its end."""
    transport = getattr(connection, "_transport", None)
    return bool(connection.is_closed()) or is_ended(transport)


def peer(connection: Any) -> str:
    """Whom a connection talks to, for logs: `host:port`, or the path of a Unix socket."""
    address = getattr(connection, "_addr", "postgresql")
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
