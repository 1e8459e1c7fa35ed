"""Scripted processes for `FakeSandbox`: a program is an async function, and what it does to Lambda's APIs goes over real HTTP.

    async def program(process: Process) -> None:            a runtime by hand
        event = await process.next()
        process.print("working")
        await process.respond(event.request_id, b'"done"')

    runtime(lambda process, event: event.payload)            or the loop that every runtime client has

A program stands still while its environment is frozen: every step of it, whatever it awaits, is taken only while the environment runs
(`Thread`). Its timers run on, as a real process's do, and are overdue at the thaw. It ends by returning (its exit status, None for 0), by
raising `Exit`, by an exception (a traceback in its output, status 1) or by a signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import struct
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable
from types import coroutine
from typing import Any, Literal

from msgspec import Struct

from ..sandbox.port import ProcessSpec
from .http_client import Connection, Headers, Response, chunk

RUNTIME = "/2018-06-01/runtime"
EXTENSION = "/2020-01-01/extension"
TELEMETRY = "/2022-07-01/telemetry"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Exit(Exception):
    """A program's way to end with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Event(Struct, frozen=True, kw_only=True):
    """An invocation as a runtime gets it from `/next`."""

    request_id: str
    payload: bytes
    headers: dict[str, str]
    """Lower-case names."""

    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


