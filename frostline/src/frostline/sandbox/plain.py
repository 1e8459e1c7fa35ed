"""Environments without namespaces, for macOS and for Linux systems that refuse namespaces: ordinary processes, stopped by signals.

They see the machine as their user does. Nothing is hidden from them and nothing but signals holds them; the level says so.
"""

from __future__ import annotations

import socket
from pathlib import Path

from .caged import CagedSandbox
from .environment import Environment, start_connecting
from .guard import Warden
from .port import Blueprint, FreezeMethod, Level, Paths, SandboxError
from .rundir import RunDirectory
from .warden.protocol import Message

NO_CAGE = (
    "functions run without a sandbox: they see this machine's files and network as you do, the network does not freeze, and /var/task, /opt "
    "and /tmp are ordinary directories; a Linux machine that allows user namespaces gives each environment its own"
)


class PlainSandbox(CagedSandbox):
    """A `Sandbox` of process trees. The Runtime API is at a port of 127.0.0.1."""

    async def _prepare(self, warden: Warden, run: RunDirectory) -> Level:
        del run
        if self._wanted in ("cgroup-v2", "cgroup-v1"):
            raise SandboxError(f"{self._wanted} freezes environments that have namespaces, and these have none; use signals")
        await warden.open("plain", self._plan)
        freezer: FreezeMethod = self._wanted or "signals"
        return Level(cage="plain", freezer=freezer, network=False, egress=True, memory_limit=False, process_limit=False, notes=(NO_CAGE,))

    def _request(self, blueprint: Blueprint, run: RunDirectory) -> Message:
        for path in (blueprint.code, *blueprint.layers, *(() if blueprint.runtime is None else (blueprint.runtime,))):
            if not path.is_dir():
                raise SandboxError(f"there is no directory {path}")
        several = len(blueprint.layers) > 1
        return {
            "op": "keep",
            "environment": blueprint.environment,
            "home": str(_home(blueprint, run)),
            "merge": [str(layer) for layer in blueprint.layers] if several else [],
        }

    def _paths(self, blueprint: Blueprint, run: RunDirectory) -> Paths:
        home = _home(blueprint, run)
        runtime = str(blueprint.runtime or home / "runtime")
        return Paths(
            task=str(blueprint.code),
            opt=str(blueprint.layers[0] if len(blueprint.layers) == 1 else home / "opt"),
            runtime=runtime,
            language=f"{runtime}/lang",
            tmp=str(home / "tmp"),
        )

    def _ready(self, environment: Environment, fds: list[int]) -> None:
        environment.api = socket.socket(fileno=fds[0])
        environment.api_address = "{}:{}".format(*environment.api.getsockname())

    def connect(self, environment: str, port: int) -> socket.socket:
        """A non-blocking TCP socket, connecting to this machine's loopback, which is the environment's too."""
        if self._known(environment).head is None:
            raise ConnectionRefusedError(f"environment {environment} is not running")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        start_connecting(sock, port)
        return sock


def _home(blueprint: Blueprint, run: RunDirectory) -> Path:
    return run.path / "homes" / blueprint.environment
