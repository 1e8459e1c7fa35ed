from __future__ import annotations

from contextlib import AbstractContextManager

import boto3
import botocore.config

from tests.thawsafe.http_server import http_server
from tests.thawsafe.subject import Client, Server, Subject, in_threads
from thawsafe import NO_RETRIES, Configuration
from thawsafe.adapters.botocore import config, protect


class BotocoreClient(Client):
    """Two calls of S3, one of them a POST; what matters is the connection below."""

    def __init__(self, endpoint: str, configuration: Configuration) -> None:
        session = boto3.Session(aws_access_key_id="id", aws_secret_access_key="secret", region_name="eu-central-1")
        protect(session, configuration)
        chosen = config(configuration.replace(retries=NO_RETRIES)).merge(
            botocore.config.Config(s3={"addressing_style": "path"}, proxies={})
        )
        self.client = session.client("s3", endpoint_url=endpoint, config=chosen)

    def call(self, tag: str, *, idempotent: bool) -> None:
        if idempotent:
            assert self.client.head_object(Bucket="bucket", Key=tag)["ResponseMetadata"]["HTTPStatusCode"] == 200
        else:
            self.client.create_multipart_upload(Bucket="bucket", Key=tag)

    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        in_threads(tags, lambda tag: self.call(tag, idempotent=idempotent))

    def close(self) -> None:
        self.client.close()


class Botocore(Subject):
    name = "botocore"

    def serve(self) -> AbstractContextManager[Server]:
        return http_server()

    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        return BotocoreClient(f"http://{host}:{port}", configuration)


SUBJECTS = [Botocore()]
