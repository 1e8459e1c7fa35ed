"""GET or POST. By default aiohttp drops connections after 15 s by its own clock; here it may keep them for a day."""

from __future__ import annotations

import asyncio

import aiohttp

DAY_S = 86400.0


class Client:
    def __init__(self, peer: str) -> None:
        self.runner = asyncio.Runner()
        self.session = self.runner.run(_session())
        self.url = f"http://{peer}/"


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=DAY_S), timeout=aiohttp.ClientTimeout(total=2))


def connect(peer: str) -> Client:
    return Client(peer)


async def _request(client: Client, key: str, idempotent: bool) -> None:
    async with client.session.request("GET" if idempotent else "POST", client.url, headers={"X-Request-Id": key}) as response:
        response.raise_for_status()
        await response.read()


def request(client: Client, key: str, *, idempotent: bool) -> None:
    client.runner.run(_request(client, key, idempotent))


def close(client: Client) -> None:
    client.runner.run(client.session.close())
    client.runner.close()
