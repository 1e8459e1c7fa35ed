"""GET or POST on asyncio, over HTTP/1.1."""

from __future__ import annotations

import asyncio

import httpx
from with_httpx import KEPT


class Client:
    def __init__(self, peer: str, *, http2: bool) -> None:
        self.runner = asyncio.Runner()
        self.http = httpx.AsyncClient(http1=not http2, http2=http2, timeout=2, limits=KEPT)
        self.url = f"http://{peer}/"


def connect(peer: str) -> Client:
    return Client(peer, http2=False)


async def _request(client: Client, key: str, idempotent: bool) -> None:
    response = await client.http.request("GET" if idempotent else "POST", client.url, headers={"X-Request-Id": key})
    response.raise_for_status()


def request(client: Client, key: str, *, idempotent: bool) -> None:
    client.runner.run(_request(client, key, idempotent))


def close(client: Client) -> None:
    client.runner.run(client.http.aclose())
    client.runner.close()
