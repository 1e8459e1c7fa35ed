"""GET or POST on asyncio, over HTTP/2 by prior knowledge."""

from __future__ import annotations

from with_httpx_async import Client, close, request

__all__ = ["close", "connect", "request"]


def connect(peer: str) -> Client:
    return Client(peer, http2=True)
