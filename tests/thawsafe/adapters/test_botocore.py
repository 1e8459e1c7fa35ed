from __future__ import annotations

from typing import Any

import boto3
import botocore.config
import botocore.session
import pytest
from botocore.exceptions import HTTPClientError

from tests.thawsafe.fate_proxy import FateProxy
from thawsafe import UNLIMITED, UnknownClient, in_region, install, invocation, lambda_
from thawsafe._install.installer import uninstall
from thawsafe.adapters.botocore import config, protect

KEYS = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "region_name": "eu-central-1"}


def pools(client: Any) -> dict[str, type]:
    classes: dict[str, type] = client._endpoint.http_session._manager.pool_classes_by_scheme
    return classes


def is_judged(client: Any) -> bool:
    return all(hasattr(pool, "judged_by") for pool in pools(client).values())


def test_a_client_a_resource_and_sessions_of_both() -> None:
    client = boto3.client("s3", **KEYS)
    protect(client, lambda_())
    resource = boto3.resource("s3", **KEYS)
    protect(resource, lambda_())
    session = boto3.Session(**KEYS)
    protect(session, lambda_())
    lower = botocore.session.Session()
    protect(lower, lambda_())

    assert is_judged(client)
    assert is_judged(resource.meta.client)
    assert is_judged(session.client("sqs"))
    assert is_judged(session.resource("dynamodb").meta.client)
    assert is_judged(lower.create_client("sts", **KEYS))
    assert not is_judged(boto3.client("s3", **KEYS)), "of another session"


def test_twice_is_once() -> None:
    client = boto3.client("s3", **KEYS)
    protect(client, lambda_())
    before = dict(pools(client))
    protect(client, lambda_())

    assert pools(client) == before


@pytest.mark.parametrize("owner", [object(), None, "s3"], ids=["object", "None", "name"])
def test_anything_else_is_refused(owner: object) -> None:
    with pytest.raises(UnknownClient, match="is not protected: thawsafe knows clients, resources and sessions of botocore and boto3"):
        protect(owner, lambda_())


def test_a_configuration_becomes_a_config() -> None:
    made = config(lambda_())

    assert (made.connect_timeout, made.read_timeout, made.max_pool_connections, made.tcp_keepalive) == (5.0, 10.0, 10, False)
    assert made.retries == {"total_max_attempts": 3, "mode": "standard"}
    assert config(in_region()).tcp_keepalive is True
    assert config(lambda_(), read_timeout=60).read_timeout == 60, "what is given goes first"
    assert config(lambda_().replace(request_timeout=UNLIMITED)).read_timeout == 86400.0, "botocore's None would be 60 s"


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_no_attempt_is_waited_for_that_begins_after_the_invocation(mode: str) -> None:
    """A peer that accepts, and answers nothing. A second attempt needs a pause below a millisecond, which is drawn by lot."""
    proxy = FateProxy("127.0.0.1", 1)
    proxy.deaf = True
    install(lambda_(), clients=["urllib3", "botocore"])
    try:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{proxy.port}",
            config=botocore.config.Config(retries={"mode": mode}, s3={"addressing_style": "path"}),
            **KEYS,
        )
        with invocation(0.3), pytest.raises(HTTPClientError):
            client.get_object(Bucket="bucket", Key="key")
    finally:
        uninstall()

    assert proxy.accepted <= 2
    proxy.close()
