"""Between the Runtime API and a Go binary that knows only `_LAMBDA_SERVER_PORT`: `python bridge.py EXECUTABLE`, inside an execution environment.

Such a binary listens on that port of localhost and is called by Go's `net/rpc`: `Function.Invoke` for each invocation. This process starts it, takes
invocations from the Runtime API, and ends as it ends, so that whoever watches this process sees the function's own exit.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

if not __package__:
    # Run as a program, isolated from everything but its own folder, whatever that is called where it is mounted.
    folder = Path(__file__).parent
    sys.path.insert(0, str(folder.parent))
    __package__ = importlib.import_module(folder.name).__name__

from . import gob

API = "/2018-06-01/runtime"

_HEADER, _INVOKE, _TIMESTAMP = 65, 66, 67
"""Type ids; those below 64 are Go's own."""

_HEADER_FIELDS: gob.Fields = (("ServiceMethod", gob.STRING), ("Seq", gob.UINT))
_TIMESTAMP_FIELDS: gob.Fields = (("Seconds", gob.INT), ("Nanos", gob.INT))
_INVOKE_FIELDS: gob.Fields = (
    ("Payload", gob.BYTES),
    ("RequestId", gob.STRING),
    ("XAmznTraceId", gob.STRING),
    ("Deadline", _TIMESTAMP),
    ("InvokedFunctionArn", gob.STRING),
    ("CognitoIdentityId", gob.STRING),
    ("CognitoIdentityPoolId", gob.STRING),
    ("ClientContext", gob.BYTES),
)
_NESTED = {_TIMESTAMP: _TIMESTAMP_FIELDS}
_DEFINITIONS = {
    "header": gob.define(_HEADER, "Request", _HEADER_FIELDS),
    "invoke": gob.define(_INVOKE, "InvokeRequest", _INVOKE_FIELDS) + gob.define(_TIMESTAMP, "InvokeRequest_Timestamp", _TIMESTAMP_FIELDS),
}


class Function:
    """A connection to the binary's `net/rpc` server."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.stream = connection.makefile("rb")
        self.decoder = gob.Decoder(self.read)
        self.calls = 0

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises ConnectionError when the binary hangs up."""
        data = self.stream.read(size)
        if len(data) < size:
            raise ConnectionError("the function closed the connection")
        return data

    def invoke(self, request: dict[str, bytes | str | int | dict[str, int]]) -> dict[str, gob.Value]:
        """Call `Function.Invoke`; its InvokeResponse. Raises ConnectionError, or GobError for an answer that is none."""
        header = gob.message(_HEADER, gob.struct(_HEADER_FIELDS, {"ServiceMethod": "Function.Invoke", "Seq": self.calls}, {}))
        body = gob.message(_INVOKE, gob.struct(_INVOKE_FIELDS, request, _NESTED))
        if self.calls == 0:
            header, body = _DEFINITIONS["header"] + header, _DEFINITIONS["invoke"] + body
        self.calls += 1
        self.connection.sendall(header + body)
        told = self.decoder.value()
        answer = self.decoder.value()
        if told.get("Error"):
            raise gob.GobError(str(told["Error"]))
        return answer


class RuntimeAPI:
    """The Runtime API, on one kept connection."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(address)

    def next(self) -> tuple[http.client.HTTPMessage, bytes]:
        """Wait for an invocation: its headers and its event."""
        self.connection.request("GET", f"{API}/invocation/next")
        answer = self.connection.getresponse()
        return answer.headers, answer.read()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        self.connection.request("POST", API + path, body, {"Content-Type": "application/json", **headers})
        self.connection.getresponse().read()


def invoke_request(headers: http.client.HTTPMessage, event: bytes) -> dict[str, bytes | str | int | dict[str, int]]:
    """An InvokeRequest, from what the Runtime API says about an invocation."""
    deadline_ms = int(headers.get("Lambda-Runtime-Deadline-Ms", "0"))
    try:
        identity = {name.lower(): value for name, value in json.loads(headers.get("Lambda-Runtime-Cognito-Identity", "{}")).items()}
    except (ValueError, AttributeError):
        identity = {}
    return {
        "Payload": event,
        "RequestId": headers.get("Lambda-Runtime-Aws-Request-Id", ""),
        "XAmznTraceId": headers.get("Lambda-Runtime-Trace-Id", ""),
        "Deadline": {"Seconds": deadline_ms // 1000, "Nanos": deadline_ms % 1000 * 1_000_000},
        "InvokedFunctionArn": headers.get("Lambda-Runtime-Invoked-Function-Arn", ""),
        "CognitoIdentityId": str(identity.get("cognitoidentityid", "")),
        "CognitoIdentityPoolId": str(identity.get("cognitoidentitypoolid", "")),
        "ClientContext": headers.get("Lambda-Runtime-Client-Context", "").encode("latin-1"),
    }


def error_report(error: dict[str, gob.Value]) -> dict[str, object]:
    """An InvokeResponse_Error in the Runtime API's shape."""
    report: dict[str, object] = {"errorMessage": error.get("Message", ""), "errorType": error.get("Type", "")}
    frames = error.get("StackTrace")
    if isinstance(frames, list) and frames:
        report["stackTrace"] = [
            {"path": frame.get("Path", ""), "line": frame.get("Line", 0), "label": frame.get("Label", "")}
            for frame in frames
            if isinstance(frame, dict)
        ]
    return report


def connect(process: subprocess.Popen[bytes], port: int) -> socket.socket | None:
    """A connection, as soon as the binary listens; None when it ended before."""
    while process.poll() is None:
        try:
            connection = socket.create_connection(("localhost", port))
        except OSError:
            time.sleep(0.002)
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    return None


def serve(function: Function, api: RuntimeAPI) -> None:
    """Serve invocations until the binary asks to be ended, or ends. Raises ConnectionError for the latter."""
    while True:
        headers, event = api.next()
        invocation = f"/invocation/{headers['Lambda-Runtime-Aws-Request-Id']}"
        answer = function.invoke(invoke_request(headers, event))
        error = answer.get("Error")
        if not isinstance(error, dict):
            payload = answer.get("Payload", b"null")
            api.post(f"{invocation}/response", payload if isinstance(payload, bytes) else b"null", {})
            continue
        report = error_report(error)
        api.post(
            f"{invocation}/error", json.dumps(report).encode(), {"Lambda-Runtime-Function-Error-Type": str(report["errorType"]) or "error"}
        )
        if error.get("ShouldExit"):
            return


def main(arguments: list[str]) -> int:
    """Start `EXECUTABLE`, serve it, and end as it ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(arguments, env={**os.environ, "_LAMBDA_SERVER_PORT": str(port)})
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    connection = connect(process, port)
    if connection is not None:
        try:
            serve(Function(connection), RuntimeAPI(os.environ["AWS_LAMBDA_RUNTIME_API"]))
        except ConnectionError:
            pass  # it ended
        else:
            process.kill()
            process.wait()
            return 1
    status = process.wait()
    if status < 0:
        # Ended by a signal: so shall this process be.
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
