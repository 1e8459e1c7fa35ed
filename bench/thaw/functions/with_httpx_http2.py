"""GET or POST over HTTP/2, by prior knowledge."""

from __future__ import annotations

import httpx
from with_httpx import KEPT, Client, close, request

__all__ = ["close", "connect", "request"]


def connect(peer: str) -> Client:
    return httpx.Client(http1=False, http2=True, timeout=2, limits=KEPT), f"http://{peer}/"
