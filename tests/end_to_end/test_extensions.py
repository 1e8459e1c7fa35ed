"""External and internal extensions, and telemetry to those that subscribe, as AWS documents them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import MakeProject
from .running import FUNCTIONS, MARKER, RUNTIME, Held, Server, up

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
OBSERVERS = ("http-observer", "tcp-observer")


@pytest.fixture(scope="module")
def extension_held() -> Iterator[Held]:
    """Where the extension of `with-slow` stands still."""
    made = Held()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject, extension_held: Held) -> Iterator[Server]:
    template = project("extensions") / "template.yaml"
    with up(home, template, "--parameter", f"Runtime={RUNTIME}", "--parameter", f"Held={extension_held.port}") as running:
        yield running


Notes = dict[str, dict[str, list[Any]]]


@pytest.fixture(scope="module")
def observed(server: Server) -> tuple[str, Notes]:
    """The request id of a first invocation, and what each extension noted up to the moment when it knew of its report, in the second one."""
    first = server.invoke("observed")
    second = server.invoke("observed", {"until": f'"platform.report", "record": {{"requestId": "{first.request_id}"'})
    notes: Notes = {}
    for name in OBSERVERS:
        kinds = notes[name] = {"environment": [], "answer": [], "event": [], "record": []}
        for kind, what in second.payload[name]:
            kinds[kind].append(what)
        kinds["event"] = kinds["event"][:1] if len(kinds["event"]) > 1 else kinds["event"]
    return first.request_id, notes


# Telemetry --------------------------------------------------------------------------------------------------------------------------------


def test_registering_and_subscribing(observed: tuple[str, Notes]) -> None:
    for name in OBSERVERS:
        answers = observed[1][name]["answer"]
        registered = '{"accountId":"123456789012","functionName":"observed","functionVersion":"$LATEST","handler":"app.handler"}\n'
        assert answers[:2] == [["/2020-01-01/extension/register", 200, registered], ["/2022-07-01/telemetry", 200, '"OK"']]


def test_an_extensions_environment_is_less_than_the_runtimes(observed: tuple[str, Notes]) -> None:
    (names,) = observed[1]["http-observer"]["environment"]
    assert set(names) - {"LC_CTYPE", MARKER} == {  # Python itself sets LC_CTYPE
        *(
            "AWS_ACCESS_KEY_ID",
            "AWS_DEFAULT_REGION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
        ),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("LANG", "LD_LIBRARY_PATH", "PATH", "TZ"),
    }


def test_an_invoke_event_is_as_documented(observed: tuple[str, Notes]) -> None:
    request_id, notes = observed
    for name in OBSERVERS:
        (event,) = notes[name]["event"]
        assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("header"))
        assert 0 < event.pop("deadlineMs") / 1000 - time.time() < 11
        tracing = event.pop("tracing")
        assert tracing["type"] == "X-Amzn-Trace-Id" and tracing["value"].startswith("Root=1-")
        arn = "arn:aws:lambda:us-east-1:123456789012:function:observed"
        assert event == {"eventType": "INVOKE", "requestId": request_id, "invokedFunctionArn": arn}


def test_every_platform_record_comes_in_order_and_in_its_form(observed: tuple[str, Notes]) -> None:
    request_id, notes = observed
    for name in OBSERVERS:
        records = notes[name]["record"]
        assert all(record.keys() == {"time", "type", "record"} and re.fullmatch(TIME, record["time"]) for record in records)
        kinds = [record["type"] for record in records if record["type"] != "extension"]
        end = kinds.index("platform.report") + 1
        assert kinds[:end] == [
            "platform.initStart",
            "platform.telemetrySubscription",
            "platform.telemetrySubscription",
            "platform.initRuntimeDone",
            "platform.extension",
            "platform.extension",
            "platform.initReport",
            "platform.start",
            "function",
            "platform.runtimeDone",
            "platform.report",
        ]
        of = {record["type"]: record["record"] for record in reversed(records)}
        assert of["function"] == "the function speaks"
        check_init(of)
        check_invocation(of, request_id)
        assert [record["time"] for record in records] == sorted(record["time"] for record in records)


def check_init(of: dict[str, Any]) -> None:
    start = of["platform.initStart"]
    assert re.fullmatch(r"python:3\.\d+\.\S+", start.pop("runtimeVersion")) and start.pop("runtimeVersionArn").startswith(
        "arn:aws:lambda:us-east-1::runtime:"
    )
    assert start.pop("instanceId")
    assert start == {
        "initializationType": "on-demand",
        "phase": "init",
        "functionName": "observed",
        "functionVersion": "$LATEST",
        "instanceMaxMemory": 128 * 1024 * 1024,
    }
    subscribed = of["platform.telemetrySubscription"]
    types = ["platform", "function"] + ["extension"] * (subscribed["name"] == "http-observer")
    assert (subscribed["state"], subscribed["types"]) == ("Subscribed", types)
    assert of["platform.initRuntimeDone"] == {"initializationType": "on-demand", "phase": "init", "status": "success"}
    assert of["platform.extension"] == {"name": "http-observer", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    report = of["platform.initReport"]
    assert report.pop("metrics").keys() == {"durationMs"}
    assert report == {"initializationType": "on-demand", "phase": "init", "status": "success"}


def check_invocation(of: dict[str, Any], request_id: str) -> None:
    start, done, report = (of[f"platform.{name}"] for name in ("start", "runtimeDone", "report"))
    assert start.pop("tracing")["type"] == "X-Amzn-Trace-Id"
    assert start == {"requestId": request_id, "version": "$LATEST"}
    assert (done["requestId"], done["status"], done["metrics"].keys()) == (request_id, "success", {"durationMs", "producedBytes"})
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert all(span.keys() == {"name", "start", "durationMs"} and re.fullmatch(TIME, span["start"]) for span in done["spans"])
    assert (report["requestId"], report["status"]) == (request_id, "success")
    assert report["metrics"].keys() == {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"}


def test_only_what_was_subscribed_to_comes(observed: tuple[str, Notes]) -> None:
    said = {name: sorted(record["record"] for record in observed[1][name]["record"] if record["type"] == "extension") for name in OBSERVERS}
    assert said == {"http-observer": [f"extension is ready: {name}" for name in OBSERVERS], "tcp-observer": []}


def test_a_timeout_shuts_extensions_down_with_that_reason_and_starts_them_again(server: Server) -> None:
    answer = server.invoke("observed-briefly", {"sleep": 20})
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    for name in OBSERVERS:
        # The reason, a deadline that leaves time, and how many reports it was told of: that of the invocation that failed.
        assert server.until_logged("observed-briefly", f"shutdown: {name}") == [f"shutdown: {name} timeout True 1"]
    again = server.invoke("observed-briefly")
    assert again.error is None
    ready = server.texts("observed-briefly", "platform.extension")
    assert len([text for text in ready if "State: Ready" in text]) == 4


# Life with extensions ---------------------------------------------------------------------------------------------------------------------


def test_the_caller_does_not_wait_for_extensions_and_the_next_invocation_does_not_either(server: Server, extension_held: Held) -> None:
    """AWS: the response is returned even if extensions are still running. Here they do until both responses are there."""
    first = server.invoke("with-slow", LogType="None")
    answered_at = time.monotonic()
    second = server.invoke("with-slow", LogType="None")
    assert first.error is None and second.error is None
    extension_held.wait(2)
    lasted_ms = (time.monotonic() - answered_at) * 1000
    extension_held.let_go()
    assert len(server.until_logged("with-slow", "worked for", 2)) == 2
    report = next(text for text in server.until_logged("with-slow", f"REPORT RequestId: {first.request_id}"))
    duration = re.search(r"Duration: ([\d.]+) ms", report)
    assert duration is not None and float(duration[1]) >= lasted_ms, "its time is the function's time"


def test_a_caller_who_asks_for_the_report_waits_for_extensions(server: Server, extension_held: Held) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.invoke, "with-slow")
        extension_held.wait(1)
        assert not answer.done()
        extension_held.let_go()
        assert "\nREPORT RequestId: " in answer.result().log


def test_an_extension_that_never_finishes_runs_into_the_functions_timeout(server: Server) -> None:
    answer = server.invoke("with-endless")
    assert answer.error is None, "the function had answered"
    assert re.search(r"\tDuration: 2000\.00 ms\t.*\tStatus: timeout\n$", answer.log)


def test_an_internal_extension(server: Server) -> None:
    answer = server.invoke("internal")
    assert answer.payload == {
        "refused": [403, {"errorMessage": answer.payload["refused"][1]["errorMessage"], "errorType": "Extension.InvalidEventType"}],
        "registered": {"functionName": "internal", "functionVersion": "$LATEST", "handler": "app.handler"},
        "late": [403, {"errorMessage": "Extension registration closed already", "errorType": "Extension.RegistrationClosed"}],
        "again": 403,
        "seen": 1,
    }
    assert server.invoke("internal").payload["seen"] == 2


@pytest.mark.parametrize(
    ("function", "kind", "reason"),
    [
        ("fault-before", "Extension.Crash", "exit status 3"),
        ("fault-init", "Extension.InitError", "Extension.NoConfig"),
        ("fault-invoke", "Extension.Crash", "exit code 0"),
        ("fault-exit", "Extension.ExitError", "Extension.Broken"),
    ],
)
def test_an_extension_that_fails(server: Server, function: str, kind: str, reason: str) -> None:
    for _ in range(2):  # the first time an environment is made, the second time it is reused after its reset
        answer = server.invoke(function, {"sleep": 5})
        assert (answer.status, answer.error) == (200, "Unhandled")
        assert answer.payload == {"errorType": kind, "errorMessage": f"RequestId: {answer.request_id} Error: {reason}"}
        assert answer.log.endswith(f"Status: error\tError Type: {kind}\n")


def test_a_server_that_ends_tells_extensions(tmp_path: Path, held: Held) -> None:
    with up(tmp_path, FUNCTIONS / "extensions" / "template.yaml", "--parameter", f"Runtime={RUNTIME}") as server:
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(server.invoke, "observed", {"held": held.port}) for _ in range(2)]
            held.wait(2)  # an environment for each
            held.let_go()
            assert not any(future.result().error for future in running)
        assert server.stop() == 0
        told = sorted(text for text in server.texts("observed", "extension") if text.startswith("shutdown:"))
        assert told == sorted(f"shutdown: {name} spindown True 1" for name in OBSERVERS for _ in range(2))
