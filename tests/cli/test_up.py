"""`frostline up` as a process of its own, on the sandbox that this machine has: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT_S = 60.0


class Process:
    """One `frostline up`, its output in pipes."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "frostline", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (env or {}),
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline()

    def block(self) -> str:
        """The banner."""
        lines = [self.line()]
        while not lines[-1].startswith("Ctrl-C") and lines[-1]:
            lines.append(self.line())
        return "".join(lines)

    def end(self, signum: int | None = signal.SIGINT) -> tuple[int, str, str]:
        """End it, or wait for its own end: exit status, the rest of its output, its messages."""
        if signum is not None:
            self.popen.send_signal(signum)
        out, err = self.popen.communicate(timeout=LIMIT_S)
        return self.popen.returncode, out, err


@pytest.fixture
def started() -> Iterator[list[Process]]:
    processes: list[Process] = []
    yield processes
    for process in processes:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


Start = Callable[..., Process]


@pytest.fixture
def start(started: list[Process], folder: Path) -> Start:
    def begin(*arguments: str, env: dict[str, str] | None = None) -> Process:
        process = Process(str(folder), "--runtime", "provided.al2023", "--spares", "0", *arguments, env=env)
        started.append(process)
        return process

    return begin


def invoke(port: int) -> None:
    """The bootstrap of these tests exits at once; that is enough to have a log."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    connection.request("POST", "/2015-03-31/functions/function/invocations", b"{}")
    response = connection.getresponse()
    assert response.status == 200, response.read()
    connection.close()


def port_of(text: str) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)", text)
    assert found is not None, text
    return int(found[1])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_prints_its_block_serves_and_ends_in_good_order(start: Start, signum: int) -> None:
    process = start("--port", "0")
    block = process.block()
    assert block.startswith("Frostline ")
    assert "  Function  colours  (provided.al2023, " in block
    assert "\x1b" not in block, "a pipe gets no colours"
    invoke(port_of(block))
    status, rest, errors = process.end(signum)
    assert status == 0
    assert "INIT_START" in rest
    assert "Traceback" not in errors


def test_json_is_one_object_a_line(start: Start) -> None:
    process = start("--port", "0", "--json")
    first = json.loads(process.line())
    assert first.keys() == {"endpoint", "port", "functions", "refused", "upstreams", "level", "notes"}
    assert first["refused"] == []
    assert first["functions"] == ["colours"]
    assert first["endpoint"] == f"http://127.0.0.1:{first['port']}"
    assert {"cage", "freezer", "network", "notes"} <= first["level"].keys()
    invoke(first["port"])
    status, rest, _ = process.end()
    lines = [json.loads(line) for line in rest.splitlines()]
    assert status == 0
    assert {line["function"] for line in lines} == {"colours"}
    assert any(line["type"] == "platform.report" for line in lines)


def test_quiet_prints_no_logs(start: Start) -> None:
    process = start("--port", "0", "--quiet")
    invoke(port_of(process.block()))
    status, rest, _ = process.end()
    assert (status, rest.strip()) == (0, "")


def test_a_reader_that_goes_away_ends_nothing(start: Start) -> None:
    """`frostline up | head -1`: the server goes on, and there is no traceback."""
    process = start("--port", "0")
    port = port_of(process.block())
    assert process.popen.stdout is not None
    process.popen.stdout.close()
    for _ in range(3):
        invoke(port)
    process.popen.send_signal(signal.SIGINT)
    assert process.popen.stderr is not None
    errors = process.popen.stderr.read()
    assert process.popen.wait(LIMIT_S) == 0
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


def test_a_port_in_use_is_one_message(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, out, errors = start("--port", str(port)).end(None)
    assert (status, out) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith(f"frostline: the endpoint cannot listen on 127.0.0.1:{port}: ")
    assert "address already in use" in last.lower()
    assert last.endswith("Choose another with --port, or --port 0 for a free one.")


def test_a_host_that_is_not_this_machine_is_one_message(start: Start) -> None:
    status, _, errors = start("--port", "0", "--host", "192.0.2.1").end(None)
    assert status == 1
    assert errors.splitlines()[-1].startswith("frostline: the endpoint cannot listen on 192.0.2.1:0: ")
    assert "Traceback" not in errors


def test_a_story_that_cannot_be_written_is_one_message(start: Start, tmp_path: Path) -> None:
    status, _, errors = start("--port", "0", "--story", str(tmp_path / "none" / "run")).end(None)
    assert status == 1
    assert errors.splitlines()[-1] == f"frostline: the story {tmp_path / 'none' / 'run'} cannot be written: No such file or directory"
