"""Questions to an idle connection of asyncpg, for pools of several libraries."""

from __future__ import annotations

import asyncio
from typing import Any


async def answers(connection: Any, timeout: float) -> bool:  # noqa: ASYNC109 - asyncpg's own limit would do something else
    """Ask `SELECT 1` and wait so long for the answer. After anything but True the connection is closed.

    Not an empty query, which asyncpg 0.32 does not understand the answer of. Not asyncpg's own timeout, which opens another connection to
    cancel the query on this one.
    """
    alarm = asyncio.get_running_loop().call_later(timeout, connection.terminate)
    try:
        await connection.execute("SELECT 1")
    finally:
        alarm.cancel()
    return True


def peer(connection: Any) -> str:
    """Whom a connection talks to, for logs: `host:port`, or the path of a Unix socket."""
    address = getattr(connection, "_addr", "postgresql")
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
