from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager

from tests.thawsafe.servers.grpc import SERVICE, GrpcServer, grpc_server
from tests.thawsafe.subject import Client, Subject, in_threads
from thawsafe import Configuration
from thawsafe.adapters import grpc, grpc_aio


class GrpcClient(Client):
    def __init__(self, target: str, configuration: Configuration) -> None:
        self.channel = grpc.insecure_channel(target, configuration=configuration)
        self.one = self.channel.unary_unary(f"/{SERVICE}/One")

    def call(self, tag: str, *, idempotent: bool) -> None:
        assert self.one(tag.encode()) == tag.encode()

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.channel.close()


class AsyncGrpcClient(Client):
    def __init__(self, target: str, configuration: Configuration) -> None:
        self.loop = asyncio.new_event_loop()
        self.channel = grpc_aio.insecure_channel(target, configuration=configuration)
        self.one = self.channel.unary_unary(f"/{SERVICE}/One")

    async def _call(self, tag: str) -> None:
        assert await self.one(tag.encode()) == tag.encode()

    async def _call_many(self, tags: list[str]) -> None:
        await asyncio.gather(*(self._call(tag) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags))

    def close(self) -> None:
        self.loop.run_until_complete(self.channel.close())
        self.loop.close()


class Grpc(Subject):
    name = "grpc"
    multiplexes = True
    forks = False

    def serve(self) -> AbstractContextManager[GrpcServer]:
        return grpc_server()

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return GrpcClient(f"{host}:{port}", configuration)


class AsyncGrpc(Grpc):
    name = "grpc.aio"

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return AsyncGrpcClient(f"{host}:{port}", configuration)


SUBJECTS = [Grpc(), AsyncGrpc()]
