"""A PostgreSQL server behind a path that freezes: three adapters talk to one. Modules with another server have fixtures of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.thawsafe.fate_proxy import FateProxy
from tests.thawsafe.servers.postgres import PostgresServer
from tests.thawsafe.servers.tcp import running


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    with running(server):
        yield server


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[FateProxy]:
    proxy = FateProxy("127.0.0.1", server.port)
    yield proxy
    proxy.close()
