"""Frostline on a fake sandbox: the control plane, a service, the Invoke API on a port of loopback, and somebody who calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from frostline.control.invoke_server import InvokeServer
from frostline.control.plane import ControlPlane
from frostline.control.service import Service
from frostline.core.effects import Effect
from frostline.core.events import Event
from frostline.core.function import Function
from frostline.core.policy import Policy
from frostline.project import Deployment, Launch, Project, Seen, Source
from frostline.testing import builders
from frostline.testing.fake_sandbox import FakeSandbox
from frostline.testing.http_client import Connection, Headers, Response
from frostline.testing.laws import Laws

POLICY = Policy(spares=0, retry_delay_s=0.01, throttle_retry_s=0.01, init_timeout_s=60.0)
"""No environments that a test did not ask for, no long waits, and no limit that a busy machine runs into."""

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=20, connect_timeout=5)


def function(name: str = "f", **configuration: object) -> Function:
    """A function that has more time than any test needs, where the test does not say otherwise."""
    return builders.function(name, **{"timeout_s": 60.0, **configuration})


class Witness:
    """Stands where the ring's story is: sees every event with its effects, holds them to the laws, and hands them on to the real story."""

    def __init__(self, plane: ControlPlane) -> None:
        self.laws = Laws()
        self.failures: list[BaseException] = []
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self._fleet = plane.ring.fleet
        self._story = plane.ring.story
        plane.ring.story = self  # type: ignore[assignment]

    def record(self, event: Event, effects: list[Effect], now: float) -> None:
        self.events.append(event)
        self.effects += effects
        try:
            self.laws.observe(event, effects)
            self._fleet.validate()
        except AssertionError as broken:  # said at the end: here the ring would only print it
            self.failures.append(broken)
        if self._story is not None:
            self._story.record(event, effects, now)

    @property
    def failed(self) -> str | None:
        return self._story.failed if self._story is not None else None

    def flush(self) -> None:
        if self._story is not None:
            self._story.flush()

    def close(self) -> None:
        if self._story is not None:
            self._story.close()


class Rig:
    """Started by a test with the functions that it wants; what it needs of the parts is public."""

    def __init__(self, sandbox: FakeSandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.notes: list[str] = []
        self.plane: ControlPlane
        self.service: Service
        self.server: InvokeServer
        self.witness: Witness
        self.port = 0
        self._connections: list[Connection] = []
        self._clients: list[Any] = []

    # Life --------------------------------------------------------------------------------------------------------------------------------

    async def start(
        self, *functions: Function, policy: Policy = POLICY, story: Path | None = None, gate: bool = True, after_s: float | None = None
    ) -> Rig:
        """Serve these functions (by default one, called f), whatever their code is."""
        deployments = tuple(self.deployment(each, gate=gate) for each in functions or (function(),))
        project = Project(source=Source(path=self.folder), functions=deployments, watched=(), origin=self.folder)
        return await self.serve(project, policy=policy, story=story, watch=False, after_s=after_s)

    def deployment(self, each: Function, *, gate: bool = True) -> Deployment:
        return Deployment(function=each, code=self.folder, launch=Launch(argv=(Seen("task", "bootstrap"),), gate=gate))

    async def serve(
        self, project: Project, *, policy: Policy = POLICY, story: Path | None = None, watch: bool = True, after_s: float | None = None
    ) -> Rig:
        """Serve a project as `frostline up` does."""
        self.plane = ControlPlane(self.sandbox.opened, policy=policy, story=story, after_s=after_s, note=self.notes.append)
        await self.plane.open()
        self.witness = Witness(self.plane)
        self.service = Service(self.plane, project, note=self.notes.append, watch=watch)
        self.server = InvokeServer(self.service)
        self.port = await self.server.listen("127.0.0.1", 0)
        return self

    async def close(self) -> None:
        if not self.port:
            return
        self.sandbox.release()
        self.sandbox.fails.clear()
        await self.plane.close()
        await self.server.close()
        self.service.close()
        for connection in self._connections:
            connection.abort()
        for client in self._clients:
            client.close()
        await asyncio.sleep(0.01)  # sockets that were closed on this side are seen to be closed on the other

    def look_back(self) -> None:
        """What must be true of every run."""
        if not self.port:
            return
        for broken in self.witness.failures:
            raise broken
        self.witness.laws.finished()
        assert self.sandbox.complaints == []
        assert self.sandbox.environments == {}
        assert len(self.plane.invokers) == 0

    # Callers -----------------------------------------------------------------------------------------------------------------------------

    async def connect(self) -> Connection:
        connection = await Connection.open("127.0.0.1", self.port)
        self._connections.append(connection)
        return connection

    async def http(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Response:
        """A request on a connection of its own."""
        connection = await self.connect()
        try:
            return await connection.request(method, path, headers, body)
        finally:
            connection.abort()

    async def invoke(self, payload: object = None, name: str = "f", *, kind: str = "RequestResponse", tail: bool = False) -> Response:
        headers = [("X-Amz-Invocation-Type", kind), ("X-Amz-Log-Type", "Tail" if tail else "None")]
        return await self.http("POST", invocations(name), headers, json.dumps(payload).encode())

    async def boto(self, call: Callable[[Any], Any]) -> Any:
        """Something done with a boto3 client, in a thread of its own."""
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=ONCE,
        )
        self._clients.append(client)
        return await asyncio.to_thread(call, client)

    # What became of it -------------------------------------------------------------------------------------------------------------------

    async def log(self, name: str = "f") -> list[str]:
        response = await self.http("GET", f"/_frostline/logs?function={name}")
        return [line["text"] for line in response.json()["lines"]]

    async def states(self) -> list[str]:
        response = await self.http("GET", "/_frostline/environments")
        return sorted(each["state"] for each in response.json()["environments"])

    def seen(self, *kinds: type[Event] | type[Effect]) -> list[Any]:
        """The events and effects of these classes so far."""
        everything: Iterable[Event | Effect] = (*self.witness.events, *self.witness.effects)
        return [each for each in everything if isinstance(each, kinds)]


def invocations(name: str = "f") -> str:
    """The path of Invoke."""
    return f"/2015-03-31/functions/{name}/invocations"


async def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that nothing reports: looked at in each turn of the loop."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
