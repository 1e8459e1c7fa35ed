"""GET or POST."""

from __future__ import annotations

import urllib3

Client = tuple[urllib3.PoolManager, str]


def connect(peer: str) -> Client:
    return urllib3.PoolManager(timeout=2), f"http://{peer}/"


def request(client: Client, key: str, *, idempotent: bool) -> None:
    pool, url = client
    response = pool.request("GET" if idempotent else "POST", url, headers={"X-Request-Id": key})
    assert response.status == 200, response.status


def close(client: Client) -> None:
    client[0].clear()
