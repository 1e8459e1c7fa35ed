"""`frostline invoke`: what is asked, what is printed, and how it ends."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from frostline.story.reader import Story
from frostline.testing.fake_runtime import Event, Process, runtime
from frostline.testing.fake_sandbox import FakeSandbox
from tests.cli.conftest import Cli, Start
from tests.control.rig import function

ECHO = runtime(lambda process, event: event.payload)


def speaking(process: Process, event: Event) -> bytes:
    process.print("in the handler")
    return event.payload


def failing(process: Process, event: Event) -> bytes:
    raise ValueError("no good")


@pytest.fixture
def nobody() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


# Of a running one ------------------------------------------------------------------------------------------------------------------------


def test_the_response_is_printed_and_the_log_goes_to_standard_error(cli: Cli, up: Start) -> None:
    running = up(runtime(speaking))
    result = cli("invoke", "f", "--port", running.port, "--event", '{"a": 1}')
    assert (result.exit_code, result.stdout) == (0, '{"a": 1}\n')
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["START", "in", "END", "REPORT"]


def test_json_is_one_object_with_everything(cli: Cli, up: Start) -> None:
    running = up(runtime(speaking))
    result = cli("invoke", "f", "--endpoint", running.endpoint, "--json", "--event", '{"a": 1}')
    assert result.stderr == ""
    printed = json.loads(result.stdout)
    log = printed.pop("log")
    request_id = printed.pop("requestId")
    assert printed == {"statusCode": 200, "functionError": None, "payload": {"a": 1}}
    assert log.startswith(f"START RequestId: {request_id}")


def test_a_function_s_error_is_printed_and_exits_1(cli: Cli, up: Start) -> None:
    running = up(runtime(failing))
    result = cli("invoke", "f", "--port", running.port)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"errorType": "ValueError", "errorMessage": "no good", "stackTrace": []}
    as_json = cli("invoke", "f", "--port", running.port, "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["functionError"]) == (1, "Unhandled")


def test_a_response_that_is_not_json_is_printed_as_it_is(cli: Cli, up: Start) -> None:
    running = up(runtime(lambda process, event: b"plain \xff text"))
    assert cli("invoke", "f", "--port", running.port).stdout == "plain \ufffd text\n"
    assert json.loads(cli("invoke", "f", "--port", running.port, "--json").stdout)["payload"] == "plain \ufffd text"


def test_an_event_comes_from_an_argument_a_file_or_standard_input(cli: Cli, up: Start, tmp_path: Path) -> None:
    running = up(ECHO)
    (tmp_path / "event.json").write_text('"from a file"')
    assert cli("invoke", "f", "--port", running.port).stdout == "{}\n"
    assert cli("invoke", "f", "--port", running.port, "-e", '"given"').stdout == '"given"\n'
    assert cli("invoke", "f", "--port", running.port, "-e", f"@{tmp_path / 'event.json'}").stdout == '"from a file"\n'
    assert cli("invoke", "f", "--port", running.port, "-e", "-", stdin='"piped"').stdout == '"piped"\n'
    assert cli("invoke", "f", "--port", running.port, "-e", "-", stdin="").stdout == "{}\n"


def test_an_asynchronous_invocation_is_queued(cli: Cli, up: Start) -> None:
    running = up(ECHO)
    result = cli("invoke", "f", "--port", running.port, "--asynchronous", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["statusCode"] == 202


def test_an_unknown_function_is_one_message(cli: Cli, up: Start) -> None:
    running = up(ECHO)
    result = cli("invoke", "nobody", "--port", running.port)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"frostline: {running.endpoint} answered 404 ResourceNotFoundException: Function not found: arn:aws:lambda:"
    )
    assert result.stderr.count("\n") == 1


def test_a_function_that_is_at_its_limit_is_one_message(cli: Cli, up: Start) -> None:
    running = up(ECHO, function(concurrency=0))
    result = cli("invoke", "f", "--port", running.port)
    assert (result.exit_code, result.stderr) == (
        1,
        f"frostline: {running.endpoint} answered 429 TooManyRequestsException: Rate Exceeded.\n",
    )


def test_no_server_at_the_endpoint_is_one_message_that_says_what_to_do(cli: Cli, nobody: int) -> None:
    result = cli("invoke", "f", "--port", str(nobody))
    assert result.exit_code == 1
    assert result.stderr == (
        f"frostline: no `frostline up` answers at http://127.0.0.1:{nobody}: Connection refused. "
        "Start one with `frostline up`, or say where it is with --port.\n"
    )


@pytest.mark.parametrize(
    "endpoint", ["https://127.0.0.1:1", "http://", "http://127.0.0.1:port", "http://127.0.0.1:99999", "http://[::1", "ftp://x"]
)
def test_an_endpoint_that_is_none_is_one_message(cli: Cli, endpoint: str) -> None:
    result = cli("invoke", "f", "--endpoint", endpoint)
    assert (result.exit_code, result.stderr) == (
        1,
        f"frostline: {endpoint!r} is not an endpoint: it should look like http://127.0.0.1:3001.\n",
    )


def test_an_endpoint_may_be_written_without_its_scheme(cli: Cli, up: Start) -> None:
    running = up(ECHO)
    assert cli("invoke", "f", "--endpoint", f"127.0.0.1:{running.port}").exit_code == 0


@pytest.fixture
def stranger() -> Iterator[int]:
    """A server that is no Frostline: says one thing to whoever connects, and hangs up."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail.example ESMTP\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    port: int = server.getsockname()[1]
    yield port
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_server_that_is_no_http_server_is_one_message(cli: Cli, stranger: int) -> None:
    for command in (("invoke", "f"), ("logs",), ("logs", "--follow")):
        result = cli(*command, "--port", str(stranger))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"frostline: no `frostline up` answers at http://127.0.0.1:{stranger}: ")
        assert result.stderr.count("\n") == 1


