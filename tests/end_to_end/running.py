"""A real `frostline up` in a process of its own, as a user starts it, and what can be asked of it from outside."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from frostline.project import default_cache

LIMIT_S = 60.0
"""Long, for a machine that is busy with other things; nothing here takes so long by itself."""

FUNCTIONS = Path(__file__).parent / "functions"
RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
"""The runtime whose interpreter is surely here: the one that runs the tests."""

MARKER = "FROSTLINE_TEST_RUN"

FROSTLINE = (sys.executable, "-m", "frostline")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Invoke answered."""

    status: int
    error: str | None
    payload: Any
    """Decoded where it is JSON."""
    log: str
    """With LogType=Tail."""
    request_id: str
    version: str | None


class Server:
    """One `frostline up --json`."""

    def __init__(
        self,
        home: Path,
        source: Path,
        *options: str,
        as_user: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = FROSTLINE,
    ) -> None:
        self.home = home
        """Its temporary directory: all that it may leave on disk would be here."""
        self.marker = uuid.uuid4().hex
        home.mkdir(parents=True, exist_ok=True)
        # Functions have the marker, too: what is left of them can be told from what belongs to somebody else.
        command = [*as_user, *program, "up", str(source), "--port", "0", "--json", "--env", f"{MARKER}={self.marker}", *options]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home,
            env={**surroundings(home), MARKER: self.marker, **(environment or {})},
            start_new_session=True,  # signals from a terminal are the tests' to send
        )
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._read_output, daemon=True), threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self._readers:
            reader.start()
        self.started = self._first()
        self.run = next((home / "tmp").glob("frostline-*/run-*")).name.removeprefix("run-")
        self.port = int(self.started["port"])
        self.client = client(self.port)

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._heard(self.lines, json.loads(line))
        self._heard(self.lines, {"ended": True})

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._heard(self.errors, line.decode())

    def _heard(self, where: list[Any], what: object) -> None:
        with self._changed:
            where.append(what)
            self._changed.notify_all()

    def _first(self) -> dict[str, Any]:
        try:
            self.until(lambda: bool(self.lines), "its first line")
            assert "port" in self.lines[0], self.errors
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self.lines[0]

    def until(self, true: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
        """Wait, without polling, until what was printed makes something true."""
        with self._changed:
            assert self._changed.wait_for(true, limit_s), f"no {what} within {limit_s:g} s: {self.lines[-5:]} {self.errors[-5:]}"
            return true()

    # What it is asked ----------------------------------------------------------------------------------------------------------------------

    def invoke(self, function: str, event: object = None, **arguments: Any) -> Answer:
        """Invoke with boto3; `event` is sent as JSON, unless it is bytes.

        The log's tail, for which it asks unless told otherwise, has the report in it. So the answer comes when the environment is done, and who
        invokes next finds it available, however long the runtime took to ask for its next event.
        """
        payload = event if isinstance(event, bytes) else json.dumps({} if event is None else event)
        if "InvocationType" not in arguments:
            arguments.setdefault("LogType", "Tail")
        return answer(self.client.invoke(FunctionName=function, Payload=payload, **arguments))

    def http(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Plain HTTP, without any SDK: status, headers with small letters, body."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def environments(self, function: str | None = None) -> list[dict[str, Any]]:
        """What `/_frostline/environments` says; not those that are kept ready and have none of a function's code run."""
        found: list[dict[str, Any]] = json.loads(self.http("GET", "/_frostline/environments")[2])["environments"]
        return [one for one in found if function in (None, one["function"]) and one["state"] not in ("starting", "prepared")]

    def until_state(self, function: str, state: str, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """An environment of the function in this state, as soon as there is one (for `busy`) or all are; nothing prints that, so it is asked for."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            states = self.environments(function)
            there = [one for one in states if one["state"] == state]
            if there and (state == "busy" or len(there) == len(states)):
                return there[0]
            time.sleep(0.005)
        raise AssertionError(f"{function} has no environment that is {state}: {self.environments()}")

    def until_open(self, port: int, count: int, *, machine: bool = True) -> None:
        """Wait until the kernel holds so many connections to a port as open, in all networks of this server together.

        A connection of a function is two: the environment's to the router, and the router's to the peer. `machine`: the peer is in the machine's
        own network, where others may have connections to a well-known port.
        """
        end = time.monotonic() + LIMIT_S
        while (found := open_connections(processes(self.marker, self.run), port, machine=machine)) != count:
            assert time.monotonic() < end, f"{found} connections to port {port} are open, and not {count}"
            time.sleep(0.005)

    def log(self, function: str) -> list[dict[str, Any]]:
        """The log of a function; when the server has ended, what it printed of it."""
        if self.process.returncode is None:
            lines: list[dict[str, Any]] = json.loads(self.http("GET", f"/_frostline/logs?function={function}")[2])["lines"]
            return lines
        return [line for line in self.lines if line.get("function") == function]

    def texts(self, function: str, kind: str = "function") -> list[str]:
        """The texts of its lines so far, of one type."""
        return [line["text"] for line in self.log(function) if line["type"] == kind]

    def until_logged(self, function: str, part: str, count: int = 1) -> list[str]:
        """Wait for so many lines of a function that contain `part`."""

        def found() -> list[str]:
            there = [line["text"] for line in self.lines if line.get("function") == function and part in line["text"]]
            return there if len(there) >= count else []

        return list(self.until(found, f"line of {function} with {part!r}"))

    # Its end -------------------------------------------------------------------------------------------------------------------------------

    def stop(self, signum: int = signal.SIGINT) -> int:
        """Signal it, and wait for its end; its exit status."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """Wait for its end."""
        status = self.process.wait(limit_s)
        self.finish()
        return status

    def finish(self) -> None:
        """Close what the tests hold of it; kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(LIMIT_S)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        self.client.close()

    def until_nothing_is_left(self, kind: str = "") -> None:
        """Wait for the end of all that was left, or of all of a kind (`process`)."""
        end = time.monotonic() + LIMIT_S
        while (left := [one for one in self.left_behind() if one.startswith(kind)]) and time.monotonic() < end:
            time.sleep(0.02)
        assert left == []

    def left_behind(self) -> list[str]:
        """What there still is of it: processes, control groups, files and mounts."""
        return [*processes(self.marker, self.run), *cgroups(self.run), *files(self.home)]


def surroundings(home: Path) -> dict[str, str]:
    """The environment variables that Frostline is started with: a temporary directory and a cache of the test's own.

    Runtime clients, which come from a package index, are shared with the user's cache.
    """
    cache = home / "cache" / "frostline"
    runtimes = default_cache() / "runtimes"
    temporary = home / "tmp"
    if not cache.exists():
        cache.mkdir(parents=True)
        runtimes.mkdir(parents=True, exist_ok=True)
        (cache / "runtimes").symlink_to(runtimes)
        temporary.mkdir()
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH", "GOCACHE", "GOPROXY")}
    return {**kept, "XDG_CACHE_HOME": str(cache.parent), "TMPDIR": str(temporary), "SECRET_OF_THE_HOST": "not for functions"}


def client(port: int) -> Any:
    """boto3 as its users configure it for a local endpoint, but that it does not try again by itself."""
    return boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=LIMIT_S, max_pool_connections=64, parameter_validation=False),
    )


def answer(response: Mapping[str, Any]) -> Answer:
    """boto3's answer to Invoke, with the body read."""
    body = response["Payload"].read()
    try:
        payload = json.loads(body)
    except ValueError:
        payload = body
    return Answer(
        status=response["StatusCode"],
        error=response.get("FunctionError"),
        payload=payload,
        log=base64.b64decode(response.get("LogResult", "")).decode(),
        request_id=response["ResponseMetadata"]["RequestId"],
        version=response.get("ExecutedVersion"),
    )


@contextlib.contextmanager
def up(home: Path, source: Path, *options: str, **more: Any) -> Iterator[Server]:
    """A server for a while; at its end nothing of it may be left."""
    server = Server(home, source, *options, **more)
    try:
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0, server.errors
        assert not [line for line in server.errors if "Traceback" in line], "".join(server.errors)
    finally:
        server.finish()
    assert server.left_behind() == []


class Held:
    """Whoever connects to it stands still until it is let go: it is known who runs at the same time as whom, however slow the machine is.

    Functions and extensions reach it as `host.frostline.internal`, and read until the end.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(LIMIT_S)
        self.port = int(self._listener.getsockname()[1])
        self._visitors: list[socket.socket] = []

    def wait(self, count: int) -> None:
        """Until so many more stand still."""
        self._visitors += [self._listener.accept()[0] for _ in range(count)]

    def let_go(self) -> None:
        """Those who stand still go on."""
        while self._visitors:
            self._visitors.pop().close()

    def close(self) -> None:
        self.let_go()
        self._listener.close()


def processes(marker: str, run: str) -> list[str]:
    """Processes that were started with this marker, that are in a control group of this run, or that see a mount of it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            theirs = marker.encode() in (entry / "environ").read_bytes() or any(
                run in (entry / name).read_text() for name in ("cgroup", "mountinfo")
            )
            if theirs:
                found.append(f"process {entry.name}: {(entry / 'cmdline').read_bytes().replace(bytes(1), b' ').decode(errors='replace')}")
        except OSError:
            continue
    return found


def open_connections(lines: Iterable[str], port: int, *, machine: bool) -> int:
    """How many connections to a port are ESTABLISHED in the networks that these processes see, each network counted once, and `machine`'s own or not."""
    tables: dict[int, str] = {}
    for line in lines:
        folder = Path("/proc", line.removeprefix("process ").partition(":")[0])
        with contextlib.suppress(OSError):
            tables[(folder / "ns" / "net").stat().st_ino] = "".join((folder / "net" / name).read_text() for name in ("tcp", "tcp6"))
    if not machine:
        tables.pop(Path("/proc/self/ns/net").stat().st_ino, None)
    rows = [row.split() for table in tables.values() for row in table.splitlines()]
    return sum(row[3] == "01" and int(row[2].partition(":")[2], 16) == port for row in rows)


def cgroups(run: str) -> list[str]:
    """Control groups of a run, in every hierarchy."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup" in line]
    return [f"{folder}/{name}" for point in points for folder, names, _ in os.walk(point) for name in names if run in name]


def files(home: Path) -> list[str]:
    """What is below the temporary directory, but for the folder in which each run has its own."""
    found = [os.path.join(folder, name) for folder, folders, names in os.walk(home / "tmp") for name in (*folders, *names)]
    return [path for path in found if os.path.dirname(path) != str(home / "tmp") or not os.path.basename(path).startswith("frostline-")]


def run_cli(
    home: Path, *arguments: str, stdin: bytes = b"", cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A short command of Frostline's."""
    return subprocess.run(
        [*FROSTLINE, *arguments],
        input=stdin,
        capture_output=True,
        timeout=LIMIT_S,
        cwd=cwd or home,
        env={**surroundings(home), **environment},
        check=False,
    )
