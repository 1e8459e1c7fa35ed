"""The cache's Get or Set."""

from __future__ import annotations

from typing import Any

import cache_messages as cache
import grpc


class Client:
    def __init__(self, peer: str) -> None:
        self.channel: Any = grpc.insecure_channel(peer)
        self.get = self.channel.unary_unary(cache.GET)
        self.set = self.channel.unary_unary(cache.SET)


def connect(peer: str) -> Client:
    return Client(peer)


def request(client: Client, key: str, *, idempotent: bool) -> None:
    if idempotent:
        client.get(cache.get(key), timeout=2, metadata=[("x-request-id", key)])
    else:
        client.set(cache.set_for_a_second(key), timeout=2, metadata=[("x-request-id", key)])


def close(client: Client) -> None:
    client.channel.close()
