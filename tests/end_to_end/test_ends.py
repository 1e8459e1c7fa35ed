"""How it ends: Ctrl-C, signals, kill -9. Whoever waits is answered, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from frostline.core.events import InvocationArrived
from frostline.story.reader import Story

from .running import FROSTLINE, FUNCTIONS, LIMIT_S, MARKER, RUNTIME, Held, Server, processes, run_cli, surroundings, up

TEMPLATE = FUNCTIONS / "freezing" / "template.yaml"
OPTIONS = ("--parameter", f"Runtime={RUNTIME}")


def ctrl_c(server: Server) -> None:
    """As a terminal does it: to the whole process group."""
    os.killpg(server.process.pid, signal.SIGINT)


def outcome_of(invocation: Callable[[], Any]) -> Any:
    """The answer, or the error."""
    try:
        return invocation()
    except ClientError as error:
        return error.response


def begin(server: Server, pool: ThreadPoolExecutor) -> Any:
    """An invocation that is running when this returns."""
    running = pool.submit(outcome_of, lambda: server.invoke("ticker", {"run": 20}))
    server.until_state("ticker", "busy")
    server.until(lambda: server.texts("ticker", "platform.start"), "start")
    return running


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_an_idle_server_ends_in_good_order(tmp_path: Path, how: str) -> None:
    with up(tmp_path, TEMPLATE, *OPTIONS) as server:
        server.invoke("echo")
        server.until_state("echo", "frozen")
        if how == "Ctrl-C":
            ctrl_c(server)
        else:
            server.process.send_signal(getattr(signal, how))
        assert server.wait() == 0
        assert server.errors == []
        assert server.left_behind() == []


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_a_caller_in_the_middle_is_answered(tmp_path: Path, how: str) -> None:
    with up(tmp_path, TEMPLATE, *OPTIONS) as server, ThreadPoolExecutor(1) as pool:
        running = begin(server, pool)
        ctrl_c(server) if how == "Ctrl-C" else server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        error = running.result()
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert error["Error"]["Code"] == "ServiceException"
        assert "shutdown" in error["Error"]["Message"] or "shutting down" in error["Error"]["Message"]


def test_events_that_were_not_run_are_counted(tmp_path: Path) -> None:
    with up(tmp_path, TEMPLATE, *OPTIONS) as server, ThreadPoolExecutor(1) as pool:
        begin(server, pool)
        for _ in range(20):
            server.invoke("slow-init", {"run": 20}, InvocationType="Event")
        ctrl_c(server)
        assert server.wait() == 0
        assert "20 asynchronous invocations were unfinished and are lost" in "".join(server.errors)


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, held: Held) -> None:
    """Extensions have two seconds, and this one takes them."""
    with up(tmp_path, FUNCTIONS / "extensions" / "template.yaml", *OPTIONS, "--parameter", f"Held={held.port}") as server:
        server.invoke("with-stubborn")
        server.until_state("with-stubborn", "frozen")
        ctrl_c(server)
        held.wait(1)
        ctrl_c(server)
        assert server.wait() == 130, "that of a Ctrl-C, and not of an end in good order"
        server.until_nothing_is_left()


@pytest.mark.parametrize("state", ["frozen", "busy", "starting"])
def test_after_kill_9_nothing_is_left(tmp_path: Path, state: str) -> None:
    server = Server(tmp_path, TEMPLATE, *OPTIONS, "--story", str(tmp_path / "story.jsonl"))
    try:
        with ThreadPoolExecutor(4) as pool:
            if state == "frozen":
                server.invoke("ticker")
                server.until_state("ticker", "frozen")
            elif state == "busy":
                pool.submit(server.client.invoke, FunctionName="ticker", Payload='{"run": 20}')
                server.until_state("ticker", "busy")
            else:
                for _ in range(3):
                    pool.submit(server.client.invoke, FunctionName="slow-init")
                server.until(lambda: server.log("slow-init"), "init")
            server.process.kill()
            server.process.wait()
        server.until_nothing_is_left()
    finally:
        server.finish()
    with Story.open(tmp_path / "story.jsonl") as story:
        assert sum(1 for _ in story) >= 0, "what was written of it can be read"


def test_what_is_left_when_everything_was_killed_at_once_is_swept_by_the_next_run(tmp_path: Path) -> None:
    server = Server(tmp_path, TEMPLATE, *OPTIONS)
    try:
        server.invoke("ticker")
        server.until_state("ticker", "frozen")
        for line in processes(server.marker, server.run):
            pid = int(line.removeprefix("process ").partition(":")[0])
            try:
                os.kill(pid, signal.SIGSTOP)  # so that none sees another die
            except ProcessLookupError:
                continue
        while found := processes(server.marker, server.run):
            for line in found:
                try:
                    os.kill(int(line.removeprefix("process ").partition(":")[0]), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            server.process.poll()
            time.sleep(0.01)
    finally:
        server.finish()
    with up(tmp_path, TEMPLATE, *OPTIONS) as after:
        assert [path for path in after.left_behind() if server.run in path] == []
        assert after.invoke("echo").error is None


def test_ctrl_c_at_any_moment_of_the_start(tmp_path: Path) -> None:
    """Before the first line, while the sandbox is opened, after it: never a traceback, and never anything left."""
    for step in range(8):
        home = tmp_path / str(step)
        home.mkdir()
        marker = f"start{step}-{os.getpid()}"
        command = [*FROSTLINE, "up", str(TEMPLATE), "--port", "0", "--json", *OPTIONS]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**surroundings(home), MARKER: marker}, start_new_session=True
        )
        time.sleep(0.09 * (step + 1))
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=LIMIT_S)
        assert b"/frostline/" not in said.partition(b"Traceback")[2], (step, said.decode())  # Python's own start is not ours
        assert process.returncode in (0, 1, 130, -signal.SIGINT), (step, process.returncode, said)
        end = time.monotonic() + LIMIT_S
        while (left := processes(marker, marker)) and time.monotonic() < end:
            time.sleep(0.02)
        assert left == [], step
        assert list((home / "tmp").rglob("run-*")) == [], step


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        tmp_path.joinpath("home").mkdir()
        done = run_cli(tmp_path / "home", "up", str(TEMPLATE), *OPTIONS, "--port", str(port))
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert said.startswith(f"frostline: the endpoint cannot listen on 127.0.0.1:{port}: ") and "--port" in said
    assert len(said.splitlines()) == 1


def test_output_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    """`frostline up | head -1`, and a pipe whose reader is stuck."""
    for close in (True, False):
        home = tmp_path / str(close)
        home.mkdir()
        command = [*FROSTLINE, "up", str(FUNCTIONS / "python" / "template.yaml"), "--port", "0", "--json", *OPTIONS]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings(home), start_new_session=True)
        assert process.stdout is not None and process.stderr is not None
        port = int(process.stdout.readline().partition(b'"port":')[2].partition(b",")[0])
        if close:
            process.stdout.close()
        event = '{"do": "flood", "lines": 5000}'  # half a megabyte, more than any pipe takes
        for _ in range(3):
            assert run_cli(home, "invoke", "behave", "--port", str(port), "--event", event).returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 0
        assert b"Traceback" not in process.stderr.read()
        process.stderr.close()
        process.stdout.close()


def test_ctrl_c_while_invoking_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import time\nprint('up', flush=True)\ndef handler(event, context):\n    time.sleep(20)\n")
    home = tmp_path / "home"
    home.mkdir()
    command = [*FROSTLINE, "invoke", str(tmp_path / "app.py"), "--timeout", "30"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**surroundings(home), MARKER: home.name}, start_new_session=True
    )
    assert process.stderr is not None
    while b"START" not in (line := process.stderr.readline()):
        assert line, "it ended"
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode in (1, 130), "it did not answer"
    assert b"Traceback" not in said
    assert list((home / "tmp").rglob("run-*")) == []


def test_a_story_tells_the_whole_run(tmp_path: Path) -> None:
    path = tmp_path / "run.story.jsonl"
    with up(tmp_path, TEMPLATE, *OPTIONS, "--story", str(path)) as server:
        requests = [server.invoke("echo", {"n": n}).request_id for n in range(5)]
    with Story.open(path) as story:
        assert story.header.level["cage"] == "namespaces"
        lines = list(story)
        assert not story.truncated
    assert [line.event.request_id for line in lines if isinstance(line.event, InvocationArrived)] == requests
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert type(lines[-1].effect).__name__ == "Stopped"
