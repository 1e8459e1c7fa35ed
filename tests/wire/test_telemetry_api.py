"""Subscribing to telemetry."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.effects import Subscribed
from frostline.core.events import Subscription, TelemetrySubscribe
from frostline.wire.telemetry_api import subscription_of

from .dialogue import EXTENSION, Process, request

IDENTIFIED = [("Lambda-Extension-Identifier", EXTENSION)]
BODY: dict[str, object] = {
    "schemaVersion": "2022-12-13",
    "types": ["platform", "function", "extension"],
    "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 100},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"},
}
"""The example of AWS's reference."""


def subscribe(body: object, path: str = "/2022-07-01/telemetry") -> bytes:
    return request("PUT", path, IDENTIFIED, msgspec.json.encode(body))


@pytest.mark.parametrize("path", ["/2022-07-01/telemetry", "/2022-07-01/telemetry/"])
def test_the_documented_example(path: str) -> None:
    process = Process()
    event = process.send_one(subscribe(BODY, path))
    assert event == TelemetrySubscribe(
        "e1",
        1,
        extension_id=EXTENSION,
        subscription=Subscription(
            protocol="HTTP",
            port=8080,
            path="/",
            types=("platform", "function", "extension"),
            max_items=1000,
            max_bytes=262144,
            timeout_ms=100,
            schema_version="2022-12-13",
        ),
    )
    process.answer(1, Subscribed())
    answer = process.read()
    assert (answer.status, answer.body) == (200, b'"OK"')


def test_the_documented_failure() -> None:
    process = Process()
    body = {**BODY, "types": [], "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}}
    assert process.send(subscribe(body)) == []
    answer = process.read()
    assert (answer.status, answer.json()) == (
        400,
        {"errorType": "ValidationError", "errorMessage": "URI port is not provided; types should not be empty"},
    )


def test_defaults_of_the_telemetry_api() -> None:
    found = subscription_of(msgspec.json.encode({name: value for name, value in BODY.items() if name != "buffering"}), "telemetry")
    assert isinstance(found, Subscription)
    assert (found.max_items, found.max_bytes, found.timeout_ms, found.method, found.api) == (1000, 262144, 1000, "POST", "telemetry")


def test_the_logs_api_has_its_own_schema_and_defaults() -> None:
    body = {
        "schemaVersion": "2021-03-18",
        "types": ["function"],
        "destination": {"protocol": "HTTP", "URI": "http://sandbox:8080/lambda_logs?x=1", "method": "PUT", "encoding": "JSON"},
    }
    event = Process().send_one(subscribe(body, "/2020-08-15/logs"))
    assert isinstance(event, TelemetrySubscribe)
    assert event.subscription == Subscription(
        protocol="HTTP",
        port=8080,
        path="/lambda_logs?x=1",
        method="PUT",
        types=("function",),
        max_items=10_000,
        schema_version="2021-03-18",
        api="logs",
    )


@pytest.mark.parametrize("destination", [{"protocol": "TCP", "port": 8080}, {"protocol": "TCP", "URI": "tcp://sandbox.localdomain:8080"}])
def test_a_tcp_destination(destination: object) -> None:
    found = subscription_of(msgspec.json.encode({**BODY, "destination": destination}), "telemetry")
    assert isinstance(found, Subscription) and (found.protocol, found.port) == ("TCP", 8080)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schemaVersion": "2020-08-15"}, "schemaVersion"),
        ({"schemaVersion": None}, "schemaVersion"),
        ({"schemaVersion": ["x"]}, "schemaVersion"),
        ({"types": ["platform", "x"]}, "types"),
        ({"types": "platform"}, "types"),
        ({"types": [{}]}, "types"),
        ({"buffering": {"maxItems": 999}}, "maxItems"),
        ({"buffering": {"maxItems": 10001}}, "maxItems"),
        ({"buffering": {"maxBytes": 262143}}, "maxBytes"),
        ({"buffering": {"timeoutMs": 24}}, "timeoutMs"),
        ({"buffering": {"timeoutMs": 30001}}, "timeoutMs"),
        ({"buffering": {"timeoutMs": True}}, "timeoutMs"),
        ({"buffering": 7}, "buffering"),
        ({"destination": None}, "destination"),
        ({"destination": {"protocol": "UDP", "port": 1}}, "protocol"),
        ({"destination": {"protocol": "HTTP"}}, "URI is not provided"),
        ({"destination": {"protocol": "HTTP", "URI": "https://sandbox.localdomain:1"}}, "http://"),
        ({"destination": {"protocol": "HTTP", "URI": "http://example.com:80"}}, "example.com"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:9001"}}, "reserved"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:99999"}}, "URI"),
        ({"destination": {"protocol": "HTTP", "URI": "http://[::1"}}, "URI"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:80/a b"}}, "path"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:80", "method": "GET"}}, "method"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:80", "encoding": "XML"}}, "encoding"),
        ({"destination": {"protocol": "TCP"}}, "port"),
        ({"destination": {"protocol": "TCP", "port": 0}}, "port"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], complaint: str) -> None:
    found = subscription_of(msgspec.json.encode(BODY | change), "telemetry")
    assert isinstance(found, list) and len(found) == 1 and complaint in found[0]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 5000, b'"\xff"'])
def test_a_body_that_is_no_object(body: bytes) -> None:
    assert isinstance(subscription_of(body, "telemetry"), list)


def test_other_methods_are_refused() -> None:
    process = Process()
    process.send(request("POST", "/2022-07-01/telemetry", IDENTIFIED))
    assert process.read().status == 405


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda part: st.lists(part) | st.dictionaries(st.text(max_size=5), part),
)


@given(
    st.fixed_dictionaries({}, optional={name: st.one_of(json, st.just(value)) for name, value in BODY.items()}),
    st.sampled_from(["telemetry", "logs"]),
)
def test_any_json_is_a_subscription_or_a_list_of_complaints(body: dict[str, object], api: str) -> None:
    found = subscription_of(msgspec.json.encode(body), api)  # type: ignore[arg-type]
    if isinstance(found, Subscription):
        assert 1 <= found.port <= 65535 and found.types
    else:
        assert found and all(found)
