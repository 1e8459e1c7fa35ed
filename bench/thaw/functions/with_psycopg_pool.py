"""A statement of its own, without a transaction. libpq has no timeout for an answer; Lambda's ends the wait."""

from __future__ import annotations

from typing import Any

from psycopg_pool import ConnectionPool

Client = ConnectionPool[Any]


def connect(peer: str) -> Client:
    host, _, port = peer.partition(":")
    conninfo = f"host={host} port={port} user=u dbname=d sslmode=disable connect_timeout=2"
    return ConnectionPool(conninfo, min_size=1, kwargs={"autocommit": True}, timeout=2, open=True)


def request(client: Client, key: str, *, idempotent: bool) -> None:
    del idempotent  # no driver knows what a statement does
    with client.connection() as connection:
        connection.execute("SELECT seen(%s)", (key,))


def close(client: Client) -> None:
    client.close(timeout=0.1)
