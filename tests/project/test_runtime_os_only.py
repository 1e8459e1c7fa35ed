"""`provided.*` and `go1.x`: executables that speak to the Runtime API themselves, and Go's older protocol through the bridge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.project import ProjectError
from frostline.project.runtimes import gorpc, os_only
from frostline.project.runtimes.gorpc import bridge, gob

from .runtime_api import FakeRuntimeAPI, deployed, running

GO = shutil.which("go")
needs_go = pytest.mark.skipif(GO is None, reason="Go is not installed")

SHELL_FUNCTION = """#!/bin/bash
exec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}
printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3
while IFS= read -r line <&3; do line=${line%$'\\r'}; case $line in [Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d:*) id=${line#*: };; '') break;; esac; done
printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 4\\r\\n\\r\\ntrue' "$id" >&3
sleep 60
"""


@pytest.fixture(scope="session")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go function, built once."""
    folder = tmp_path_factory.mktemp("go") / "code"
    folder.mkdir()
    source = Path(__file__).parent / "go_hello"
    subprocess.run([str(GO), "build", "-o", str(folder / "bootstrap"), "."], cwd=source, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    return folder


def test_any_executable_bootstrap_is_a_function(api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "bootstrap").write_text(SHELL_FUNCTION)
    (code / "bootstrap").chmod(0o755)
    deployment = deployed(code, cache)
    assert (deployment.function.runtime, deployment.function.handler) == ("provided.al2023", "bootstrap")
    assert deployment.launch.command() == ("/var/task/bootstrap",)
    with running(deployment, api, tmp_path) as process:
        assert api.invoke({}).json is True
        assert "AWS_EXECUTION_ENV" not in process.environment


def test_a_bootstrap_may_be_in_a_layer(tmp_path: Path) -> None:
    code, layer = tmp_path / "code", tmp_path / "layer"
    code.mkdir()
    layer.mkdir()
    (layer / "bootstrap").touch(0o755)
    assert os_only.launch("provided.al2023", "x.y", code, [layer]).command() == ("/opt/bootstrap",)


def test_what_cannot_be_executed_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="needs an executable, and there is none"):
        os_only.launch("provided.al2023", "bootstrap", tmp_path, [])
    (tmp_path / "main").touch(0o644)
    with pytest.raises(ProjectError, match=r"is not executable\. Make it so: chmod"):
        os_only.launch("go1.x", "main", tmp_path, [])


@needs_go
def test_a_go_function(hello: Path, api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    """aws-lambda-go needs nothing but the environment variables."""
    with running(deployed(hello, cache), api, tmp_path):
        check_go(api, legacy=False)


@needs_go
def test_a_go1x_function_is_named_by_its_handler(hello: Path, api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    shutil.copytree(hello, code)
    (code / "bootstrap").rename(code / "main")
    deployment = deployed(code, cache, runtime="go1.x")
    assert deployment.function.handler == "main"
    with running(deployment, api, tmp_path) as process:
        assert process.environment["AWS_EXECUTION_ENV"] == "AWS_Lambda_go1.x"
        assert api.invoke({"key": "go1.x"}).json["key"] == "go1.x"


# Go's older protocol ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def old(hello: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function as an old aws-lambda-go would have built it: the name of the variable with the Runtime API's address is not in it."""
    folder = tmp_path_factory.mktemp("old") / "code"
    folder.mkdir()
    (folder / "main").write_bytes((hello / "bootstrap").read_bytes().replace(os_only.API_ENV, b"X" * len(os_only.API_ENV)))
    (folder / "main").chmod(0o755)
    return folder


@needs_go
def test_the_older_protocol(old: Path, api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    """The same function, called through `net/rpc`, answers the same."""
    deployment = deployed(old, cache, runtime="go1.x")
    assert "older protocol" in deployment.launch.notes[0]
    with running(deployment, api, tmp_path):
        check_go(api, legacy=True)
        assert len(api.invoke({"key": "k", "large": 5_000_000}).json["large_response"]) == 5_000_000


@needs_go
def test_a_panic_through_the_older_protocol_ends_the_process(old: Path, api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    """The error carries the stack; the function asks to be ended."""
    with running(deployed(old, cache, runtime="go1.x"), api, tmp_path) as process:
        sent = api.invoke({"panic": "at the disco"})
        assert (sent.kind, sent.json["errorMessage"], sent.json["errorType"]) == ("error", "at the disco", "string")
        assert {"path", "line", "label"} == set(sent.json["stackTrace"][0])
        assert process.wait() == 1


@pytest.mark.parametrize(("body", "status"), [("exit 7", 7), ("kill -SEGV $$", -11)])
def test_the_bridge_ends_as_the_function_ends(body: str, status: int, api: FakeRuntimeAPI, cache: Path, tmp_path: Path) -> None:
    """An exit before anything listens, and a signal."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "main").write_text(f"#!/bin/sh\n{body}\n# {os_only.RPC_ENV.decode()}\n")
    (code / "main").chmod(0o755)
    with running(deployed(code, cache, runtime="go1.x"), api, tmp_path) as process:
        assert process.wait() == status


def check_go(api: FakeRuntimeAPI, *, legacy: bool) -> None:
    for number in (1, 2):
        request_id = api.queue(
            {"key": "ü"},
            Trace_Id="Root=1-abc",
            Client_Context=json.dumps({"custom": {"who": "me"}}),
            Cognito_Identity='{"cognitoIdentityId": "i"}',
        )
        sent = api.took()
        assert sent.kind == "response" and sent.path.endswith(f"/{request_id}/response")
        answer = sent.json
        assert answer.pop("deadline") > 1_700_000_000_000
        assert answer == {
            "key": "ü",
            "request_id": request_id,
            "arn": "arn:aws:lambda:us-east-1:123456789012:function:test",
            "trace": "Root=1-abc",
            "client": "me",
            "identity": "i" if legacy else answer["identity"],
            "server_port": legacy,
            "invocations": number,
            "function_name": "code",
        }
    failed = api.invoke({"fail": "on purpose"})
    assert (failed.kind, failed.json["errorMessage"], failed.json["errorType"]) == ("error", "on purpose", "errorString")
    assert api.invoke({"key": "again"}).json["key"] == "again"


def test_only_binaries_without_the_runtime_api_are_bridged(tmp_path: Path) -> None:
    binary = tmp_path / "main"
    for content, expected in (
        (b"\x7fELF _LAMBDA_SERVER_PORT", True),
        (b"\x7fELF _LAMBDA_SERVER_PORT AWS_LAMBDA_RUNTIME_API", False),
        (b"\x7fELF", False),
        (b"", False),
    ):
        binary.write_bytes(content)
        assert os_only.speaks_only_rpc(binary) is expected
    binary.write_bytes(b"\x7fELF _LAMBDA_SERVER_PORT")
    binary.chmod(0o755)
    launch = os_only.launch("go1.x", "main", tmp_path, [])
    assert launch.command()[3:] == ("/var/runtime/bridge.py", "/var/task/main")
    assert launch.runtime_dir == Path(gorpc.__file__).parent and "older protocol" in launch.notes[0]


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (7, "07"), (127, "7f"), (128, "ff80"), (256, "fe0100"), (2**64 - 1, "f8" + "ff" * 8)]
)
def test_unsigned_numbers(number: int, encoded: str) -> None:
    """Examples from Go's documentation."""
    assert gob.uint(number).hex() == encoded


def test_a_struct_as_go_writes_it() -> None:
    """The example of Go's documentation: `type Point struct { X, Y int }` with 22 and 33."""
    fields = (("X", gob.INT), ("Y", gob.INT))
    stream = gob.define(65, "Point", fields) + gob.message(65, gob.struct(fields, {"X": 22, "Y": 33}, {}))
    assert stream.hex() == "1fff8103010105506f696e7401ff82000102010158010400010159010400000007ff82012c014200"


@given(
    st.dictionaries(st.sampled_from([name for name, _ in bridge._INVOKE_FIELDS if name != "Deadline"]), st.text(min_size=1)),
    st.integers(1, 2**62),
)
def test_what_is_encoded_is_decoded(texts: dict[str, str], seconds: int) -> None:
    kinds = dict(bridge._INVOKE_FIELDS)
    values = {name: text.encode() if kinds[name] == gob.BYTES else text for name, text in texts.items()}
    request = {**values, "Deadline": {"Seconds": seconds}}
    stream = bridge._DEFINITIONS["invoke"] + gob.message(bridge._INVOKE, gob.struct(bridge._INVOKE_FIELDS, request, bridge._NESTED))
    assert gob.Decoder(_reader(stream)).value() == request


@given(st.binary(max_size=80))
def test_garbage_is_an_error(data: bytes) -> None:
    decoder = gob.Decoder(_reader(data))

    def read_all() -> None:
        while True:
            decoder.value()

    with pytest.raises((gob.GobError, EOFError)):
        read_all()


def _reader(data: bytes) -> Callable[[int], bytes]:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        position += size
        if position > len(data):
            raise EOFError
        return data[position - size : position]

    return read
