"""The clients that `install` knows."""

from __future__ import annotations

CLIENTS = {
    "urllib3": "urllib3",
    "botocore": "botocore",
    "httpcore": "httpcore",
    "httpx": "httpx",
    "aiohttp": "aiohttp",
    "grpc": "grpc",
    "redis": "redis",
    "psycopg_pool": "psycopg_pool",
    "sqlalchemy": "sqlalchemy",
    "asyncpg": "asyncpg",
    "pymongo": "pymongo",
}
"""Module whose import says that the client is used -> module in `thawsafe.adapters` that knows it. requests is urllib3's, and so are botocore's
connections."""