# Bad events ------------------------------------------------------------------------------------------------------------------------------


def test_an_event_that_is_not_json_is_one_message_with_the_place(cli: Cli) -> None:
    result = cli("invoke", "f", "--event", '{"a": }')
    assert (result.exit_code, result.stderr) == (
        1,
        "frostline: the event from --event is not JSON: Expecting value: line 1 column 7 (char 6)\n",
    )


def test_a_json_file_s_name_may_go_without_its_at_sign(cli: Cli, up: Start, tmp_path: Path) -> None:
    running = up(ECHO)
    (tmp_path / "event.json").write_text('"from a file"')
    assert cli("invoke", "f", "--port", running.port, "-e", str(tmp_path / "event.json")).stdout == '"from a file"\n'


def test_another_file_s_name_without_its_at_sign_is_told_so(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "event").write_text("{}")
    result = cli("invoke", "f", "--event", str(tmp_path / "event"))
    assert result.stderr.endswith("(to read it from a file, write --event @FILE)\n")


@pytest.mark.parametrize(
    "event",
    ["x" * 5000, "\0", "\udcff", '{"a": NaN}', "[" * 100_000, "none.json"],
    ids=["long", "NUL", "not UTF-8", "NaN", "deep", "a file that is not there"],
)
def test_no_event_makes_a_traceback(cli: Cli, event: str) -> None:
    result = cli("invoke", "f", "--event", event)
    assert result.exit_code == 1
    assert result.stderr.startswith("frostline: the event from --event is not JSON: ")


def test_an_event_file_that_is_missing_or_a_folder_is_one_message(cli: Cli, tmp_path: Path) -> None:
    missing = cli("invoke", "f", "--event", f"@{tmp_path / 'none.json'}")
    assert (missing.exit_code, missing.stderr) == (
        1,
        f"frostline: the event {tmp_path / 'none.json'} cannot be read: No such file or directory\n",
    )
    folder = cli("invoke", "f", "--event", f"@{tmp_path}")
    assert folder.stderr == f"frostline: the event {tmp_path} cannot be read: Is a directory\n"


