"""DynamoDB's GetItem or UpdateItem, both a POST. The server answers both with JSON that has nothing which they look for."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

KEY = {"id": {"S": "1"}}


class Client:
    def __init__(self, peer: str) -> None:
        self.key = ""
        self.dynamodb: Any = boto3.client("dynamodb", endpoint_url=f"http://{peer}", config=Config(connect_timeout=2, read_timeout=2))
        self.dynamodb.meta.events.register("before-sign", self.name)

    def name(self, request: Any, **_: object) -> None:
        request.headers["X-Request-Id"] = self.key


def connect(peer: str) -> Client:
    return Client(peer)


def request(client: Client, key: str, *, idempotent: bool) -> None:
    client.key = key
    if idempotent:
        client.dynamodb.get_item(TableName="orders", Key=KEY)
    else:
        client.dynamodb.update_item(TableName="orders", Key=KEY)


def close(client: Client) -> None:
    client.dynamodb.close()
