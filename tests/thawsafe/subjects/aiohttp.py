from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

from tests.thawsafe.http_server import TaggedServer, http_server
from tests.thawsafe.subject import Client, Subject
from thawsafe import Configuration
from thawsafe.adapters import aiohttp


class AiohttpClient(Client):
    def __init__(self, base: str, configuration: Configuration) -> None:
        self.base = base
        self.loop = asyncio.new_event_loop()
        self.session = self.loop.run_until_complete(self._open(configuration))

    async def _open(self, configuration: Configuration) -> aiohttp.ClientSession:
        session = aiohttp.session(configuration)
        session._retry_connection = False  # so that nothing hides a failure
        return session

    async def _call(self, tag: str, idempotent: bool) -> None:
        request = self.session.get if idempotent else self.session.post
        async with request(f"{self.base}/{tag}", data=None if idempotent else b"x") as response:
            assert response.status == 200
            await response.read()

    async def _call_many(self, tags: list[str], idempotent: bool) -> None:
        await asyncio.gather(*(self._call(tag, idempotent) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag, idempotent))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags, idempotent))

    def close(self) -> None:
        self.loop.run_until_complete(self.session.close())
        self.loop.close()


class Aiohttp(Subject):
    name = "aiohttp"
    forks = False

    def serve(self) -> AbstractContextManager[TaggedServer]:
        return http_server()

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return AiohttpClient(f"http://{host}:{port}", configuration)


SUBJECTS = [Aiohttp()]
