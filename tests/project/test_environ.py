"""Environment variables: exactly those that AWS sets, recorded from functions on AWS (January 2026)."""

from __future__ import annotations

import pytest

from frostline.core.function import Function
from frostline.project import Credentials, Launch, Paths, ProjectError, Seen, extension_environment, runtime_environment
from frostline.project.environ import check_variables

STREAM = "2026/11/22/[$LATEST]0123456789abcdef0123456789abcdef"
API = "169.254.100.1:9001"

ON_AWS = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    "AWS_LAMBDA_FUNCTION_NAME": "hello",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/hello",
    "AWS_LAMBDA_LOG_STREAM_NAME": STREAM,
    "AWS_LAMBDA_RUNTIME_API": API,
    "AWS_REGION": "eu-central-1",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LANG": "en_US.UTF-8",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "TEST_KEY": "TEST_VAL",
    "TZ": ":UTC",
    "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
    "_HANDLER": "handler.handler",
}
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
PATHS = Paths(language="/var/lang")


def function(runtime: str = "python3.13", **fields: object) -> Function:
    made = {"environment": {"TEST_KEY": "TEST_VAL"}, **fields}
    return Function(name="hello", runtime=runtime, handler="handler.handler", revision="1", memory_mb=1024, region="eu-central-1", **made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runtime", "launch", "more"),
    [
        (
            "python3.13",
            Launch(argv=("/x",), environment={"PYTHONPATH": (Seen("runtime"),)}),
            {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13", "PYTHONPATH": "/var/runtime", "SHLVL": "0", "PWD": "/var/task"},
        ),
        (
            "nodejs22.x",
            Launch(argv=("/x",), environment={"NODE_PATH": (Seen("opt", "nodejs/node_modules"), Seen("task"))}),
            {
                "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x",
                "NODE_PATH": "/opt/nodejs/node_modules:/var/task",
                "SHLVL": "0",
                "PWD": "/var/task",
            },
        ),
        ("provided.al2023", Launch(argv=("/x",)), {}),
    ],
)
def test_a_runtime_gets_what_it_gets_on_aws(runtime: str, launch: Launch, more: dict[str, str]) -> None:
    """Every variable, and none besides. (`_X_AMZN_TRACE_ID` is set by runtimes, for each invocation.)"""
    variables = runtime_environment(function(runtime), launch, api=API, log_stream=STREAM, paths=PATHS)
    for name in CREDENTIALS:
        assert variables.pop(name)
    assert variables == {**ON_AWS, **more}


def test_an_extension_gets_less() -> None:
    """AWS: nothing that is about the runtime process, no log names, no X-Ray, nothing that begins with an underscore."""
    variables = extension_environment(function(), api=API, paths=PATHS)
    for name in CREDENTIALS:
        assert variables.pop(name)
    left_out = {"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"}
    assert variables == {name: value for name, value in ON_AWS.items() if name not in left_out and not name.startswith(("_", "AWS_XRAY_"))}


def test_a_function_overrides_what_is_not_reserved() -> None:
    own = function(environment={"PATH": "/mine", "TZ": "Europe/Berlin", "LANG": "C", "PYTHONPATH": "/opt/mine"})
    launch = Launch(argv=("/x",), environment={"PYTHONPATH": (Seen("runtime"),)})
    variables = runtime_environment(own, launch, api=API, log_stream=STREAM)
    assert [variables[name] for name in ("PATH", "TZ", "LANG", "PYTHONPATH")] == ["/mine", "Europe/Berlin", "C", "/opt/mine"]


def test_without_namespaces_paths_are_the_hosts() -> None:
    paths = Paths(task="/home/u/code", opt="/run/x/opt", runtime="/cache/runtime")
    variables = runtime_environment(function(), Launch(argv=("/x",)), api="127.0.0.1:4711", log_stream=STREAM, paths=paths)
    assert variables["LAMBDA_TASK_ROOT"] == variables["PWD"] == "/home/u/code"
    assert variables["LAMBDA_RUNTIME_DIR"] == "/cache/runtime"
    assert variables["PATH"] == "/cache/runtime/lang/bin:/usr/local/bin:/usr/bin/:/bin:/run/x/opt/bin"
    assert variables["AWS_XRAY_DAEMON_ADDRESS"] == "127.0.0.1:2000"


def test_json_logs_are_announced_to_the_runtime() -> None:
    plain = runtime_environment(function(application_log_level="DEBUG"), Launch(argv=("/x",)), api=API, log_stream=STREAM)
    assert not plain.keys() & {"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"}
    json = runtime_environment(function(log_format="JSON", application_log_level="DEBUG"), Launch(argv=("/x",)), api=API, log_stream=STREAM)
    assert (json["AWS_LAMBDA_LOG_FORMAT"], json["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "DEBUG")


def test_credentials_are_the_callers_or_worthless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the host's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "REAL")
    dummy = runtime_environment(function(), Launch(argv=("/x",)), api=API, log_stream=STREAM)
    assert dummy["AWS_ACCESS_KEY_ID"] == "ASIAIOSFODNN7EXAMPLE"
    given = Credentials(access_key_id="a", secret_access_key="b", session_token="c")
    variables = runtime_environment(function(), Launch(argv=("/x",)), api=API, log_stream=STREAM, credentials=given)
    assert [variables[name] for name in CREDENTIALS] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"AWS_REGION": "x", "_HANDLER": "y", "FINE": "z"}, "Reserved keys used in this request: AWS_REGION, _HANDLER"),
        ({"1X": "x"}, "'1X' has a name that AWS refuses"),
        ({"X": "x"}, "'X' has a name that AWS refuses"),
        ({"A-B": "x"}, "'A-B' has a name that AWS refuses"),
        ({"LARGE": "x" * 4092}, "take 4097 bytes"),
        ({"NUL": "a\0b"}, "'NUL' contains a NUL"),
    ],
)
def test_what_aws_refuses_is_refused(variables: dict[str, str], told: str) -> None:
    with pytest.raises(ProjectError) as caught:
        check_variables(variables, "template.yaml:3: F")
    assert caught.value.message.startswith("template.yaml:3: F: ") and told in caught.value.message


def test_what_aws_takes_is_taken() -> None:
    check_variables({"AB": "x", "TZ": "UTC", "a_1": "ü", "LARGE": "x" * 4000}, "x")
