from __future__ import annotations

import asyncio
import os
import warnings
from contextlib import AbstractContextManager

from tests.thawsafe.servers.mongo import MongoServer
from tests.thawsafe.servers.tcp import CountingServer, running
from tests.thawsafe.subject import Client, Subject, in_threads
from thawsafe import NO_RETRIES, Configuration
from thawsafe.adapters import pymongo

# Behind a load balancer a client has no monitors, whose connections would be counted as well: those are in adapters/test_pymongo.py.
URI = "mongodb://{host}:{port}/?loadBalanced=true"


class MongoTestClient(Client):
    def __init__(self, uri: str, configuration: Configuration) -> None:
        self.process = os.getpid()
        self.client = pymongo.MongoClient(uri, configuration=configuration.replace(retries=NO_RETRIES))
        self.tags = self.client["d"]["tags"]

    def call(self, tag: str, *, idempotent: bool) -> None:
        if os.getpid() != self.process:
            warnings.filterwarnings("ignore", "MongoClient opened before fork")  # PyMongo's own, and true of its monitors
        if idempotent:
            assert self.tags.find_one({"_id": tag}) == {"_id": tag}
        else:
            assert self.tags.insert_one({"_id": tag}).inserted_id == tag

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.client.close()


class AsyncMongoTestClient(Client):
    def __init__(self, uri: str, configuration: Configuration) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = pymongo.AsyncMongoClient(uri, configuration=configuration.replace(retries=NO_RETRIES))
        self.tags = self.client["d"]["tags"]

    async def _call(self, tag: str, idempotent: bool) -> None:
        if idempotent:
            assert await self.tags.find_one({"_id": tag}) == {"_id": tag}
        else:
            assert (await self.tags.insert_one({"_id": tag})).inserted_id == tag

    async def _call_many(self, tags: list[str], idempotent: bool) -> None:
        await asyncio.gather(*(self._call(tag, idempotent) for tag in tags))

    def call(self, tag: str, *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call(tag, idempotent))

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        self.loop.run_until_complete(self._call_many(tags, idempotent))

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


class Mongo(Subject):
    name = "pymongo"
    probes = True

    def serve(self) -> AbstractContextManager[CountingServer]:
        return running(MongoServer())

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return MongoTestClient(URI.format(host=host, port=port), configuration)


class AsyncMongo(Mongo):
    name = "pymongo.async"
    forks = False

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return AsyncMongoTestClient(URI.format(host=host, port=port), configuration)


SUBJECTS = [Mongo(), AsyncMongo()]
