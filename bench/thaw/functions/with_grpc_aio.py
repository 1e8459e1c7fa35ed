"""The cache's Get or Set, on asyncio."""

from __future__ import annotations

import asyncio
from typing import Any

import cache_messages as cache
import grpc.aio


class Client:
    def __init__(self, peer: str) -> None:
        self.runner = asyncio.Runner()
        self.channel: Any = self.runner.run(_channel(peer))
        self.get = self.channel.unary_unary(cache.GET)
        self.set = self.channel.unary_unary(cache.SET)


async def _channel(peer: str) -> Any:
    return grpc.aio.insecure_channel(peer)


def connect(peer: str) -> Client:
    return Client(peer)


async def _request(client: Client, key: str, idempotent: bool) -> None:
    if idempotent:
        await client.get(cache.get(key), timeout=2, metadata=[("x-request-id", key)])
    else:
        await client.set(cache.set_for_a_second(key), timeout=2, metadata=[("x-request-id", key)])


def request(client: Client, key: str, *, idempotent: bool) -> None:
    client.runner.run(_request(client, key, idempotent))


def close(client: Client) -> None:
    client.runner.run(client.channel.close())
    client.runner.close()
