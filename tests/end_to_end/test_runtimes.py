"""Node, Go and custom runtimes. Errors, environment and log lines are compared with what was recorded on AWS (2025-11 to 2026-01)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import MakeProject
from .running import MARKER, Server, run_cli, up

GO_SOURCE = Path(__file__).parents[1] / "project" / "go_hello"
NODE = f"nodejs{subprocess.run(['node', '-p', 'process.versions.node.split(`.`)[0]'], capture_output=True, text=True, check=True).stdout.strip()}.x"


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject) -> Iterator[Server]:
    folder = project("runtimes")
    binary = folder / "go" / "bootstrap"
    subprocess.run(["go", "build", "-o", str(binary), "."], cwd=GO_SOURCE, check=True)
    # What an aws-lambda-go of before the Runtime API built: the variable with the API's address is not in it.
    old = folder / "go-old" / "main"
    old.parent.mkdir()
    old.write_bytes(binary.read_bytes().replace(b"AWS_LAMBDA_RUNTIME_API", b"X" * 22))
    old.chmod(0o755)
    with up(home, folder / "template.yaml", "--parameter", f"Node={NODE}") as running:
        yield running


# Node -------------------------------------------------------------------------------------------------------------------------------------


def test_an_async_handler_and_an_environment_that_is_reused(server: Server) -> None:
    answers = [server.invoke("echo", {"n": n}).payload for n in range(3)]
    assert [a["event"] for a in answers] == [{"n": n} for n in range(3)]
    assert [a["calls"] for a in answers] == [1, 2, 3]
    assert 5_000 < answers[2]["remaining"] <= 10_000


def test_a_callback_and_no_result(server: Server) -> None:
    assert server.invoke("callback", {"a": 1}).payload == {"event": {"a": 1}, "by": "callback"}
    assert server.client.invoke(FunctionName="nothing")["Payload"].read() == b"null"


def test_an_ecmascript_module(server: Server) -> None:
    assert server.invoke("esm", {"a": 1}).payload == {"event": {"a": 1}, "loaded": "awaited at the top", "file": "file:///var/task/esm.mjs"}


def test_nodes_context_is_as_recorded(server: Server) -> None:
    context = "eyJjdXN0b20iOnsiZm9vIjoiYmFyIn0sImNsaWVudCI6eyJzbmFwIjpbImNyYWNrbGUiLCJwb3AiXX0sImVudiI6eyJmaXp6IjoiYnV6eiJ9fQ=="
    answer = server.invoke("context", ClientContext=context)
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", answer.payload.pop("logStreamName"))
    assert answer.payload == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionVersion": "$LATEST",
        "functionName": "context",
        "memoryLimitInMB": "128",
        "logGroupName": "/aws/lambda/context",
        "clientContext": {"custom": {"foo": "bar"}, "client": {"snap": ["crackle", "pop"]}, "env": {"fizz": "buzz"}},
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:context",
        "awsRequestId": answer.request_id,
    }


def test_nodes_environment_variables_are_those_recorded_on_aws(server: Server) -> None:
    seen = server.invoke("environment").payload
    seen.pop(MARKER)
    major = NODE.removeprefix("nodejs").removesuffix(".x")
    assert (
        seen.pop("NODE_PATH")
        == f"/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
    )
    assert (seen.pop("AWS_EXECUTION_ENV"), seen.pop("_HANDLER")) == (f"AWS_Lambda_{NODE}", "index.environment")
    assert seen.keys() == {
        *(
            "AWS_ACCESS_KEY_ID",
            "AWS_DEFAULT_REGION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
        ),
        *(
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_REGION",
        ),
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR"),
        *("LAMBDA_TASK_ROOT", "LANG", "LD_LIBRARY_PATH", "PATH", "PWD", "SHLVL", "TZ", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT"),
        "_X_AMZN_TRACE_ID",
    }


def test_the_console_writes_time_request_and_level(server: Server) -> None:
    answer = server.invoke("log", LogType="Tail")
    head = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{answer.request_id}"
    lines = answer.log.split("\n")
    assert any(re.fullmatch(rf"{head}\tINFO\ta line with 3 \{{\"x\":1\}}", line) for line in lines), answer.log
    assert any(re.fullmatch(rf"{head}\tERROR\tError: on purpose", line) for line in lines), answer.log
    assert any(re.fullmatch(rf"{head}\tWARN\twarned", line) for line in lines)
    assert any(re.fullmatch(rf"{head}\tDEBUG\t\{{ an: 'object' \}}", line) for line in lines)
    assert "raw" in lines


@pytest.mark.parametrize(
    ("function", "event", "expected"),
    [
        ("fail", {}, {"errorType": "RangeError", "errorMessage": "some_error_msg"}),
        ("fail-with-text", {}, {"errorType": "string", "errorMessage": "just text"}),
        ("reject", {}, {"errorType": "Runtime.UnhandledPromiseRejection", "errorMessage": "TypeError: nobody waits for this"}),
        ("uncaught", {}, {"errorType": "SyntaxError", "errorMessage": "thrown from a timer"}),
        ("broken", {}, {"errorType": "Error", "errorMessage": "while loading"}),
        ("missing", {}, {"errorType": "Runtime.HandlerNotFound", "errorMessage": "index.missing is undefined or not exported"}),
        (
            "exit",
            {"status": 0},
            {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: {} Error: Runtime exited without providing a reason"},
        ),
        (
            "exit",
            {"status": 5},
            {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: {} Error: Runtime exited with error: exit status 5"},
        ),
        ("large", {"bytes": 7 << 20}, {"errorType": "Function.ResponseSizeTooLarge"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nodes_errors(server: Server, function: str, event: object, expected: dict[str, str]) -> None:
    answer = server.invoke(function, event)
    assert (answer.status, answer.error) == (200, "Unhandled")
    found = {name: answer.payload.get(name) for name in expected}
    assert found == {name: text.format(answer.request_id) for name, text in expected.items()}
    if function in ("fail", "reject", "uncaught", "broken"):
        assert answer.payload["trace"][0].endswith(expected["errorMessage"].rpartition(": ")[2])
    assert server.invoke("echo").error is None


def test_a_large_answer(server: Server) -> None:
    assert len(server.invoke("large", {"bytes": 6_291_556}).payload) == 6_291_554


# Streaming --------------------------------------------------------------------------------------------------------------------------------


def streamed(server: Server, **event: object) -> tuple[list[bytes], dict[str, Any]]:
    """The chunks of a streamed response, and what InvokeComplete says."""
    response = server.client.invoke_with_response_stream(FunctionName="stream", Payload=json.dumps(event))
    chunks: list[bytes] = []
    complete: dict[str, Any] = {}
    for part in response["EventStream"]:
        chunks += [part["PayloadChunk"]["Payload"]] if "PayloadChunk" in part else []
        complete = part.get("InvokeComplete", complete)
    return chunks, complete


def test_a_streamed_response_comes_in_parts(server: Server) -> None:
    chunks, complete = streamed(server, parts=5, pause=150)
    text = b"".join(chunks).decode().splitlines()
    assert [line.split(" of ")[0] for line in text] == [f"part {n}" for n in range(5)]
    assert len(chunks) >= 2, "they were sent as they were written"
    assert not complete.get("ErrorCode")


def test_an_error_while_streaming_ends_the_stream(server: Server) -> None:
    chunks, complete = streamed(server, parts=5, failAt=2)
    assert b"part 2" in b"".join(chunks)
    assert complete["ErrorCode"] == "Error" or complete["ErrorCode"].startswith("Function."), complete
    assert "in the middle" in complete["ErrorDetails"]


def test_a_stream_that_hangs_times_out(server: Server) -> None:
    server.client.update_function_configuration(FunctionName="stream", Timeout=3)
    chunks, complete = streamed(server, parts=1, hang=True)
    assert b"part 0" in b"".join(chunks)
    assert "Task timed out after 3.00 seconds" in complete["ErrorDetails"]
    assert len(streamed(server, parts=3)[0]) >= 1


def test_a_streaming_function_invoked_without_streaming(server: Server) -> None:
    answer = server.invoke("stream", {"parts": 3})
    assert answer.error is None and answer.payload.count(b"part") == 3


# Go and others ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["go", "go-old"])
def test_a_go_function(server: Server, function: str) -> None:
    for number in (1, 2, 3):
        answer = server.invoke(function, {"key": "a key"}, ClientContext="eyJjdXN0b20iOnsid2hvIjoibWUifX0=")
        assert answer.payload.pop("deadline") > 1_700_000_000_000
        assert answer.payload.pop("trace").startswith("Root=1-")
        assert answer.payload == {
            "key": "a key",
            "request_id": answer.request_id,
            "arn": f"arn:aws:lambda:us-east-1:123456789012:function:{function}",
            "client": "me",
            "identity": "",
            "server_port": function == "go-old",
            "invocations": number,
            "function_name": function,
        }
    failed = server.invoke(function, {"fail": "Error: some_error_msg"})
    assert (failed.error, failed.payload) == ("Unhandled", {"errorMessage": "Error: some_error_msg", "errorType": "errorString"})
    assert server.invoke(function, {"panic": "at the disco"}).payload["errorMessage"] == "at the disco"
    assert server.invoke(function, {"key": "again"}).payload["invocations"] == 1, "a panic ends the process"


def test_a_custom_runtime_in_shell(server: Server) -> None:
    first = server.invoke("shell", {"a": 1}, LogType="Tail")
    assert first.payload == {"event": {"a": 1}, "id": first.request_id, "calls": 1, "handler": "any.thing", "pid": first.payload["pid"]}
    failed = server.invoke("shell", {"fail": True})
    assert (failed.error, failed.payload) == ("Unhandled", {"errorMessage": "told to", "errorType": "Shell.Failed", "stackTrace": ["here"]})
    again = server.invoke("shell")
    assert (again.payload["calls"], again.payload["pid"]) == (3, first.payload["pid"])
    assert server.texts("shell") == ["the init of a shell"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\nexit 127\n", "Runtime exited with error: exit status 127"),
        ("#!/no/such/interpreter\n", "no such file or directory"),
        ("\x00\x01 neither script nor binary", "exec format error"),
    ],
    ids=["exits", "no interpreter", "no program"],
)
def test_a_bootstrap_that_cannot_run(tmp_path: Path, script: str, reason: str) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    shutil.copy(shutil.which("true") or "/bin/true", folder / "bootstrap")
    (folder / "bootstrap").write_text(script)
    (tmp_path / "home").mkdir()
    done = run_cli(tmp_path / "home", "invoke", str(folder), "--handler", "x", "--runtime", "provided.al2023", "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["functionError"]) == (1, "Unhandled")
    assert said["payload"]["errorType"] in ("Runtime.ExitError", "Runtime.InvalidEntrypoint")
    assert reason in said["payload"]["errorMessage"]
