"""A small Runtime API, and a way to start a function's process against it: what the launchers are tested with.

It answers as Lambda does where launchers can tell, and remembers what it was sent.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from frostline.project import Deployment, Paths, Source, load, runtime_environment

PATIENCE_S = 20.0
"""How long a test waits for what must come; a busy machine starts a process in seconds."""


@dataclass
class Sent:
    """One request of the runtime's."""

    path: str
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str] = field(default_factory=dict)
    chunks: int = 0

    @property
    def kind(self) -> str:
        """`response`, `error`, or `init/error`."""
        return "init/error" if self.path.endswith("/init/error") else self.path.rpartition("/")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def trailer_error(self) -> Any:
        return json.loads(base64.b64decode(self.trailers["lambda-runtime-function-error-body"]))


class FakeRuntimeAPI:
    """Listens on loopback; `invoke` queues an event and waits for what the runtime makes of it."""

    def __init__(self) -> None:
        api = self
        self.events: queue.Queue[tuple[bytes, dict[str, str]] | None] = queue.Queue()
        self.sent: queue.Queue[Sent] = queue.Queue()
        self.waiting = threading.Semaphore(0)
        self.connections = 0
        self.count = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                api.connections += 1
                super().setup()

            def do_GET(self) -> None:
                api.waiting.release()
                event = api.events.get()
                if event is None:
                    self.close_connection = True
                    return
                body, headers = event
                self.answer(200, body, headers)

            def do_POST(self) -> None:
                sent = Sent(self.path, {name.lower(): value for name, value in self.headers.items()}, b"")
                if "chunked" in sent.headers.get("transfer-encoding", ""):
                    self.read_chunks(sent)
                else:
                    sent.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                api.sent.put(sent)
                self.answer(202, b'{"status":"OK"}', {})

            def read_chunks(self, sent: Sent) -> None:
                while size := int(self.rfile.readline(), 16):
                    sent.body += self.rfile.read(size)
                    sent.chunks += 1
                    self.rfile.readline()
                while line := self.rfile.readline().strip():
                    name, _, value = line.decode().partition(":")
                    sent.trailers[name.strip().lower()] = value.strip()

            def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                self.wfile.write(head.encode() + b"\r\n" + body)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a process that was killed hangs up in the middle: expected

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake Runtime API")
        self.thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def queue(self, event: object, **headers: str) -> str:
        """Hand an event to the next /next; returns its request id."""
        self.count += 1
        request_id = headers.pop("request_id", f"00000000-0000-4000-8000-{self.count:012d}")
        self.events.put(
            (
                event if isinstance(event, bytes) else json.dumps(event).encode(),
                {
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:test",
                    **{f"Lambda-Runtime-{name.replace('_', '-')}": value for name, value in headers.items()},
                },
            )
        )
        return request_id

    def took(self) -> Sent:
        """The next thing the runtime sent."""
        return self.sent.get(timeout=PATIENCE_S)

    def invoke(self, event: object, **headers: str) -> Sent:
        self.queue(event, **headers)
        return self.took()

    def wait_for_next(self) -> None:
        assert self.waiting.acquire(timeout=PATIENCE_S), "the runtime did not ask for an invocation"

    def close(self) -> None:
        for _ in range(8):
            self.events.put(None)
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@dataclass
class Running:
    """A started runtime process."""

    pid: int
    gate: int | None
    log_file: Path
    paths: Paths
    environment: dict[str, str]
    status: int | None = None
    gate_name: str = ""
    """What the gate is called among the process's open files."""

    def open_gate(self) -> None:
        assert self.gate is not None
        os.write(self.gate, b"\0")
        self.close_gate()

    def close_gate(self) -> None:
        if self.gate is not None:
            os.close(self.gate)
            self.gate = None

    @property
    def log(self) -> str:
        return self.log_file.read_bytes().decode() if self.log_file.exists() else ""

    def wait_for_log(self, text: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.log:
            assert time.monotonic() < deadline, f"{text!r} was not logged; the log is:\n{self.log}"
            time.sleep(0.01)
        return self.log

    def wait(self) -> int:
        """The exit status, negative for a signal."""
        if self.status is None:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.status = os.waitstatus_to_exitcode(status)
                    break
                assert time.monotonic() < deadline, f"the process did not end; the log is:\n{self.log}"
                time.sleep(0.01)
        return self.status


@contextmanager
def running(deployment: Deployment, api: FakeRuntimeAPI, folder: Path, *, open_gate: bool = True, **variables: str) -> Iterator[Running]:
    """The function's runtime process, started as `Launch` says, without namespaces: its directories are where they are on the host."""
    opt = folder / "opt"
    opt.mkdir()
    for layer in deployment.layers:
        shutil.copytree(layer, opt, dirs_exist_ok=True)
    launch = deployment.launch
    paths = Paths(task=str(deployment.code), opt=str(opt), runtime=str(launch.runtime_dir or "/var/runtime"))
    environment = {
        **runtime_environment(deployment.function, launch, api=api.address, log_stream="2026/11/22/[$LATEST]0123", paths=paths),
        **variables,
    }
    log = folder / "log"
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    write = None
    if launch.gate:
        low, write = os.pipe()
        read = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 20)
        os.close(low)
        actions.append((os.POSIX_SPAWN_DUP2, read, 3))
    argv = launch.command(paths)
    directory = Path.cwd()
    os.chdir(deployment.code)
    try:
        pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions, setpgroup=0)
    finally:
        os.chdir(directory)
    if launch.gate:
        os.close(read)
    process = Running(pid, write, log, paths, environment, gate_name=f"pipe:[{os.fstat(write).st_ino}]" if write is not None else "")
    try:
        if launch.gate and open_gate:
            process.open_gate()
        yield process
    finally:
        process.close_gate()
        if process.status is None:
            os.killpg(pid, signal.SIGKILL)
            process.wait()


def deployed(path: Path, cache: Path, **options: Any) -> Deployment:
    """The only function at a path."""
    (deployment,) = load(Source(path=path, cache=cache, **options)).functions
    return deployment
