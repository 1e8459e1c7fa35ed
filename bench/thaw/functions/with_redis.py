"""GET or INCR."""

from __future__ import annotations

import redis


def connect(peer: str) -> redis.Redis:
    host, _, port = peer.partition(":")
    return redis.Redis(host=host, port=int(port), socket_timeout=2, socket_connect_timeout=2)


def request(client: redis.Redis, key: str, *, idempotent: bool) -> None:
    if idempotent:
        client.get(key)
    else:
        client.incr(key)


def close(client: redis.Redis) -> None:
    client.close()