def test_an_event_file_that_may_not_be_read_is_one_message(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything
    (tmp_path / "event.json").touch()
    result = cli("invoke", "f", "--event", str(tmp_path / "event.json"))
    assert result.stderr == f"frostline: the event {tmp_path / 'event.json'} cannot be read: Permission denied\n"


def test_an_event_over_the_limit_is_one_message(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "large.json").write_text('"' + "x" * 7_000_000 + '"')
    result = cli("invoke", "f", "--event", f"@{tmp_path / 'large.json'}")
    assert result.stderr == f"frostline: the event from {tmp_path / 'large.json'} has 7000002 bytes; Lambda takes 6291456 at most.\n"


# Of a project, once ----------------------------------------------------------------------------------------------------------------------


def test_a_path_is_started_for_one_invocation(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    fake.programs["runtime"] = runtime(speaking)
    result = cli("invoke", str(folder), "--runtime", "provided.al2023", "--event", '"x"')
    assert (result.exit_code, result.stdout) == (0, '"x"\n')
    assert "in the handler" in result.stderr
    assert len(fake.called("start")) == 1


def test_after_a_gap_it_is_invoked_again(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    """Frozen in between, and its clocks moved: what is printed is the second answer."""
    fake.programs["runtime"] = runtime(speaking)
    result = cli("invoke", str(folder), "--runtime", "provided.al2023", "--after", "40m")
    assert (result.exit_code, result.stdout) == (0, "{}\n")
    assert result.stderr.count("in the handler") == 2
    assert [call.argument for call in fake.called("warp")] == [2400.0]


def test_time_does_not_pass_for_what_is_never_frozen(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    result = cli("invoke", str(folder), "--runtime", "provided.al2023", "--after", "40m", "--freeze", "off")
    assert result.exit_code == 2
    assert "--after" in result.stderr and "--freeze off" in result.stderr


def test_a_path_s_json_is_the_same_as_a_running_one_s(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    fake.programs["runtime"] = runtime(speaking)
    result = cli("invoke", str(folder), "--runtime", "provided.al2023", "--json")
    assert result.stderr == ""
    printed = json.loads(result.stdout)
    assert printed.keys() == {"statusCode", "functionError", "payload", "requestId", "log"}
    assert "in the handler" in printed["log"]


def test_a_path_s_function_that_fails_exits_1_and_cleans_up(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    fake.programs["runtime"] = runtime(failing)
    result = cli("invoke", str(folder), "--runtime", "provided.al2023")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errorMessage"] == "no good"
    assert "Traceback" not in result.stderr


def test_ctrl_c_ends_an_invocation_with_its_status_and_cleans_up(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    def handler(process: Process, event: Event) -> bytes:
        os.kill(os.getpid(), signal.SIGINT)
        return event.payload

    fake.programs["runtime"] = runtime(handler)
    result = cli("invoke", str(folder), "--runtime", "provided.al2023", "--timeout", "5s")
    assert result.exit_code == 130
    assert result.stdout == ""


def test_a_story_is_written(cli: Cli, fake: FakeSandbox, folder: Path, tmp_path: Path) -> None:
    fake.programs["runtime"] = ECHO
    assert cli("invoke", str(folder), "--runtime", "provided.al2023", "--story", str(tmp_path / "run")).exit_code == 0
    with Story.open(tmp_path / "run") as story:
        assert story.header.level["cage"] == "namespaces"


def test_a_story_that_cannot_be_written_is_one_message(cli: Cli, fake: FakeSandbox, folder: Path, tmp_path: Path) -> None:
    result = cli("invoke", str(folder), "--runtime", "provided.al2023", "--story", str(tmp_path / "none" / "run"))
    assert (result.exit_code, result.stderr) == (
        1,
        f"frostline: the story {tmp_path / 'none' / 'run'} cannot be written: No such file or directory\n",
    )


def test_which_of_several_functions_must_be_said(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    properties = {"CodeUri": "colours/", "Runtime": "provided.al2023", "Handler": "x"}
    resources = {
        name: {"Type": "AWS::Serverless::Function", "Properties": properties | {"FunctionName": name.lower()}} for name in ("One", "Two")
    }
    template = folder.parent / "template.json"
    template.write_text(json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}))
    fake.programs["runtime"] = runtime(lambda process, event: json.dumps(process.env["AWS_LAMBDA_FUNCTION_NAME"]).encode())
    assert cli("invoke", str(template)).stderr == f"frostline: {template} has 2 functions: say which one: one, two.\n"
    assert cli("invoke", str(template), "three").stderr == f"frostline: {template} has no function 'three'; it has one, two.\n"
    assert cli("invoke", str(template), "two").stdout == '"two"\n'
    assert cli("invoke", str(template), "Two").stdout == '"two"\n', "by its logical id"


def test_what_cannot_be_is_refused(cli: Cli, fake: FakeSandbox, folder: Path) -> None:
    assert cli("invoke", str(folder), "--asynchronous").stderr == (
        "frostline: --asynchronous needs a running `frostline up`: without one, nobody would run the event.\n"
    )
    assert (
        cli("invoke", "no-such-folder", "f").stderr
        == "frostline: there is no file or folder 'no-such-folder' to take the function 'f' from.\n"
    )
    assert cli("invoke", str(folder), "--runtime", "cobol", "--handler", "x").stderr.startswith("frostline: There is no runtime 'cobol'")
    empty = folder.parent / "empty"
    empty.mkdir()
    result = cli("invoke", str(empty))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_a_machine_without_a_sandbox_is_one_message(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from frostline.cli import running
    from frostline.sandbox.port import SandboxError

    async def refuse(*_: object, **__: object) -> FakeSandbox:
        raise SandboxError("Frostline needs this or that; install it.")

    monkeypatch.setattr(running, "open_sandbox", refuse)
    result = cli("invoke", str(folder), "--runtime", "provided.al2023")
    assert (result.exit_code, result.stderr) == (1, "frostline: Frostline needs this or that; install it.\n")


def test_the_log_tail_is_decoded_even_when_it_begins_inside_a_character(cli: Cli, up: Start) -> None:
    def handler(process: Process, event: Event) -> bytes:
        for _ in range(50):
            process.print("\u00e4" * 99)
        return b"{}"

    running = up(runtime(handler))
    result = cli("invoke", "f", "--port", running.port)
    assert result.exit_code == 0
    assert len(base64.b64encode(result.stderr.encode())) < 6000


@pytest.mark.parametrize("option", [["--after", "6h"], ["--fate", "lost"], ["--upstream", "a=echo"], ["--story", "s"], ["--freeze", "off"]])
def test_what_a_running_server_decides_is_not_taken_and_ignored(cli: Cli, nobody: int, option: list[str]) -> None:
    result = cli("invoke", "f", "--port", str(nobody), *option)
    assert result.exit_code == 2
    assert f"{option[0]}: for `frostline up`" in result.stderr
