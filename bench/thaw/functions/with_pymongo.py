"""find or insert. Its monitors have connections of their own, beside the one that carries requests."""

from __future__ import annotations

from typing import Any

import pymongo

Client = pymongo.MongoClient[dict[str, Any]]


def connect(peer: str) -> Client:
    return pymongo.MongoClient(f"mongodb://{peer}/", timeoutMS=2000)


def request(client: Client, key: str, *, idempotent: bool) -> None:
    seen = client["d"]["seen"]
    if idempotent:
        seen.find_one({"_id": key})
    else:
        seen.insert_one({"_id": key})


def close(client: Client) -> None:
    client.close()
