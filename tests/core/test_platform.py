"""Records and log lines in the forms that the Telemetry API and CloudWatch have."""

from __future__ import annotations

import json

import pytest

from frostline.core.platform import Narrator, iso_time
from frostline.testing.builders import function

MOMENT = 1_000_000_000.125


def narrator(**configuration: object) -> Narrator:
    """Speaks for environment `e`."""
    return Narrator("e", function(**configuration), "stream")


def test_times_are_iso_8601_with_milliseconds() -> None:
    """As AWS prints them."""
    assert iso_time(MOMENT) == "2001-09-09T01:46:40.125Z"


@pytest.mark.parametrize(
    ("runtime", "version"),
    [("python3.12", "python:3.12"), ("nodejs20.x", "nodejs:20"), ("provided.al2023", "provided.al2023"), ("go1.x", "go1")],
)
def test_init_start_names_the_runtime(runtime: str, version: str) -> None:
    """AWS: `python:3.10.v11`; ours says that it is ours."""
    emit = narrator(runtime=runtime).init_start(MOMENT, "init")
    assert emit.text == f"INIT_START Runtime Version: {version}.frostline\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:local"


def test_a_successful_init_has_no_report_line() -> None:
    """On AWS on-demand functions show INIT_REPORT only when the init failed."""
    emit = narrator().init_report(MOMENT, "init", "success", None, 0.5)
    assert emit.text is None
    assert emit.record == {"initializationType": "on-demand", "phase": "init", "status": "success", "metrics": {"durationMs": 500.0}}


def test_a_failed_init_has_one() -> None:
    """As AWS documents it."""
    emit = narrator().init_report(MOMENT, "init", "error", "Extension.Crash", 1.5)
    assert emit.text == "INIT_REPORT Init Duration: 1500.00 ms\tPhase: init\tStatus: error\tError Type: Extension.Crash"
    timeout = narrator().init_report(MOMENT, "init", "timeout", "Runtime.Unknown", 9.9996)
    assert timeout.text == "INIT_REPORT Init Duration: 9999.60 ms\tPhase: init\tStatus: timeout"


def test_the_extension_line() -> None:
    """Recorded: `EXTENSION Name: x State: Ready Events: [INVOKE,SHUTDOWN]`."""
    emit = narrator().extension(MOMENT, "x", "Ready", ("INVOKE", "SHUTDOWN"), None)
    assert emit.text == "EXTENSION\tName: x\tState: Ready\tEvents: [INVOKE,SHUTDOWN]"
    assert emit.record == {"name": "x", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}


def test_a_subscription_of_the_older_api_is_named_after_it() -> None:
    """LOGS and platform.logsSubscription."""
    emit = narrator().subscription(MOMENT, "x", ("function",), "logs")
    assert (emit.type, emit.text) == ("platform.logsSubscription", "LOGS\tName: x\tState: Subscribed\tTypes: [Function]")


def test_start_and_end() -> None:
    """To the letter; a trace id is in the record."""
    start = narrator().start(MOMENT, "a", "Root=1")
    assert start.text == "START RequestId: a Version: $LATEST"
    assert start.record == {"requestId": "a", "version": "$LATEST", "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"}}
    assert narrator().end(MOMENT, "a").text == "END RequestId: a"


@pytest.mark.parametrize(("seconds", "billed"), [(0.003_01, 4), (0.003, 3), (0.0, 0), (1.0004, 1001)])
def test_the_billed_duration_is_rounded_up(seconds: float, billed: int) -> None:
    """To the millisecond."""
    emit = narrator().report(MOMENT, "a", "success", None, duration_s=seconds, init_s=None, memory_peak_mb=36, show_status=False)
    assert emit.text == (
        f"REPORT RequestId: a\tDuration: {seconds * 1000:.2f} ms\tBilled Duration: {billed} ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t"
    )


def test_json_logs_are_the_telemetry_records() -> None:
    """`LogFormat: JSON`: platform lines become objects with time, type and record; END is not among them."""
    speaker = narrator(log_format="JSON")
    start = speaker.start(MOMENT, "a", None)
    assert json.loads(start.text or "") == {
        "time": "2001-09-09T01:46:40.125Z",
        "type": "platform.start",
        "record": {"requestId": "a", "version": "$LATEST"},
    }
    assert speaker.end(MOMENT, "a").text is None


@pytest.mark.parametrize(
    ("line", "record"), [('{"level":"INFO"}', {"level": "INFO"}), ("{not json", "{not json"), ("[1]", "[1]"), ("hello", "hello")]
)
def test_lines_that_are_json_objects_are_handed_on_as_objects(line: str, record: object) -> None:
    """Only with JSON logs, and only objects (schema 2022-12-13)."""
    emit = narrator(log_format="JSON").logged(MOMENT, "runtime", line, "a")
    assert (emit.type, emit.record, emit.text, emit.request_id) == ("function", record, line, "a")
    assert narrator().logged(MOMENT, "runtime", line, None).record == line
