from __future__ import annotations

from contextlib import AbstractContextManager

from tests.thawsafe.http_server import TaggedServer, http_server
from tests.thawsafe.subject import Client, Subject, in_threads
from thawsafe import Configuration
from thawsafe.adapters import urllib3


class Urllib3Client(Client):
    def __init__(self, base: str, configuration: Configuration) -> None:
        self.base = base
        self.manager = urllib3.PoolManager(configuration, retries=False)

    def call(self, tag: str, *, idempotent: bool) -> None:
        response = self.manager.request("GET" if idempotent else "POST", f"{self.base}/{tag}", body=None if idempotent else b"x")
        assert response.status == 200

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.manager.clear()


class Urllib3(Subject):
    name = "urllib3"

    def serve(self) -> AbstractContextManager[TaggedServer]:
        return http_server()

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return Urllib3Client(f"http://{host}:{port}", configuration)


SUBJECTS = [Urllib3()]
