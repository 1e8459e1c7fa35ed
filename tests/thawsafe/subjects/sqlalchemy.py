from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from importlib.util import find_spec

from sqlalchemy import text

from tests.thawsafe.servers.postgres import PostgresServer
from tests.thawsafe.servers.tcp import CountingServer, running
from tests.thawsafe.subject import Client, Subject, in_threads
from thawsafe import Configuration
from thawsafe.adapters import sqlalchemy

SEEN = text("SELECT seen(:tag)")


class EngineClient(Client):
    def __init__(self, url: str, configuration: Configuration) -> None:
        self.engine = sqlalchemy.create_engine(url, configuration)

    def call(self, tag: str, *, idempotent: bool) -> None:
        with self.engine.connect() as connection:
            assert connection.execute(SEEN, {"tag": tag}).scalar() == tag

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.engine.dispose()


class AsyncEngineClient(Client):
    def __init__(self, url: str, configuration: Configuration) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = sqlalchemy.create_async_engine(url, configuration)

    async def _call(self, tag: str) -> None:
        async with self.engine.connect() as connection:
            assert (await connection.execute(SEEN, {"tag": tag})).scalar() == tag

    async def _call_many(self, tags: list[str]) -> None:
        await asyncio.gather(*(self._call(tag) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags))

    def close(self) -> None:
        self.loop.run_until_complete(self.engine.dispose())
        self.loop.close()


class Engine(Subject):
    name = "sqlalchemy.psycopg"
    probes = True

    def serve(self) -> AbstractContextManager[CountingServer]:
        return running(PostgresServer())

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return EngineClient(f"postgresql+psycopg://u@{host}:{port}/d", configuration)


class AsyncEngine(Engine):
    forks = False

    def __init__(self, driver: str) -> None:
        self.driver = driver
        self.name = f"sqlalchemy.async.{driver}"  # type: ignore[misc] # one subject for each driver

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return AsyncEngineClient(f"postgresql+{self.driver}://u@{host}:{port}/d", configuration)


SUBJECTS = [Engine()]
if find_spec("greenlet"):  # SQLAlchemy's own condition for asyncio
    SUBJECTS += [AsyncEngine("psycopg"), AsyncEngine("asyncpg")]
