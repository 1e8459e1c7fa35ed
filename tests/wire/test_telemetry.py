"""Telemetry on its way to a subscriber."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from frostline.core.events import Subscription
from frostline.wire.http import Connection, Plan, Request
from frostline.wire.telemetry import BACKLOG, DROPPED_REASON, Batch, Buffer, DeliveryAnswer, records_for, timestamp

ALL = Subscription(protocol="HTTP", port=8080, types=("platform", "function", "extension"), max_items=3, max_bytes=1000, timeout_ms=100)
LOGS = msgspec.structs.replace(ALL, api="logs", schema_version="2021-03-18")
TIME = 1665533030.0634


def decoded(records: list[bytes] | tuple[bytes, ...]) -> list[Any]:
    return [msgspec.json.decode(record) for record in records]


def test_times_have_milliseconds() -> None:
    assert timestamp(TIME) == "2022-10-12T00:03:50.063Z"
    assert timestamp(0.9996) == "1970-01-01T00:00:01.000Z"


def test_a_record_as_it_is_delivered() -> None:
    assert decoded(records_for(ALL, TIME, "platform.start", {"requestId": "r"})) == [
        {"time": "2022-10-12T00:03:50.063Z", "type": "platform.start", "record": {"requestId": "r"}}
    ]


def test_a_subscriber_gets_the_types_it_asked_for() -> None:
    functions = msgspec.structs.replace(ALL, types=("function",))
    assert records_for(functions, TIME, "platform.start", {}) == []
    assert records_for(functions, TIME, "extension", "x") == []
    assert len(records_for(functions, TIME, "function", "x")) == 1


def test_structured_log_lines_are_text_for_the_oldest_schema() -> None:
    assert decoded(records_for(ALL, TIME, "function", {"level": "INFO"}))[0]["record"] == {"level": "INFO"}
    oldest = msgspec.structs.replace(ALL, schema_version="2022-07-01")
    assert decoded(records_for(oldest, TIME, "function", {"level": "INFO"}))[0]["record"] == '{"level":"INFO"}'


def test_the_logs_api_has_its_own_records() -> None:
    def logs(kind: str, record: dict[str, object] | str) -> list[tuple[str, object]]:
        return [(found["type"], found["record"]) for found in decoded(records_for(LOGS, TIME, kind, record))]

    assert logs("platform.start", {"requestId": "r", "version": "$LATEST", "tracing": {}}) == [
        ("platform.start", {"requestId": "r", "version": "$LATEST"})
    ]
    assert logs("platform.report", {"requestId": "r", "metrics": {"durationMs": 1}, "status": "success"}) == [
        ("platform.end", {"requestId": "r"}),
        ("platform.report", {"requestId": "r", "metrics": {"durationMs": 1}}),
    ]
    assert logs("platform.runtimeDone", {"requestId": "r", "status": "failure", "metrics": {}}) == [
        ("platform.runtimeDone", {"requestId": "r", "status": "failure"}),
        ("platform.fault", "RequestId: r Process exited before completing request"),
    ]
    assert logs("platform.telemetrySubscription", {"name": "x"}) == [("platform.logsSubscription", {"name": "x"})]
    assert logs("platform.extension", {"name": "x"}) == [("platform.extension", {"name": "x"})]
    assert logs("platform.initStart", {"phase": "init"}) == []
    assert logs("function", {"a": 1}) == [("function", '{"a":1}')]


def test_the_first_schema_of_the_logs_api_has_no_runtime_done() -> None:
    first = msgspec.structs.replace(LOGS, schema_version="2020-08-15")
    assert records_for(first, TIME, "platform.runtimeDone", {"requestId": "r", "status": "success"}) == []


def test_a_batch_is_due_when_its_oldest_record_is_old_enough() -> None:
    buffer = Buffer(ALL)
    assert buffer.wake_at() is None and buffer.due(5.0) is None
    buffer.add(5.0, TIME, "function", "a")
    buffer.add(5.05, TIME, "function", "b")
    assert buffer.wake_at() == 5.1
    assert buffer.due(5.09) is None
    batch = buffer.due(5.1)
    assert batch is not None and [record["record"] for record in decoded(batch.records)] == ["a", "b"]
    assert buffer.wake_at() is None


def test_a_batch_is_due_at_once_when_it_is_full() -> None:
    buffer = Buffer(ALL)
    for name in "abcd":
        buffer.add(5.0, TIME, "function", name)
    assert buffer.wake_at() == 5.0
    batch = buffer.due(5.0)
    assert batch is not None and len(batch.records) == 3
    assert buffer.due(5.0) is None and len(buffer) == 1
    buffer.add(5.0, TIME, "function", "x" * 1000)
    assert buffer.due(5.0) is not None


def test_flush_hands_out_what_is_not_due() -> None:
    buffer = Buffer(ALL)
    assert buffer.flush(1.0) is None
    buffer.add(1.0, TIME, "function", "a")
    assert buffer.flush(1.0) is not None


def test_a_slow_subscriber_loses_records_and_is_told() -> None:
    buffer = Buffer(ALL)
    for _ in range(100):
        buffer.add(5.0, TIME, "function", "x" * 100)
    assert len(buffer) < 100
    delivered: list[Any] = []
    while (batch := buffer.flush(6.0)) is not None:
        delivered += decoded(batch.records)
    told = [record["record"] for record in delivered if record["type"] == "platform.logsDropped"]
    assert len(told) == 1 and told[0]["reason"] == DROPPED_REASON
    kept = len(delivered) - 1
    assert told[0]["droppedRecords"] == 100 - kept
    assert told[0]["droppedBytes"] > 100 * told[0]["droppedRecords"]


def test_a_batch_as_an_http_request() -> None:
    subscription = msgspec.structs.replace(ALL, path="/logs?x", method="PUT")
    (request,) = Connection(lambda _request: Plan(1000)).receive(Batch((b'{"a":1}', b'{"b":2}')).http_request(subscription))
    assert isinstance(request, Request)
    assert (request.method, request.path, request.query) == ("PUT", "/logs", "x")
    assert request.header(b"host") == "sandbox.localdomain:8080" and request.header(b"content-type") == "application/json"
    assert msgspec.json.decode(request.body) == [{"a": 1}, {"b": 2}]


def test_a_batch_as_lines() -> None:
    assert Batch((b'{"a":1}', b'{"b":2}')).lines() == b'{"a":1}\n{"b":2}\n'


def test_answers_of_a_subscriber() -> None:
    answer = DeliveryAnswer()
    assert answer.receive(b"HTTP/1.1 200 OK\r\nContent-Le") == []
    assert answer.receive(b"ngth: 2\r\n\r\nOK") == [200] and answer.reusable
    assert answer.receive(b"HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") == [500] and not answer.reusable
    assert DeliveryAnswer().receive(b"what?") == [0]


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 600)), max_size=60))
def test_a_buffer_is_bounded_and_loses_nothing_silently(offered: list[tuple[float, int]]) -> None:
    buffer = Buffer(ALL)
    now, delivered, told = 0.0, 0, 0
    for delay, size in offered:
        now += delay / 100
        buffer.add(now, TIME, "function", "x" * size)
        assert sum(len(record) for _, record in buffer._waiting) <= BACKLOG * ALL.max_bytes + 500
        if size % 5 == 0 and (batch := buffer.due(now)) is not None:
            for record in decoded(batch.records):
                delivered += record["type"] == "function"
                told += record["record"]["droppedRecords"] if record["type"] != "function" else 0
    while (batch := buffer.flush(now)) is not None:
        for record in decoded(batch.records):
            delivered += record["type"] == "function"
            told += record["record"]["droppedRecords"] if record["type"] != "function" else 0
    assert delivered + told == len(offered)
