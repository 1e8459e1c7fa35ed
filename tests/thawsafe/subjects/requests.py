from __future__ import annotations

from contextlib import AbstractContextManager

from tests.thawsafe.http_server import http_server
from tests.thawsafe.subject import Client, Server, Subject, in_threads
from thawsafe import NO_RETRIES, Configuration
from thawsafe.adapters import requests


class RequestsClient(Client):
    def __init__(self, base: str, configuration: Configuration) -> None:
        self.base = base
        self.session = requests.Session(configuration.replace(retries=NO_RETRIES))
        self.session.trust_env = False

    def call(self, tag: str, *, idempotent: bool) -> None:
        response = self.session.request("GET" if idempotent else "POST", f"{self.base}/{tag}", data=None if idempotent else b"x")
        assert response.status_code == 200

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.session.close()


class Requests(Subject):
    name = "requests"

    def serve(self) -> AbstractContextManager[Server]:
        return http_server()

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return RequestsClient(f"http://{host}:{port}", configuration)


SUBJECTS = [Requests()]
