"""A statement of its own. By default asyncpg's pool closes connections after 300 s by its own clock; here it may keep them."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg


class Client:
    def __init__(self, peer: str) -> None:
        self.runner = asyncio.Runner()
        self.pool: Any = self.runner.run(_pool(peer))


async def _pool(peer: str) -> Any:
    host, _, port = peer.partition(":")
    kept = {"max_inactive_connection_lifetime": 0}
    return await asyncpg.create_pool(
        host=host, port=int(port), user="u", database="d", ssl=False, min_size=0, timeout=2, command_timeout=2, **kept
    )


def connect(peer: str) -> Client:
    return Client(peer)


async def _request(client: Client, key: str) -> None:
    await client.pool.fetchval("SELECT seen($1)", key)


def request(client: Client, key: str, *, idempotent: bool) -> None:
    del idempotent  # no driver knows what a statement does
    client.runner.run(_request(client, key))


def close(client: Client) -> None:
    client.pool.terminate()
    client.runner.run(asyncio.sleep(0))
    client.runner.close()
