from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

import redis
import redis.asyncio

from tests.thawsafe.servers.redis import RedisServer
from tests.thawsafe.servers.tcp import CountingServer, running
from tests.thawsafe.subject import Client, Subject, in_threads
from thawsafe import Configuration
from thawsafe.adapters.redis import ConnectionPool
from thawsafe.adapters.redis_asyncio import ConnectionPool as AsyncConnectionPool


class RedisClient(Client):
    def __init__(self, host: str, port: int, configuration: Configuration) -> None:
        self.client = redis.Redis.from_pool(ConnectionPool(configuration, host=host, port=port))

    def call(self, tag: str, *, idempotent: bool) -> None:
        if idempotent:
            assert self.client.get(tag) == b"ok"
        else:
            assert self.client.incr(tag) == 1

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.client.close()


class AsyncRedisClient(Client):
    def __init__(self, host: str, port: int, configuration: Configuration) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = redis.asyncio.Redis.from_pool(AsyncConnectionPool(configuration, host=host, port=port))

    async def _call(self, tag: str, idempotent: bool) -> None:
        if idempotent:
            assert await self.client.get(tag) == b"ok"
        else:
            assert await self.client.incr(tag) == 1

    async def _call_many(self, tags: list[str], idempotent: bool) -> None:
        await asyncio.gather(*(self._call(tag, idempotent) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag, idempotent))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags, idempotent))

    def close(self) -> None:
        self.loop.run_until_complete(self.client.aclose())
        self.loop.close()


class Redis(Subject):
    name = "redis"
    probes = True

    def serve(self) -> AbstractContextManager[CountingServer]:
        return running(RedisServer())

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return RedisClient(host, port, configuration)


class AsyncRedis(Redis):
    name = "redis.asyncio"
    forks = False

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return AsyncRedisClient(host, port, configuration)


SUBJECTS = [Redis(), AsyncRedis()]
