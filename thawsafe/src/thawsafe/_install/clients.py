"""The clients that `install` knows."""

from __future__ import annotations

CLIENTS = {
    "urllib3": "urllib3",
    "httpcore": "httpcore",
    "httpx": "httpx",
    "aiohttp": "aiohttp",
}
"""Module whose import says that the client is used -> module in `thawsafe.adapters` that knows it. requests, botocore and boto3 are urllib3's."""
