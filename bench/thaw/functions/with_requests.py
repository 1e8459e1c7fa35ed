"""GET or POST."""

from __future__ import annotations

import requests

Client = tuple[requests.Session, str]


def connect(peer: str) -> Client:
    return requests.Session(), f"http://{peer}/"


def request(client: Client, key: str, *, idempotent: bool) -> None:
    session, url = client
    session.request("GET" if idempotent else "POST", url, headers={"X-Request-Id": key}, timeout=2).raise_for_status()


def close(client: Client) -> None:
    client[0].close()
