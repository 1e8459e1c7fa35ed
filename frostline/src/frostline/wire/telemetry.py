"""Telemetry on its way to a subscriber: which records it gets, in which form, collected into which batches.

Pure: the control plane offers every emitted event to each subscriber's `Buffer`, asks it for batches when `wake_at` says so, and delivers
them. Sources: AWS's "Telemetry API Event schema reference", "Using the Telemetry API" and "Using the Lambda Logs API" pages.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from msgspec import Struct
from msgspec.json import encode

from ..core.events import Subscription

Record = dict[str, object] | str
"""A record's content: an object for platform records, usually a string for log lines."""

BACKLOG = 4
"""How many full batches (by `max_bytes`) wait for a slow subscriber before further records are dropped and counted."""

DROPPED_REASON = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
"""AWS's words, from RIE."""


def timestamp(time: float) -> str:
    """Epoch seconds as telemetry writes them: `2022-10-12T00:03:50.000Z`."""
    return datetime.fromtimestamp(round(time, 3), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def record_json(time: float, kind: str, record: Record) -> bytes:
    """One record as it is delivered: `{"time": ..., "type": ..., "record": ...}`."""
    return encode({"time": timestamp(time), "type": kind, "record": record})


def category(kind: str) -> str:
    """What a subscription calls this type of record: `platform`, `function` or `extension`."""
    return "platform" if kind.startswith("platform.") else kind


def records_for(subscription: Subscription, time: float, kind: str, record: Record) -> list[bytes]:
    """An emitted event as this subscriber gets it: nothing when it did not ask for it; for the Logs API sometimes two records."""
    if category(kind) not in subscription.types:
        return []
    if subscription.api == "logs":
        return [record_json(time, name, content) for name, content in _as_logs(subscription, kind, record)]
    if isinstance(record, dict) and subscription.schema_version == "2022-07-01" and not kind.startswith("platform."):
        record = _as_text(record)  # "if JSON log format is used, and schema version is 2022-12-13 or later, the record is an object"
    return [record_json(time, kind, record)]


def _as_text(record: dict[str, object]) -> str:
    return encode(record).decode()


def _as_logs(subscription: Subscription, kind: str, record: Record) -> list[tuple[str, Record]]:
    """The Logs API knows fewer platform records, with other names and fewer fields."""
    if isinstance(record, str) or not kind.startswith("platform."):
        return [(kind, record if isinstance(record, str) else _as_text(record))]
    request_id = record.get("requestId")
    match kind:
        case "platform.start":
            return [(kind, _only(record, "requestId", "version"))]
        case "platform.runtimeDone":
            done: list[tuple[str, Record]] = []
            if subscription.schema_version >= "2021-03-18":
                done.append((kind, _only(record, "requestId", "status")))
            if record.get("status") in ("failure", "error", "timeout"):
                what = "Task timed out" if record["status"] == "timeout" else "Process exited before completing request"
                done.append(("platform.fault", f"RequestId: {request_id} {what}"))
            return done
        case "platform.report":
            return [("platform.end", {"requestId": request_id}), (kind, _only(record, "requestId", "metrics"))]
        case "platform.telemetrySubscription":
            return [("platform.logsSubscription", record)]
        case "platform.extension" | "platform.logsDropped":
            return [(kind, record)]
        case _:
            return []


def _only(record: dict[str, object], *names: str) -> dict[str, object]:
    return {name: record[name] for name in names if name in record}


class Batch(Struct, frozen=True):
    """Records that go out together."""

    records: tuple[bytes, ...]

    def http_request(self, subscription: Subscription) -> bytes:
        """The request that delivers the batch to an HTTP destination: a JSON array. Any 2xx answer means it arrived."""
        body = b"[%b]" % b",".join(self.records)
        return (b"%b %b HTTP/1.1\r\nHost: sandbox.localdomain:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b") % (
            subscription.method.encode(),
            subscription.path.encode(),
            subscription.port,
            len(body),
            body,
        )

    def lines(self) -> bytes:
        """The batch as it goes to a TCP destination: newline-delimited JSON."""
        return b"\n".join(self.records) + b"\n"


class Buffer:
    """One subscriber's records, from the moment they are emitted until they are handed over for delivery.

    A batch is due when it has `max_items` records or `max_bytes` bytes, or when its oldest record is `timeout_ms` old. `now` is any
    steady clock, in seconds; records carry epoch time themselves.
    """

    __slots__ = ("_bytes", "_dropped_bytes", "_dropped_records", "_last_time", "_waiting", "subscription")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self._waiting: deque[tuple[float, bytes]] = deque()
        """(when it was added, the record)"""
        self._bytes = 0
        self._dropped_records = 0
        self._dropped_bytes = 0
        self._last_time = 0.0

    def __len__(self) -> int:
        """Records that wait."""
        return len(self._waiting)

    def add(self, now: float, time: float, kind: str, record: Record) -> None:
        """Offer an emitted event (`core.effects.Emit`'s time, type and record). When the subscriber is too far behind, it is dropped and
        counted.
        """
        for data in records_for(self.subscription, time, kind, record):
            if self._bytes + len(data) > BACKLOG * self.subscription.max_bytes:
                self._dropped_records += 1
                self._dropped_bytes += len(data)
                self._last_time = time
            else:
                self._append(now, data)

    def due(self, now: float) -> Batch | None:
        """The next batch, if one is due; ask again after it, there may be another."""
        wake_at = self.wake_at()
        return self._take(now) if wake_at is not None and wake_at <= now else None

    def flush(self, now: float) -> Batch | None:
        """The next batch, due or not; None when nothing waits. For the end of an environment."""
        return self._take(now) if self._waiting else None

    def wake_at(self) -> float | None:
        """When the next batch is due (it may be now or past), or None when nothing waits."""
        if not self._waiting:
            return None
        if self._bytes >= self.subscription.max_bytes or len(self._waiting) >= self.subscription.max_items:
            return self._waiting[0][0]
        return self._waiting[0][0] + self.subscription.timeout_ms / 1000

    def _append(self, now: float, data: bytes) -> None:
        self._waiting.append((now, data))
        self._bytes += len(data)

    def _take(self, now: float) -> Batch:
        records: list[bytes] = []
        size = 0
        while self._waiting and len(records) < self.subscription.max_items and (not records or size < self.subscription.max_bytes):
            data = self._waiting.popleft()[1]
            records.append(data)
            size += len(data)
        self._bytes -= size
        if self._dropped_records:
            self._report_dropped(now)
        return Batch(tuple(records))

    def _report_dropped(self, now: float) -> None:
        dropped = {"reason": DROPPED_REASON, "droppedRecords": self._dropped_records, "droppedBytes": self._dropped_bytes}
        self._dropped_records = self._dropped_bytes = 0
        for data in records_for(self.subscription, self._last_time, "platform.logsDropped", dropped):
            self._append(now, data)


class DeliveryAnswer:
    """Reads a subscriber's answers on one connection, as much as delivery needs: their statuses, and whether the connection can be used
    again.
    """

    __slots__ = ("_parser", "_statuses", "reusable")

    def __init__(self) -> None:
        self._statuses: list[int] = []
        self.reusable = True
        self._parser = HttpResponseParser(self)

    def receive(self, data: bytes) -> list[int]:
        """Statuses of the answers that are complete. When it is not HTTP: status 0, and the connection is not reusable."""
        self._statuses = []
        if self.reusable:
            try:
                self._parser.feed_data(data)
            except (HttpParserError, HttpParserUpgrade):
                self.reusable = False
                self._statuses.append(0)
        return self._statuses

    def on_message_complete(self) -> None:
        """Called by httptools."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._statuses.append(status)
            self.reusable = self._parser.should_keep_alive()