class Process:
    """A program's view of the world: who it is, its output, and a client for the APIs of its environment."""

    def __init__(
        self, environment: str, spec: ProcessSpec, running: asyncio.Event, write: Callable[[str, Literal["text", "frames"], bytes], None]
    ) -> None:
        self.environment = environment
        self.spec = spec
        self.terminated = asyncio.Event()
        """SIGTERM arrived (only for a program that said `catch_sigterm`; it ends all others)."""
        self.catches_sigterm = False
        self.ports: dict[int, int] = {}
        """Ports that it listens on, in the environment's own numbers, and the real ones behind them."""
        self._running = running
        self._write = write
        self._connections: list[Connection] = []
        self._own: Connection | None = None
        self._threads: list[Thread] = []
        self._servers: list[asyncio.Server] = []

    def __repr__(self) -> str:
        return f"<Process {self.spec.name} in {self.environment}>"

    @property
    def name(self) -> str:
        """`runtime`, or `extension:<file name>`."""
        return self.spec.name

    @property
    def env(self) -> dict[str, str]:
        """Its environment variables."""
        return self.spec.env

    # Output ------------------------------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write to standard output."""
        self._write(self.name, "text", data)

    def print(self, text: str) -> None:
        """Write a line."""
        self.write(f"{text}\n".encode())

    def log(self, message: str) -> None:
        """Write a message to AWS's framed log pipe, as runtime clients do. Raises RuntimeError for a process without one."""
        if not self.spec.telemetry_log:
            raise RuntimeError(f"{self!r} has no log pipe")
        data = message.encode()
        self._write(self.name, "frames", struct.pack(">IIQ", 0xA55A0003, len(data), int(time.time() * 1e6)) + data)

    # HTTP --------------------------------------------------------------------------------------------------------------------------------

    async def connect(self) -> Connection:
        """A further connection to the APIs; it is closed when the process ends."""
        host, _, port = self.env["AWS_LAMBDA_RUNTIME_API"].rpartition(":")
        connection = await Connection.open(host, int(port))
        self._connections.append(connection)
        return connection

    async def request(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Response:
        """A request on the process's own connection, which is kept and replaced when it broke."""
        if self._own is None or self._own.closed:
            self._own = await self.connect()
        return await self._own.request(method, path, headers, body)

    # The Runtime API ---------------------------------------------------------------------------------------------------------------------

    async def next(self) -> Event:
        """`GET /next`: the next invocation. Raises RuntimeError when it is refused."""
        response = await self.request("GET", f"{RUNTIME}/invocation/next")
        if response.status != 200:
            raise RuntimeError(f"/next was refused: {response.status} {response.body.decode()}")
        return Event(request_id=response.headers["lambda-runtime-aws-request-id"], payload=response.body, headers=response.headers)

    async def respond(self, request_id: str, payload: bytes, content_type: str = "application/json") -> Response:
        """`POST /response`."""
        return await self.request("POST", f"{RUNTIME}/invocation/{request_id}/response", [("Content-Type", content_type)], payload)

    async def stream(
        self, request_id: str, parts: AsyncIterator[bytes], content_type: str = "application/octet-stream", *, error: str | None = None
    ) -> Response:
        """`POST /response`, streamed. `error` becomes the error type in the trailers, as a handler's failure half-way does."""
        connection = await self.connect()
        headers = [("Content-Type", content_type), ("Lambda-Runtime-Function-Response-Mode", "streaming"), ("Transfer-Encoding", "chunked")]
        await connection.send_head("POST", f"{RUNTIME}/invocation/{request_id}/response", headers)
        async for part in parts:
            await connection.send(chunk(part))
        trailer = f"Lambda-Runtime-Function-Error-Type: {error}\r\n" if error is not None else ""
        await connection.send(f"0\r\n{trailer}\r\n".encode())
        return await connection.read()

    async def fail(self, request_id: str, error_type: str, message: str) -> Response:
        """`POST /error`: the handler raised an exception."""
        body = json.dumps({"errorType": error_type, "errorMessage": message, "stackTrace": []}).encode()
        return await self.request(
            "POST", f"{RUNTIME}/invocation/{request_id}/error", [("Lambda-Runtime-Function-Error-Type", error_type)], body
        )

    async def fail_init(self, error_type: str, message: str) -> Response:
        """`POST /init/error`: the function's static code failed."""
        body = json.dumps({"errorType": error_type, "errorMessage": message, "stackTrace": []}).encode()
        return await self.request("POST", f"{RUNTIME}/init/error", [("Lambda-Runtime-Function-Error-Type", error_type)], body)

    # The Extensions and Telemetry APIs ---------------------------------------------------------------------------------------------------

    async def register(self, *events: str, name: str | None = None) -> str:
        """Register as an extension, by default the one that this process is; its identifier. Raises RuntimeError when it is refused."""
        name = name or self.name.removeprefix("extension:")
        body = json.dumps({"events": events}).encode()
        response = await self.request("POST", f"{EXTENSION}/register", [("Lambda-Extension-Name", name)], body)
        if response.status != 200:
            raise RuntimeError(f"the registration was refused: {response.status} {response.body.decode()}")
        return response.headers["lambda-extension-identifier"]

    async def next_event(self, identifier: str) -> dict[str, Any]:
        """An extension's `GET /event/next`: INVOKE or SHUTDOWN. Raises RuntimeError when it is refused."""
        response = await self.request("GET", f"{EXTENSION}/event/next", [("Lambda-Extension-Identifier", identifier)])
        if response.status != 200:
            raise RuntimeError(f"/event/next was refused: {response.status} {response.body.decode()}")
        event: dict[str, Any] = json.loads(response.body)
        return event

    async def subscribe(
        self, identifier: str, destination: dict[str, object], *, types: Iterable[str], buffering: dict[str, int] | None = None
    ) -> Response:
        """Subscribe to the Telemetry API."""
        subscription: dict[str, object] = {"schemaVersion": "2022-12-13", "types": list(types), "destination": destination}
        if buffering is not None:
            subscription["buffering"] = buffering
        return await self.request("PUT", TELEMETRY, [("Lambda-Extension-Identifier", identifier)], json.dumps(subscription).encode())

    # Life --------------------------------------------------------------------------------------------------------------------------------

    def catch_sigterm(self) -> None:
        """Do not end at SIGTERM: `terminated` is set instead."""
        self.catches_sigterm = True

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Another thread of the process: it is frozen with it and ends with it."""
        self._threads.append(Thread(self._running, work, f"{self!r}, a thread"))

    async def listen(self, port: int, serve: Serve) -> None:
        """Listen on a port of the environment's loopback, where telemetry can be sent to. What comes waits while it is frozen."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def served() -> None:
                with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
                    await serve(reader, writer)

            self.spawn(served())

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        self.ports[port] = server.sockets[0].getsockname()[1]

    def let_go(self) -> None:
        """The process ended: close what it had open, as the kernel does."""
        for server in self._servers:
            server.close()
        for thread in self._threads:
            thread.kill()
        for connection in self._connections:
            connection.abort()


Program = Callable[[Process], Coroutine[Any, Any, int | None]]
"""What a process does."""

Handler = Callable[[Process, Event], bytes | AsyncIterator[bytes] | Awaitable[bytes | AsyncIterator[bytes]]]
"""A function's handler: the response, whole or (an async iterator) streamed. An exception is the function's error."""


def runtime(handler: Handler) -> Program:
    """A runtime client: `/next`, the handler, `/response` or `/error`, again and again."""

    async def program(process: Process) -> int | None:
        while True:
            event = await process.next()
            try:
                answer = handler(process, event)
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exit:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the function's error
                await process.fail(event.request_id, type(error).__name__, str(error))
                continue
            if isinstance(answer, bytes):
                await process.respond(event.request_id, answer)
            else:
                await process.stream(event.request_id, answer)

    return program


async def run(program: Program, process: Process) -> int:
    """A program to its end: its exit status."""
    try:
        return await program(process) or 0
    except Exit as ended:
        return ended.status
    except Exception:  # noqa: BLE001 - a program that fails is part of the play
        process.write(traceback.format_exc().encode())
        return 1


class Thread:
    """A coroutine, each step of which is taken only while `running` is set.

    What it waits for goes on without it, as the world does without a frozen process: a timer runs, bytes arrive in a socket. It sees none
    of that before it runs again; neither does it see a cancellation (a timeout of its own).
    """

    def __init__(self, running: asyncio.Event, work: Coroutine[Any, Any, Any], name: str) -> None:
        self._running = running
        self._work = work
        self._killed = False
        self.task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(self._all(), name=name)
        self.task.add_done_callback(self._end)

    def kill(self) -> None:
        """End it, wherever it is, frozen or not."""
        self._killed = True
        self.task.cancel()

    async def _all(self) -> object:
        return await self._steps()

    @coroutine
    def _steps(self) -> Generator[Any, Any, Any]:
        thrown: BaseException | None = None
        while True:
            while not self._running.is_set():
                try:
                    yield from self._running.wait().__await__()
                except asyncio.CancelledError as cancelled:
                    if self._killed:
                        raise
                    thrown = cancelled
            try:
                waits_for = self._work.send(None) if thrown is None else self._work.throw(thrown)
            except StopIteration as ended:
                return ended.value
            thrown = None
            try:
                yield waits_for
            except BaseException as error:
                if self._killed:
                    raise
                thrown = error

    def _end(self, _: object) -> None:
        with contextlib.suppress(RuntimeError):  # it may refuse to end, and is not asked
            self._work.close()
