"""The Invoke API as boto3, the AWS CLI and plain HTTP use it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import MakeProject
from .running import MARKER, RUNTIME, Held, Server, run_cli, up

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
NOT_UTF_8 = (
    "Could not parse request body into json: Could not parse payload into json: Invalid UTF-8 start byte 0x87\n"
    " at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 3]"
)
PATH = "/2015-03-31/functions/{}/invocations"


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject) -> Iterator[Server]:
    with up(home, project("python") / "template.yaml", "--parameter", f"Runtime={RUNTIME}", "--retry-delay", "50ms") as running:
        yield running


def refusal(server: Server, operation: str, **arguments: Any) -> dict[str, Any]:
    """boto3's error, as a dictionary."""
    with pytest.raises(ClientError) as caught:
        getattr(server.client, operation)(**arguments)
    return dict(caught.value.response)


# Invoke -----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["behave", "behave:$LATEST", f"{ARN}behave", f"{ARN}behave:$LATEST", "123456789012:function:behave", "function:behave"]
)
def test_every_way_to_name_a_function(server: Server, name: str) -> None:
    assert server.invoke(name, {"a": 1}).payload == {"a": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "status", "message"),
    [
        ({"FunctionName": "doesnotexist"}, "ResourceNotFoundException", 404, f"Function not found: {ARN}doesnotexist:$LATEST"),
        ({"FunctionName": "behave", "Qualifier": "1"}, "ResourceNotFoundException", 404, f"Function not found: {ARN}behave:1"),
        (
            {"FunctionName": "behave:$LATEST", "Qualifier": "1"},
            "InvalidParameterValueException",
            400,
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
        ({"FunctionName": "behave", "Payload": b"nope"}, "InvalidRequestContentException", 400, "Could not parse request body into json: "),
        (
            {"FunctionName": "behave", "Payload": b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt"},
            "InvalidRequestContentException",
            400,
            NOT_UTF_8,
        ),
        (
            {"FunctionName": "behave", "Payload": b'"' + b"a" * (7 << 20) + b'"'},
            "RequestEntityTooLargeException",
            413,
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        (
            {"FunctionName": "behave", "InvocationType": "Wrong"},
            "ValidationException",
            400,
            "1 validation error detected: Value 'Wrong' at 'invocationType'",
        ),
        ({"FunctionName": "behave", "ClientContext": "not base64!"}, "InvalidRequestContentException", 400, ""),
        (
            {"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:behave"},
            "ResourceNotFoundException",
            404,
            "Functions from 'eu-west-1' are not reachable",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_invoked(server: Server, arguments: dict[str, Any], code: str, status: int, message: str) -> None:
    error = refusal(server, "invoke", **arguments)
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert error["Error"]["Message"].startswith(message)


def test_six_megabytes_go_in_and_out(server: Server) -> None:
    text = "a" * (6 * 1024 * 1024 - 2)
    assert server.invoke("behave", json.dumps(text).encode()).payload == text


def test_a_dry_run_runs_nothing(server: Server) -> None:
    answer = server.invoke("no-module", InvocationType="DryRun")
    assert (answer.status, answer.error, answer.payload, answer.version) == (204, None, b"", None)
    assert not server.log("no-module")


def test_an_event_is_accepted_and_tried_three_times(server: Server) -> None:
    answer = server.invoke("conversation", {"key": "thrice", "failures": 9}, InvocationType="Event")
    assert (answer.status, answer.error, answer.payload, answer.version) == (202, None, b"", None)
    attempts = server.until_logged("conversation", "attempt thrice", 3)
    assert [text.split()[2:4] for text in attempts] == [[str(n), answer.request_id] for n in (1, 2, 3)]
    # The queue is empty now: what is asked next would come after a fourth attempt.
    server.invoke("conversation", {"key": "marker", "failures": 0}, InvocationType="Event")
    server.until_logged("conversation", "attempt marker")
    assert len(server.until_logged("conversation", "attempt thrice")) == 3


def test_an_event_is_not_tried_again_after_a_success(server: Server) -> None:
    answer = server.invoke("conversation", {"key": "twice", "failures": 1}, InvocationType="Event")
    server.until_logged("conversation", "attempt twice 2")
    server.until_logged("conversation", f"REPORT RequestId: {answer.request_id}", 2)
    server.invoke("conversation", {"key": "after", "failures": 0}, InvocationType="Event")
    server.until_logged("conversation", "attempt after")
    assert len(server.until_logged("conversation", "attempt twice")) == 2


def test_an_event_may_be_one_megabyte_and_no_more(server: Server) -> None:
    assert server.invoke("behave", json.dumps("a" * (1024 * 1024 - 2)).encode(), InvocationType="Event").status == 202
    error = refusal(server, "invoke", FunctionName="behave", InvocationType="Event", Payload=json.dumps("a" * 1024 * 1024))
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("RequestEntityTooLargeException", 413)


def test_over_the_reserved_concurrency_there_are_429s(server: Server, home: Path) -> None:
    """One at a time is reserved: while an invocation holds the environment, others are refused and none is queued."""
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.invoke, "gate", {"wait": True})
        server.until_logged("gate", "waiting")
        errors = [refusal(server, "invoke", FunctionName="gate") for _ in range(5)]
        queued = server.invoke("gate", {"queued": True}, InvocationType="Event")
        (home / "python" / "opened").touch()  # it sees its folder, and is not disturbed by what an edit would mean for the next one
        assert held.result().payload == "opened"
    assert queued.status == 202
    for error in errors:
        assert error["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
        assert (error["Reason"], error["Type"], error["ResponseMetadata"]["HTTPStatusCode"]) == (
            "ReservedFunctionConcurrentInvocationLimitExceeded",
            "User",
            429,
        )
    server.until_logged("gate", "queued")
    assert server.invoke("gate").payload == "free"


def test_as_many_environments_as_invocations_at_once(server: Server, held: Held) -> None:
    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(server.invoke, "behave", {"do": "held", "port": held.port}) for _ in range(6)]
        held.wait(6)
        held.let_go()
        assert [invocation.result().error for invocation in running] == [None] * 6
    assert 6 <= len(server.environments("behave")) <= 10


# Functions --------------------------------------------------------------------------------------------------------------------------------


def test_functions_are_listed(server: Server) -> None:
    listed = server.client.list_functions()["Functions"]
    assert sorted(f["FunctionName"] for f in listed) == sorted(server.started["functions"])
    paged = [
        f["FunctionName"]
        for page in server.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
        for f in page["Functions"]
    ]
    assert sorted(paged) == sorted(server.started["functions"])


def test_a_function_is_described_as_recorded(server: Server) -> None:
    described = server.client.get_function(FunctionName="behave")
    found = described["Configuration"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", found.pop("LastModified"))
    assert len(base64.b64decode(found.pop("CodeSha256"))) == 32
    assert found.pop("CodeSize") > 0
    assert re.fullmatch(r"[0-9a-f-]{36}", found.pop("RevisionId"))
    assert found.pop("Role").startswith("arn:aws:iam::123456789012:role/")
    assert found.pop("Environment")["Variables"].keys() == {"TEST_KEY", MARKER}
    found.pop("RuntimeVersionConfig", None)
    assert found == {
        "Architectures": ["x86_64"],
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": f"{ARN}behave",
        "FunctionName": "behave",
        "Handler": "behave.handler",
        "LastUpdateStatus": "Successful",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/behave"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Runtime": RUNTIME,
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Active",
        "Timeout": 30,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    }
    assert described["Code"]["RepositoryType"] == "S3"
    assert server.client.get_function_configuration(FunctionName="one", Qualifier="$LATEST")["FunctionArn"] == f"{ARN}one:$LATEST"
    assert refusal(server, "get_function", FunctionName="none")["Error"]["Message"] == f"Function not found: {ARN}none"


def test_a_changed_configuration_is_the_next_invocations(server: Server) -> None:
    before = server.client.get_function_configuration(FunctionName="one")
    server.invoke("one", {"do": "write", "name": "mark", "text": "old environment"})
    changed = server.client.update_function_configuration(
        FunctionName="one",
        Timeout=7,
        MemorySize=256,
        Environment={"Variables": {"ADDED": "1", MARKER: server.marker}},
        Description="changed",
    )
    assert (changed["Timeout"], changed["MemorySize"], changed["Description"], changed["LastUpdateStatus"]) == (
        7,
        256,
        "changed",
        "Successful",
    )
    assert changed["RevisionId"] != before["RevisionId"]
    assert server.invoke("one", {"do": "environment"}).payload["now"]["ADDED"] == "1"
    assert server.invoke("one", {"do": "describe_context"}).payload["memory_limit_in_mb"] == "256"
    assert server.invoke("one", {"do": "read", "name": "mark"}).payload["text"] is None
    server.client.get_waiter("function_updated_v2").wait(FunctionName="one")
    error = refusal(server, "update_function_configuration", FunctionName="one", Timeout=901)
    assert error["Error"]["Code"] == "ValidationException"
    error = refusal(server, "update_function_configuration", FunctionName="one", Environment={"Variables": {"AWS_REGION": "x"}})
    assert error["Error"]["Code"] == "InvalidParameterValueException"
    assert "AWS_REGION" in error["Error"]["Message"]


def test_what_is_not_there_says_so(server: Server) -> None:
    error = refusal(server, "create_function", FunctionName="new", Role="r", Code={"ZipFile": b""})
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert "CreateFunction" in error["Error"]["Message"] or "frostline" in error["Error"]["Message"].lower()


# Without an SDK ---------------------------------------------------------------------------------------------------------------------------


def test_plain_http_as_curl_sends_it(server: Server) -> None:
    status, headers, body = server.http("POST", PATH.format("behave"), b'{"a": 1}', {"Content-Type": "application/x-www-form-urlencoded"})
    assert (status, body, headers["x-amz-executed-version"]) == (200, b'{"a": 1}', "$LATEST")
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-amzn-requestid"])


def test_the_emulators_path_needs_a_single_function(server: Server) -> None:
    status, _, body = server.http("POST", PATH.format("function"), b"{}")
    assert status == 404
    assert "function" in body.decode()


def test_requests_that_are_none(server: Server) -> None:
    for method, path, body in (
        ("GET", "/", None),
        ("PUT", PATH.format("behave"), b"{}"),
        ("POST", "/2015-03-31/functions/%ff/invocations", b"{}"),
        ("DELETE", "/x" * 4000, None),
    ):
        status, _, answer = server.http(method, path, body)
        assert 400 <= status < 500, (method, path)
        assert b"Traceback" not in answer
    assert server.invoke("behave", {"still": "there"}).payload == {"still": "there"}


def test_the_command_line_invokes_what_runs(server: Server, home: Path) -> None:
    (home / "event.json").write_text('{"from": "file"}')
    port = ("--port", str(server.port))
    for arguments, stdin, expected in (
        (("--event", '{"a": 1}'), b"", {"a": 1}),
        (("--event", "@event.json"), b"", {"from": "file"}),
        (("--event", "-"), b'{"from": "stdin"}', {"from": "stdin"}),
        ((), b"", {}),
    ):
        done = run_cli(home, "invoke", "behave", *port, *arguments, stdin=stdin)
        assert (done.returncode, json.loads(done.stdout)) == (0, expected), done.stderr
        assert b"REPORT RequestId" in done.stderr
    failed = run_cli(home, "invoke", "behave", *port, "--json", "--event", '{"do": "fail"}')
    said = json.loads(failed.stdout)
    assert (failed.returncode, said["functionError"], said["payload"]["errorType"]) == (1, "Unhandled", "CustomException")
    assert run_cli(home, "invoke", "behave", *port, "--asynchronous").returncode == 0
    lines = [json.loads(line) for line in run_cli(home, "logs", "behave", *port, "--json", "--lines", "5").stdout.splitlines()]
    assert len(lines) == 5 and {line["function"] for line in lines} == {"behave"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing-like-this",), "Function not found"),
        (("behave", "--event", "{not json"), "is not JSON"),
        (("behave", "--event", "@none.json"), "none.json"),
        (("behave", "--endpoint", "http://127.0.0.1:1"), "no `frostline up` answers"),
    ],
)
def test_the_command_line_says_in_one_line_what_is_wrong(server: Server, home: Path, arguments: tuple[str, ...], said: str) -> None:
    where = () if "--endpoint" in arguments else ("--port", str(server.port))
    done = run_cli(home, "invoke", *arguments, *where)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert said in line
