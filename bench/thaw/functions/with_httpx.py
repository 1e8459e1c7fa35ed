"""GET or POST. By default httpx drops connections after 5 s by its own clock; here it may keep them."""

from __future__ import annotations

import httpx

KEPT = httpx.Limits(keepalive_expiry=None)
Client = tuple[httpx.Client, str]


def connect(peer: str) -> Client:
    return httpx.Client(timeout=2, limits=KEPT), f"http://{peer}/"


def request(client: Client, key: str, *, idempotent: bool) -> None:
    http, url = client
    http.request("GET" if idempotent else "POST", url, headers={"X-Request-Id": key}).raise_for_status()


def close(client: Client) -> None:
    client[0].close()
