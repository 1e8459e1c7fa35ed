"""`frostline logs`: what is printed, and what is said when there is nothing to print."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from frostline.testing.fake_runtime import Event, Process, runtime
from tests.cli.conftest import Cli, Start
from tests.control.rig import function, invocations


def speaking(process: Process, event: Event) -> bytes:
    process.print(f"said {event.json()}")
    return event.payload


def test_the_log_of_one_function_or_of_all(cli: Cli, up: Start) -> None:
    running = up(runtime(speaking), function("a"), function("b"))
    cli("invoke", "a", "--port", running.port, "-e", "1")
    cli("invoke", "b", "--port", running.port, "-e", "2")
    (environment, _) = running.rig.sandbox.environments
    everything = cli("logs", "--port", running.port)
    assert everything.exit_code == 0
    assert "said 1" in everything.stdout
    assert "said 2" in everything.stdout
    only = cli("logs", "a", "--port", running.port).stdout
    assert "said 2" not in only
    assert f" a {environment[:6]} said 1\n" in only


def test_the_last_lines_only(cli: Cli, up: Start) -> None:
    running = up(runtime(speaking))
    cli("invoke", "f", "--port", running.port, "-e", "1")
    assert len(cli("logs", "--port", running.port, "-n", "2").stdout.splitlines()) == 2
    assert cli("logs", "--port", running.port, "-n", "0").stdout == ""


def test_json_is_one_object_a_line(cli: Cli, up: Start) -> None:
    running = up(runtime(speaking))
    request_id = json.loads(cli("invoke", "f", "--port", running.port, "-e", "1", "--json").stdout)["requestId"]
    lines = [json.loads(line) for line in cli("logs", "--endpoint", running.endpoint, "--json").stdout.splitlines()]
    assert {tuple(line) for line in lines} == {("time", "function", "log_stream", "environment", "request_id", "type", "text")}
    assert [line["request_id"] for line in lines if line["text"] == "said 1"] == [request_id]


def test_following_goes_on_until_the_server_ends(cli: Cli, up: Start) -> None:
    running = up(runtime(speaking))
    cli("invoke", "f", "--port", running.port, "-e", "1")

    def later() -> None:
        while not running.rig.plane.logs._followers:
            time.sleep(0.001)
        # Not with `cli`: two of them at once would take each other's output.
        connection = http.client.HTTPConnection("127.0.0.1", running.rig.port)
        connection.request("POST", invocations(), b"2")
        connection.getresponse().read()
        connection.close()
        running.stop()

    thread = threading.Thread(target=later)
    thread.start()
    result = cli("logs", "--follow", "--port", running.port)
    thread.join()
    assert result.exit_code == 0
    assert "said 1" in result.stdout
    assert "said 2" in result.stdout


def test_a_function_without_a_log_prints_nothing(cli: Cli, up: Start) -> None:
    running = up(runtime(speaking))
    result = cli("logs", "nobody", "--port", running.port)
    assert (result.exit_code, result.output) == (0, "")


def test_no_server_at_the_endpoint_is_one_message(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for arguments in ((), ("--follow",)):
        result = cli("logs", *arguments, "--port", str(port))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"frostline: no `frostline up` answers at http://127.0.0.1:{port}: Connection refused.")


@contextmanager
def other_server(answer: bytes) -> Iterator[str]:
    """A web server that is something else."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("arguments", [(), ("--follow",)], ids=["once", "following"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["404", "HTML", "JSON"],
)
def test_another_server_at_the_endpoint_is_one_message(cli: Cli, answer: bytes, arguments: tuple[str, ...]) -> None:
    with other_server(answer) as endpoint:
        result = cli("logs", "--endpoint", endpoint, *arguments)
    status = answer.split()[1].decode()
    assert (result.exit_code, result.stderr) == (
        1,
        f"frostline: what answers at {endpoint} is not a `frostline up`: it sent {status} and no log.\n",
    )


@pytest.mark.parametrize("rest", [b'5\r\n{"a":\r\n', b"6\r\n[1, 2\n\r\n"], ids=["breaks off", "is no log line"])
def test_a_log_that_breaks_off_is_one_message(cli: Cli, rest: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    with other_server(head + rest) as endpoint:
        result = cli("logs", "--endpoint", endpoint, "--follow")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"frostline: the connection to {endpoint} broke: ")
    assert result.stderr.count("\n") == 1
