from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

from tests.thawsafe.servers.postgres import PostgresServer
from tests.thawsafe.servers.tcp import CountingServer, running
from tests.thawsafe.subject import Client, Subject, in_threads
from thawsafe import Configuration
from thawsafe.adapters.psycopg_pool import AsyncConnectionPool, ConnectionPool


class PsycopgClient(Client):
    def __init__(self, conninfo: str, configuration: Configuration) -> None:
        self.pool = ConnectionPool(configuration, conninfo, open=True)

    def call(self, tag: str, *, idempotent: bool) -> None:
        with self.pool.connection() as connection:
            assert connection.execute("SELECT seen(%s)", (tag,)).fetchone() == (tag,)

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.pool.close(timeout=0.1)  # whose workers may be waiting for a server that does not answer


class AsyncPsycopgClient(Client):
    def __init__(self, conninfo: str, configuration: Configuration) -> None:
        self.loop = asyncio.new_event_loop()
        self.pool = AsyncConnectionPool(configuration, conninfo, open=False)
        self.loop.run_until_complete(self.pool.open())

    async def _call(self, tag: str) -> None:
        async with self.pool.connection() as connection:
            cursor = await connection.execute("SELECT seen(%s)", (tag,))
            assert await cursor.fetchone() == (tag,)

    async def _call_many(self, tags: list[str]) -> None:
        await asyncio.gather(*(self._call(tag) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags))

    def close(self) -> None:
        self.loop.run_until_complete(self.pool.close(timeout=0.1))
        self.loop.close()


class Psycopg(Subject):
    name = "psycopg_pool"
    probes = True

    def serve(self) -> AbstractContextManager[CountingServer]:
        return running(PostgresServer())

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return PsycopgClient(f"host={host} port={port} user=u dbname=d", configuration)


class AsyncPsycopg(Psycopg):
    name = "psycopg_pool.async"
    forks = False

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return AsyncPsycopgClient(f"host={host} port={port} user=u dbname=d", configuration)


SUBJECTS = [Psycopg(), AsyncPsycopg()]
