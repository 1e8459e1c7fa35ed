"""Python functions that fail. Payloads, statuses and log lines are compared with what was recorded on AWS (2024-04 to 2026-03)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import MakeProject
from .running import RUNTIME, Answer, Server, up

STACK_OF_AN_INIT = r'  File ".*/importlib/__init__\.py", line \d+, in import_module\n    return _bootstrap\._gcd_import\(name\[level:\], package, level\)\n'


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject) -> Iterator[Server]:
    folder = project("python", syntax__py="def handler(event, context)\n    return 1\n")
    with up(home, folder / "template.yaml", "--parameter", f"Runtime={RUNTIME}") as running:
        yield running


def report(answer: Answer) -> str:
    """What stands in the REPORT line after the memory."""
    found = re.search(
        r"\nREPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: \d+ MB\tMax Memory Used: \d+ MB\t(.*\n)$",
        answer.log,
    )
    assert found is not None, answer.log
    return re.sub(r"Init Duration: [\d.]+ ms", "Init Duration: N ms", found[1])


def test_an_exception(server: Server) -> None:
    server.invoke("behave")
    answer = server.invoke("behave", {"do": "fail"}, LogType="Tail")
    assert (answer.status, answer.error, answer.version) == (200, "Unhandled", "$LATEST")
    stack = answer.payload.pop("stackTrace")
    assert answer.payload == {"errorMessage": "some error occurred", "errorType": "CustomException", "requestId": answer.request_id}
    assert re.fullmatch(
        r'  File "/var/task/behave\.py", line \d+, in fail\n    raise CustomException\("some error occurred"\)\n', stack[-1]
    )
    nbsp = "\N{NO-BREAK SPACE}"
    assert "[ERROR] CustomException: some error occurred\nTraceback (most recent call last):\n" in answer.log
    assert re.search(
        rf'\n{nbsp}{nbsp}File "/var/task/behave\.py", line \d+, in fail\n{nbsp * 4}raise CustomException\("some error occurred"\)\nEND RequestId',
        answer.log,
    )
    assert report(answer) == "\n"


def test_an_exception_leaves_the_environment_as_it_was(server: Server) -> None:
    before = server.invoke("behave", {"do": "read", "name": "none"}).payload["pid"]
    server.invoke("behave", {"do": "fail"})
    assert server.invoke("behave", {"do": "read", "name": "none"}).payload["pid"] == before


def test_a_result_that_is_no_json(server: Server) -> None:
    answer = server.invoke("behave", {"do": "unserializable"})
    assert answer.error == "Unhandled"
    assert answer.payload == {
        "errorMessage": "Unable to marshal response: Object of type set is not JSON serializable",
        "errorType": "Runtime.MarshalError",
        "requestId": answer.request_id,
        "stackTrace": [],
    }


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"do": "leave"}, "Runtime exited without providing a reason"),
        ({"do": "leave", "status": 1}, "Runtime exited with error: exit status 1"),
        ({"do": "leave_at_once", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "crash"}, "Runtime exited with error: signal: segmentation fault"),
        ({"do": "killed"}, "Runtime exited with error: signal: killed"),
    ],
    ids=["sys.exit()", "sys.exit(1)", "os._exit(3)", "segmentation fault", "SIGKILL"],
)
def test_a_runtime_that_exits(server: Server, event: object, reason: str) -> None:
    server.invoke("behave", {"do": "write", "name": "kept", "text": "still here"})
    server.invoke("behave", {"do": "count"})
    answer = server.invoke("behave", event, LogType="Tail")
    assert (answer.status, answer.error) == (200, "Unhandled")
    assert answer.payload == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {answer.request_id} Error: {reason}"}
    assert report(answer) == "Status: error\tError Type: Runtime.ExitError\n"
    if "last words" in str(event):
        assert "\nlast words\n" in answer.log
    after = server.invoke("behave", {"do": "read", "name": "kept"}, LogType="Tail")
    assert (after.payload["text"], after.payload["calls"]) == ("still here", 0)
    assert report(after) == "\n", "a suppressed init has no init duration"


def test_memory_runs_out(server: Server) -> None:
    server.invoke("small", {"do": "write", "name": "kept", "text": "still here"})
    answer = server.invoke("small", {"do": "eat"}, LogType="Tail")
    assert answer.error == "Unhandled"
    assert answer.payload == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": f"RequestId: {answer.request_id} Error: Runtime exited with error: signal: killed",
    }
    assert report(answer) == "Status: error\tError Type: Runtime.OutOfMemory\n"
    assert "Max Memory Used: 128 MB" in answer.log
    assert server.invoke("small", {"do": "read", "name": "kept"}).payload["text"] == "still here"


def test_a_timeout_resets_the_globals_and_keeps_tmp(server: Server) -> None:
    server.invoke("brief", {"do": "write", "name": "kept", "text": "some-content"})
    counted = server.invoke("brief", {"do": "count"}).payload
    assert server.invoke("brief", {"do": "read", "name": "kept"}).payload["calls"] == counted > 0
    where = server.environments("brief")
    answer = server.invoke("brief", {"do": "sleep", "seconds": 20}, LogType="Tail")
    assert (answer.status, answer.error) == (200, "Unhandled")
    assert answer.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {answer.request_id} Error: Task timed out after 3.00 seconds",
    }
    assert "\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t" in answer.log
    assert report(answer) == "Status: timeout\n"
    after = server.invoke("brief", {"do": "read", "name": "kept"}).payload
    assert (after["text"], after["calls"]) == ("some-content", 0)
    assert [e["logStream"] for e in server.environments("brief")] == [e["logStream"] for e in where], "the same environment"


def test_a_response_that_is_too_large(server: Server) -> None:
    for _ in range(2):  # the second time, to see that nothing was broken
        answer = server.invoke("behave", {"do": "large", "bytes": 7 << 20})
        assert (answer.status, answer.error) == (200, "Unhandled")
        assert answer.payload == {
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    assert server.invoke("behave", {"do": "large", "bytes": 6291556}).error is None
    assert server.invoke("behave", {"do": "large", "bytes": 6291557}).error == "Unhandled"


def test_an_init_that_raises_is_tried_again_within_the_invocation(server: Server) -> None:
    answer = server.invoke("init-raises", LogType="Tail")
    assert (answer.status, answer.error) == (200, "Unhandled")
    stack = answer.payload.pop("stackTrace")
    assert answer.payload == {"errorMessage": "Runtime startup fails", "errorType": "Exception", "requestId": ""}
    assert re.fullmatch(STACK_OF_AN_INIT, stack[0])
    assert stack[-1] == '  File "/var/task/init_raises.py", line 3, in <module>\n    raise Exception("Runtime startup fails")\n'
    assert len([text for text in server.texts("init-raises") if text == "static code runs"]) == 2
    phases = [re.search(r"Phase: (\w+)\tStatus: (\w+)", text) for text in server.texts("init-raises", "platform.initReport")]
    assert [found and found.groups() for found in phases] == [("init", "error"), ("invoke", "error")]
    assert "Init Duration" not in report(answer)
    server.invoke("init-raises")
    assert len([text for text in server.texts("init-raises") if text == "static code runs"]) == 3


def test_an_init_that_exits(server: Server) -> None:
    answer = server.invoke("init-exits")
    assert answer.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {answer.request_id} Error: Runtime exited without providing a reason",
    }


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("syntax", "Runtime.UserCodeSyntaxError", r"Syntax error in module 'syntax': .*\(syntax\.py, line 1\)"),
        ("no-module", "Runtime.ImportModuleError", r"Unable to import module 'nowhere': No module named 'nowhere'"),
        ("no-handler", "Runtime.HandlerNotFound", r"Handler 'nothing' missing on module 'behave'"),
    ],
)
def test_code_that_cannot_be_loaded(server: Server, function: str, kind: str, message: str) -> None:
    answer = server.invoke(function)
    assert (answer.error, answer.payload["errorType"], answer.payload["requestId"]) == ("Unhandled", kind, "")
    assert re.fullmatch(message, answer.payload["errorMessage"])


def test_an_init_that_takes_more_than_ten_seconds_is_tried_again(server: Server) -> None:
    """AWS's limit cannot be configured there, and neither can it here, so this is the one test that takes as long."""
    answer = server.invoke("init-slow", LogType="Tail")
    assert (answer.error, answer.payload) == (None, "initialized")
    (first,) = server.texts("init-slow", "platform.initReport")
    took = re.fullmatch(r"INIT_REPORT Init Duration: (\d+\.\d\d) ms\tPhase: init\tStatus: timeout", first)
    assert took is not None and 9_900 < float(took[1]) < 20_000
    assert "Init Duration" not in report(answer)
