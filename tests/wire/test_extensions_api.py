"""The Extensions API, as an extension speaks it. Statuses, types and messages are RIE's."""

from __future__ import annotations

import pytest

from frostline.core.effects import Accepted, NextInvoke, NextShutdown, Registered
from frostline.core.events import Event, ExtensionExitFailed, ExtensionInitFailed, ExtensionNext, ExtensionRegister

from .dialogue import EXTENSION, Process, request

REGISTER = "/2020-01-01/extension/register"
NEXT = "/2020-01-01/extension/event/next"
IDENTIFIED = [("Lambda-Extension-Identifier", EXTENSION)]


def refused(data: bytes) -> tuple[int, object]:
    process = Process()
    assert process.send(data) == []
    answer = process.read()
    return answer.status, answer.json()


def test_registration() -> None:
    process = Process()
    event = process.send_one(request("POST", REGISTER, [("Lambda-Extension-Name", "x.sh")], b'{"events":["INVOKE","SHUTDOWN"]}'))
    assert event == ExtensionRegister("e1", 1, name="x.sh", events=("INVOKE", "SHUTDOWN"))
    process.answer(1, Registered(extension_id=EXTENSION, function_name="f", function_version="$LATEST", handler="app.handler"))
    answer = process.read()
    assert answer.status == 200
    assert answer.headers["lambda-extension-identifier"] == EXTENSION
    assert answer.json() == {"functionName": "f", "functionVersion": "$LATEST", "handler": "app.handler"}


def test_registration_with_the_account_id() -> None:
    process = Process()
    headers = [("Lambda-Extension-Name", "x"), ("Lambda-Extension-Accept-Feature", "other, accountId")]
    event = process.send_one(request("POST", REGISTER, headers, b"{}"))
    assert event == ExtensionRegister("e1", 1, name="x", events=(), account_id_wanted=True)
    process.answer(1, Registered(extension_id=EXTENSION, function_name="f", function_version="1", handler="h", account_id="123456789012"))
    assert process.read().json() == {"accountId": "123456789012", "functionName": "f", "functionVersion": "1", "handler": "h"}


def test_registration_needs_a_name() -> None:
    expected = {"errorMessage": "Empty extension name", "errorType": "Extension.InvalidExtensionName"}
    assert refused(request("POST", REGISTER, [], b"{}")) == (403, expected)


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'{"events":"INVOKE"}', b'{"events":[1]}', b'{"configurationKeys":["a"]}', b"[" * 9000])
def test_registration_needs_a_body_of_the_right_form(body: bytes) -> None:
    status, answer = refused(request("POST", REGISTER, [("Lambda-Extension-Name", "x")], body))
    assert status == 403 and isinstance(answer, dict) and answer["errorType"] == "InvalidRequestFormat"


def test_next_gets_the_invoke_event() -> None:
    process = Process()
    assert process.send(request("GET", NEXT, IDENTIFIED)) == [ExtensionNext("e1", 1, extension_id=EXTENSION)]
    process.answer(1, NextInvoke(event_id="ev", request_id="r", deadline_ms=676051, function_arn="arn:f", trace_id="Root=1"))
    answer = process.read()
    assert answer.headers["lambda-extension-event-identifier"] == "ev"
    assert answer.json() == {
        "eventType": "INVOKE",
        "deadlineMs": 676051,
        "requestId": "r",
        "invokedFunctionArn": "arn:f",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"},
    }


def test_an_invoke_event_without_a_trace_has_no_tracing() -> None:
    process = Process()
    process.send(request("GET", NEXT, IDENTIFIED))
    process.answer(1, NextInvoke(event_id="ev", request_id="r", deadline_ms=1, function_arn="arn:f"))
    answer = process.read().json()
    assert isinstance(answer, dict) and "tracing" not in answer


def test_next_gets_the_shutdown_event() -> None:
    process = Process()
    process.send(request("GET", NEXT, IDENTIFIED))
    process.answer(1, NextShutdown(event_id="ev", reason="timeout", deadline_ms=5))
    assert process.read().json() == {"eventType": "SHUTDOWN", "shutdownReason": "timeout", "deadlineMs": 5}


@pytest.mark.parametrize("path", [NEXT, "/2020-01-01/extension/init/error", "/2020-01-01/extension/exit/error", "/2022-07-01/telemetry"])
@pytest.mark.parametrize(
    ("headers", "error_type", "message"),
    [
        ([], "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        ([("Lambda-Extension-Identifier", "abc")], "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
    ],
)
def test_everything_but_registration_needs_an_identifier(path: str, headers: list[tuple[str, str]], error_type: str, message: str) -> None:
    method = "GET" if path == NEXT else "PUT" if "telemetry" in path else "POST"
    assert refused(request(method, path, headers)) == (403, {"errorMessage": message, "errorType": error_type})


@pytest.mark.parametrize(
    "spelling",
    [EXTENSION.upper(), EXTENSION.replace("-", ""), f"{{{EXTENSION}}}", f"urn:uuid:{EXTENSION}"],
    ids=["upper", "bare", "braces", "urn"],
)
def test_an_identifier_in_another_spelling_is_the_same(spelling: str) -> None:
    event = Process().send_one(request("GET", NEXT, [("Lambda-Extension-Identifier", spelling)]))
    assert event == ExtensionNext("e1", 1, extension_id=EXTENSION)


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("init", ExtensionInitFailed("e1", 1, extension_id=EXTENSION, error_type="Extension.Broken")),
        ("exit", ExtensionExitFailed("e1", 1, extension_id=EXTENSION, error_type="Extension.Broken")),
    ],
)
def test_an_extension_reports_its_failure(path: str, event: Event) -> None:
    process = Process()
    headers = [*IDENTIFIED, ("Lambda-Extension-Function-Error-Type", "Extension.Broken")]
    assert process.send_one(request("POST", f"/2020-01-01/extension/{path}/error", headers, b'{"errorMessage":"x"}')) == event
    process.answer(1, Accepted())
    assert process.read().status == 202


def test_a_failure_needs_a_type() -> None:
    expected = {"errorMessage": "Lambda-Extension-Function-Error-Type not found", "errorType": "Extension.MissingHeader"}
    assert refused(request("POST", "/2020-01-01/extension/exit/error", IDENTIFIED)) == (403, expected)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", REGISTER, 405),
        ("POST", NEXT, 405),
        ("GET", "/2020-01-01/extension/init/error", 405),
        ("GET", "/2020-01-01/extension/other", 404),
        ("GET", "/2020-01-01/other", 404),
    ],
)
def test_unknown_paths_and_methods(method: str, path: str, status: int) -> None:
    process = Process()
    assert process.send(request(method, path)) == []
    assert process.read().status == status
