from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

from tests.thawsafe.h2_server import h2_server
from tests.thawsafe.http_server import http_server
from tests.thawsafe.subject import Client, Server, Subject, in_threads
from thawsafe import Configuration
from thawsafe.adapters import httpx


class HttpxClient(Client):
    def __init__(self, base: str, configuration: Configuration, http2: bool) -> None:
        self.client = httpx.Client(configuration, base_url=base, http1=not http2, http2=http2, trust_env=False)

    def call(self, tag: str, *, idempotent: bool) -> None:
        response = self.client.request("GET" if idempotent else "POST", f"/{tag}", content=None if idempotent else b"x")
        assert response.status_code == 200

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.client.close()


class AsyncHttpxClient(Client):
    def __init__(self, base: str, configuration: Configuration, http2: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = httpx.AsyncClient(configuration, base_url=base, http1=not http2, http2=http2, trust_env=False)

    async def _call(self, tag: str, idempotent: bool) -> None:
        response = await self.client.request("GET" if idempotent else "POST", f"/{tag}", content=None if idempotent else b"x")
        assert response.status_code == 200

    async def _call_many(self, tags: list[str], idempotent: bool) -> None:
        await asyncio.gather(*(self._call(tag, idempotent) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag, idempotent))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags, idempotent))

    def close(self) -> None:
        self.loop.run_until_complete(self.client.aclose())
        self.loop.close()


class Httpx(Subject):
    def __init__(self, name: str, client: type[HttpxClient] | type[AsyncHttpxClient], http2: bool) -> None:
        self.name = name
        self._client = client
        self._http2 = http2
        self.probes = self.multiplexes = http2
        self.forks = client is HttpxClient
        # Threads that share one HTTP/2 connection of bare httpcore 1.0.9 send streams out of order now and then, and the server ends it.
        self.crowds = not (http2 and client is HttpxClient)

    def serve(self) -> AbstractContextManager[Server]:
        return h2_server() if self._http2 else http_server()

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return self._client(f"http://{host}:{port}", configuration, self._http2)


SUBJECTS = [
    Httpx("httpx", HttpxClient, http2=False),
    Httpx("httpx_http2", HttpxClient, http2=True),
    Httpx("httpx_async", AsyncHttpxClient, http2=False),
    Httpx("httpx_async_http2", AsyncHttpxClient, http2=True),
]
