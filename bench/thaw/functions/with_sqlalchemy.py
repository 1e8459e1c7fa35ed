"""A statement within a transaction, over psycopg. libpq has no timeout for an answer; Lambda's ends the wait."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine, text

SEEN = text("SELECT seen(:key)")


def connect(peer: str) -> Engine:
    return create_engine(f"postgresql+psycopg://u@{peer}/d?sslmode=disable&connect_timeout=2")


def request(client: Engine, key: str, *, idempotent: bool) -> None:
    del idempotent  # no driver knows what a statement does
    with client.begin() as connection:
        connection.execute(SEEN, {"key": key})


def close(client: Engine) -> None:
    client.dispose()


def drop(client: Engine) -> None:
    """An engine's first connection asks the server about itself; later ones do not."""
    client.dispose()
