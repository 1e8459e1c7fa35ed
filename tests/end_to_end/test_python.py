"""Python functions that do well: results, context, environment, logs. What is compared with was recorded on AWS (2025-11 to 2026-02)."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import MakeProject
from .running import MARKER, RUNTIME, Server, up

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
STREAM = r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}"
NUMBER = r"\d+\.\d\d"


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject) -> Iterator[Server]:
    with up(home, project("python") / "template.yaml", "--parameter", f"Runtime={RUNTIME}") as running:
        yield running


@pytest.mark.parametrize("event", [{}, [], None, 0, "text", {"nested": [1, {"ä": "€🙂\u2028"}]}, -1.5e300, {"a": None}], ids=repr)
def test_an_event_comes_back_as_it_was(server: Server, event: object) -> None:
    answer = server.invoke("behave", b"null" if event is None else event)
    assert (answer.status, answer.error, answer.payload, answer.version) == (200, None, event, "$LATEST")


def test_no_payload_at_all_is_an_empty_object(server: Server) -> None:
    assert server.client.invoke(FunctionName="behave")["Payload"].read() == b"{}"


def test_an_environment_is_reused(server: Server) -> None:
    first = server.invoke("small", {"do": "count"})
    assert [server.invoke("small", {"do": "count"}).payload for _ in range(3)] == [first.payload + n for n in (1, 2, 3)]


def test_the_log_tail_is_as_recorded(server: Server) -> None:
    cold = server.invoke("one", {"do": "echo"}, LogType="Tail")
    warm = server.invoke("one", {"do": "echo"}, LogType="Tail")
    lines = (
        f"START RequestId: {{0}} Version: \\$LATEST\nEND RequestId: {{0}}\n"
        f"REPORT RequestId: {{0}}\tDuration: {NUMBER} ms\tBilled Duration: \\d+ ms\tMemory Size: 128 MB\tMax Memory Used: [1-9]\\d* MB\t"
    )
    assert re.fullmatch(lines.format(cold.request_id) + f"Init Duration: {NUMBER} ms\t\n", cold.log), cold.log
    assert re.fullmatch(lines.format(warm.request_id) + "\n", warm.log), warm.log
    assert re.fullmatch(UUID, cold.request_id)
    start = server.texts("one", "platform.initStart")
    assert len(start) == 1 and re.fullmatch(
        r"INIT_START Runtime Version: python:3\.\d+\.\S+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:\S+", start[0]
    )


def test_what_a_function_prints_is_logged_line_by_line(server: Server) -> None:
    answer = server.invoke("behave", {"do": "chat"}, LogType="Tail")
    said = answer.log.split("\n")[1:-3]
    assert said[:4] == ["multi", "line", "string", "another\rline"]
    assert "on standard error" in said
    message = next(line for line in said if line.startswith("[INFO]"))
    assert re.fullmatch(
        rf"\[INFO\]\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{answer.request_id}\ta message of the logging module", message
    )


def test_a_log_tail_is_the_last_four_kilobytes(server: Server) -> None:
    answer = server.invoke("behave", {"do": "flood", "lines": 2000}, LogType="Tail")
    assert len(answer.log.encode()) == 4096
    assert f"END RequestId: {answer.request_id}\n" in answer.log and "001999 x" in answer.log
    assert len([line for line in server.until_logged("behave", "x" * 92, 2000) if line[6] == " "]) == 2000


def test_bytes_that_are_no_text_do_not_break_the_log(server: Server) -> None:
    answer = server.invoke("behave", {"do": "bytes_of", "data": "//4AgP8K/w=="}, LogType="Tail")
    assert answer.error is None and f"END RequestId: {answer.request_id}" in answer.log


def test_the_context_is_as_recorded(server: Server) -> None:
    context = server.invoke("behave", {"do": "describe_context"})
    assert re.fullmatch(STREAM, context.payload.pop("log_stream_name"))
    assert 25_000 < context.payload.pop("remaining") <= 30_000
    assert context.payload == {
        "function_name": "behave",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:behave",
        "memory_limit_in_mb": "128",
        "aws_request_id": context.request_id,
        "log_group_name": "/aws/lambda/behave",
        "identity": [None, None],
        "client_context": None,
    }


def test_a_qualified_name_is_in_the_arn_that_the_function_sees(server: Server) -> None:
    context = server.invoke("behave", {"do": "describe_context"}, Qualifier="$LATEST").payload
    assert context["invoked_function_arn"] == "arn:aws:lambda:us-east-1:123456789012:function:behave:$LATEST"


def test_the_client_context_reaches_the_function(server: Server) -> None:
    given = base64.b64encode(b'{"client": {"app_title": "an app"}, "custom": {"foo": "bar"}, "env": {"fizz": "buzz"}}').decode()
    context = server.invoke("behave", {"do": "describe_context"}, ClientContext=given).payload
    assert context["client_context"] == {"custom": {"foo": "bar"}, "env": {"fizz": "buzz"}, "app_title": "an app"}


def test_the_environment_variables_are_those_recorded_on_aws(server: Server) -> None:
    seen = server.invoke("behave", {"do": "environment"}).payload["now"]
    assert seen.pop(MARKER)
    for name, pattern in {
        "AWS_LAMBDA_LOG_STREAM_NAME": STREAM,
        "AWS_ACCESS_KEY_ID": r"ASIA\w{16}",
        "AWS_SECRET_ACCESS_KEY": r"\S{40}",
        "AWS_SESSION_TOKEN": r"\S+",
        "_X_AMZN_TRACE_ID": r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=\d+:[0-9a-f]{8}:\d+",
    }.items():
        assert re.fullmatch(pattern, seen.pop(name)), name
    recorded = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{RUNTIME}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": "behave",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/behave",
        "AWS_LAMBDA_RUNTIME_API": "169.254.100.1:9001",
        "AWS_REGION": "us-east-1",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LANG": "en_US.UTF-8",
        "PWD": "/var/task",
        "PYTHONPATH": "/var/runtime",
        "SHLVL": "0",
        "TEST_KEY": "TEST_VAL",
        "TZ": ":UTC",
        "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "_HANDLER": "behave.handler",
    }
    if sys.version_info >= (3, 12):
        recorded["LC_CTYPE"] = "C.UTF-8"
    # The interpreter is the machine's, and AWS's paths for it cannot be kept; all else on these paths is AWS's.
    assert seen.pop("PATH").endswith("/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin")
    assert seen.pop("LD_LIBRARY_PATH").endswith("/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib")
    assert seen == recorded


def test_the_trace_id_is_new_for_each_invocation_and_the_callers_where_it_sends_one(server: Server) -> None:
    def trace() -> str:
        return str(server.invoke("behave", {"do": "environment"}).payload["now"]["_X_AMZN_TRACE_ID"])

    assert trace() != trace()
    sent = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    _, _, body = server.http("POST", "/2015-03-31/functions/behave/invocations", b'{"do": "environment"}', {"X-Amzn-Trace-Id": sent})
    assert sent.encode() in body


def test_user_folder_zone_and_limits(server: Server) -> None:
    seen = server.invoke("behave", {"do": "introspect"}).payload
    assert seen["user"] == seen["whoami"] == "sbx_user1051"
    assert seen["uid"] != 0
    assert (seen["cwd"], seen["zone"]) == ("/var/task", "UTC")
    assert seen["limits"]["RLIMIT_NOFILE"] == [1024, 1024]
    assert {path: mode for path, (mode, _) in seen["paths"].items()} == {
        "/var/task": "drwxr-xr-x",
        "/opt": "drwxr-xr-x",
        "/tmp": "drwxrwxrwt",
    }


def test_no_module_of_a_pre_started_runtime_can_be_told(server: Server) -> None:
    """A prepared environment waits with AWS's client imported; the same modules are there when nothing was prepared."""
    modules = set(server.invoke("behave", {"do": "introspect"}).payload["modules"])
    assert "frostline" not in modules
    assert "boto3" not in modules, "a function that imports boto3 pays for it, as on AWS"
