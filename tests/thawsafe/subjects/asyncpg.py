from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

from tests.thawsafe.servers.postgres import PostgresServer
from tests.thawsafe.servers.tcp import CountingServer, running
from tests.thawsafe.subject import Client, Subject
from thawsafe import Configuration
from thawsafe.adapters import asyncpg


class AsyncpgClient(Client):
    def __init__(self, host: str, port: int, configuration: Configuration) -> None:
        self.loop = asyncio.new_event_loop()
        self.pool = self.loop.run_until_complete(self._open(host, port, configuration))

    async def _open(self, host: str, port: int, configuration: Configuration) -> asyncpg.Pool:
        pool: asyncpg.Pool = await asyncpg.create_pool(configuration, host=host, port=port, user="u", database="d", ssl=False)
        return pool

    async def _call(self, tag: str) -> None:
        assert await self.pool.fetchval("SELECT seen($1)", tag) == tag

    async def _call_many(self, tags: list[str]) -> None:
        await asyncio.gather(*(self._call(tag) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags))

    def close(self) -> None:
        self.pool.terminate()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


class Asyncpg(Subject):
    name = "asyncpg"
    probes = True
    forks = False

    def serve(self) -> AbstractContextManager[CountingServer]:
        return running(PostgresServer())

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return AsyncpgClient(host, port, configuration)


SUBJECTS = [Asyncpg()]
