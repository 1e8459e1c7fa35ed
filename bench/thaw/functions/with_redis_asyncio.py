"""GET or INCR, on asyncio."""

from __future__ import annotations

import asyncio

import redis.asyncio


class Client:
    def __init__(self, peer: str) -> None:
        host, _, port = peer.partition(":")
        self.runner = asyncio.Runner()
        self.redis = redis.asyncio.Redis(host=host, port=int(port), socket_timeout=2, socket_connect_timeout=2)


def connect(peer: str) -> Client:
    return Client(peer)


async def _request(client: Client, key: str, idempotent: bool) -> None:
    if idempotent:
        await client.redis.get(key)
    else:
        await client.redis.incr(key)


def request(client: Client, key: str, *, idempotent: bool) -> None:
    client.runner.run(_request(client, key, idempotent))


def close(client: Client) -> None:
    client.runner.run(client.redis.aclose())
    client.runner.close()
