"""Starts the servers that are measured, each on the same function with the same interpreter, and stops them again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LISTENS_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0

HANDLER = '''\
"""The function that is measured: nothing but what an invocation itself costs."""

import os
import time


def handler(event, context):
    until = event.get("until")
    if until:
        time.sleep(max(0.0, until - time.time()))
        return os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
    return event
'''

TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31

Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: function
      CodeUri: code
      Handler: lambda_function.handler
      Runtime: {runtime}
      Timeout: 600
      MemorySize: 128
      ReservedConcurrentExecutions: {concurrency}
"""


class ServerError(Exception):
    """A server could not be started; the message has its own words."""


@dataclass(frozen=True)
class Python:
    """The interpreter that every server runs the function with, and where AWS's runtime client lies for it."""

    runtime: str
    """AWS's identifier: `python3.11`."""
    executable: str
    client: Path


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    port: int
    process: subprocess.Popen[bytes]
    listening_after: float
    """Seconds from its start until it took a connection."""


def find_python() -> Python:
    """This very Python's installation, with the runtime client that frostline uses. Raises frostline's `ProjectError`."""
    from frostline.project.model import default_cache
    from frostline.project.runtimes import interpreters, python

    version = sys.version_info[:2]
    found = interpreters.find(version)
    if found is None:
        raise ServerError(f"frostline finds no Python {version[0]}.{version[1]} on this machine, although it runs on one")
    client = python.ensure(version, default_cache(), lambda message: print(message, file=sys.stderr))
    return Python(f"python{version[0]}.{version[1]}", found.executable, client)


def make_project(folder: Path, python: Python, concurrency: int) -> Path:
    """Write the function and its template into a folder; returns the folder."""
    code = folder / "code"
    code.mkdir(parents=True)
    (code / "lambda_function.py").write_text(HANDLER)
    (folder / "template.yaml").write_text(TEMPLATE.format(runtime=python.runtime, concurrency=concurrency))
    for path in (folder, code):
        path.chmod(0o755)  # a function's own user reads it
    return folder


NODE_TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31

Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: function
      CodeUri: code
      Handler: index.handler
      Runtime: nodejs20.x
"""

SERVERLESS = """\
service: bench
provider:
  name: aws
  runtime: nodejs20.x
functions:
  function:
    handler: code/index.handler
plugins:
  - serverless-offline
"""


def make_node_project(folder: Path) -> Path:
    """The same function in Node, described for frostline and for serverless-offline."""
    code = folder / "code"
    code.mkdir(parents=True)
    (code / "index.js").write_text("exports.handler = async (event) => event;\n")
    (folder / "template.yaml").write_text(NODE_TEMPLATE)
    (folder / "serverless.yml").write_text(SERVERLESS)
    for path in (folder, code):
        path.chmod(0o755)
    return folder


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def frostline_command() -> list[str]:
    """The command line of the frostline that lies beside this interpreter."""
    beside = Path(sys.executable).with_name("frostline")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "frostline.cli.main"]


def frostline_takes(option: str) -> bool:
    """Whether `frostline up` has an option."""
    said = subprocess.run([*frostline_command(), "up", "--help"], capture_output=True, text=True, check=False)
    return option in said.stdout


@contextmanager
def frostline(project: Path, options: Sequence[str] = ()) -> Iterator[Server]:
    """`frostline up` on a project."""
    port = free_port()
    with running([*frostline_command(), "up", str(project), "--port", str(port), *options], port, dict(os.environ), project) as server:
        yield server


@contextmanager
def rie(binary: Path, project: Path, python: Python) -> Iterator[Server]:
    """AWS's runtime interface emulator on the same function, with AWS's runtime client under the same interpreter."""
    port = free_port()
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{free_port()}"]
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))},
        "PYTHONPATH": str(python.client),
        "LAMBDA_TASK_ROOT": str(project / "code"),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "600",
    }
    runtime = [python.executable, "-m", "awslambdaric", "lambda_function.handler"]
    with running([str(binary), "--log-level", "error", *addresses, *runtime], port, env, project / "code") as server:
        yield server


@contextmanager
def running(command: list[str], port: int, env: dict[str, str], cwd: Path) -> Iterator[Server]:
    """Run a server for as long as the block lasts, from the moment it listens. Raises `ServerError`."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while not _listens(port):
                if process.poll() is not None or time.perf_counter() - began > LISTENS_WITHIN_S:
                    output.seek(0)
                    said = output.read().decode("utf-8", "replace").strip()[-2000:]
                    raise ServerError(f"{' '.join(command)}: does not listen on port {port}\n{said}")
                time.sleep(0.002)
            yield Server(port, process, time.perf_counter() - began)
        finally:
            _stop(process)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server as a user would, and what is left of its own session by force."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOPS_WITHIN_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
