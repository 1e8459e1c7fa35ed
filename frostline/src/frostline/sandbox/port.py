"""The port between the control plane and whatever really runs processes.

`control` calls a `Sandbox` and is told what came of it by `frostline.core.events`, through the `report` callable it handed over.
Every call returns at once; nothing here waits. The order of answers for one environment is the order in which things
happened; answers of different environments are unordered.

Two cages implement it (`namespaces` on Linux, `plain` elsewhere and where namespaces are refused), and `frostline.testing` has a fake.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from ..core.conditions import Conditions
from ..core.events import SandboxEvent

FreezeMethod = Literal["cgroup-v2", "cgroup-v1", "signals", "off"]
CageKind = Literal["namespaces", "plain"]

API_ADDRESS = "169.254.100.1:9001"
"""Where the Runtime API is, inside an environment that has a network namespace of its own: the address seen on AWS (2026-02)."""


class SandboxError(Exception):
    """There is no sandbox, or not the one that was asked for. The text is a sentence or two for a person."""


class Blueprint(Struct, frozen=True, kw_only=True):
    """What one environment's sandbox is made of. Paths are the host's."""

    environment: str
    code: Path
    """A directory, seen read-only at `/var/task`."""
    layers: tuple[Path, ...] = ()
    """Directories merged at `/opt`; a later one hides an earlier one's files, as on AWS."""
    runtime: Path | None = None
    """A directory seen read-only at `/var/runtime`, or None."""
    extra_read_only: tuple[Path, ...] = ()
    """Further host directories seen read-only at their own paths: the interpreter's installation."""
    tmp_mb: int = 512
    memory_mb: int | None = None
    """Limit for the environment's memory, in MiB; None for no limit."""
    processes: int = 1024
    """Most processes and threads: AWS's limit is 1,024."""


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """A process to start inside an environment. Paths are the environment's."""

    name: str
    """`runtime`, or `extension:<file name>`: unique within the environment while it runs."""
    argv: tuple[str, ...]
    """`argv[0]` is a path inside the environment; it is not looked up on PATH."""
    env: dict[str, str]
    """The whole environment: nothing of the host's is added."""
    cwd: str = "/var/task"
    gate: bool = False
    """The process waits at file descriptor 3 for one byte before it goes on (see `Sandbox.open_gate`)."""
    telemetry_log: bool = False
    """Give the process AWS's framed log pipe, its descriptor number in `_LAMBDA_TELEMETRY_LOG_FD`."""


class Ports(Struct, frozen=True, kw_only=True):
    """What a started environment offers to the control plane; whoever takes it owns the descriptors and closes them."""

    api: socket.socket
    """A listening TCP socket on the Runtime API's address, inside the environment."""
    api_address: str
    """What the environment's processes are told in `AWS_LAMBDA_RUNTIME_API`."""


class Paths(Struct, frozen=True, kw_only=True):
    """Where an environment's processes find its directories: AWS's paths in a namespace, the host's without one."""

    task: str = "/var/task"
    opt: str = "/opt"
    runtime: str = "/var/runtime"
    language: str = "/var/lang"
    """`lang` in the runtime's directory."""
    tmp: str = "/tmp"  # noqa: S108 - the environment's own


class Level(Struct, frozen=True, kw_only=True):
    """What this machine allows, said at start and never overstated."""

    cage: CageKind
    freezer: FreezeMethod
    network: bool
    """Environments have a network namespace of their own."""
    egress: bool
    """They can reach the outside."""
    network_freezes: bool = False
    """Their network stands still while their processes do."""
    warps: bool = False
    """An environment's clocks can be moved while it is frozen (`Sandbox.warp`), as was asked for."""
    memory_limit: bool
    process_limit: bool
    notes: tuple[str, ...] = ()
    """Sentences for a person: what is missing, and what it would take."""


class Sandbox(Protocol):
    """Runs environments. Every method returns at once; outcomes come through `report` and `on_output`."""

    report: Callable[[SandboxEvent], None]
    """Called in the event loop's thread with EnvironmentStarted, EnvironmentStartFailed, ProcessExited, EnvironmentFrozen,
    EnvironmentFreezeFailed, EnvironmentWarped, EnvironmentThawed, ProcessesKilled, EnvironmentGone, and the NetworkEvents. Set by the control plane before
    `open`."""

    on_output: Callable[[str, str, Literal["text", "frames"], bytes], None]
    """`(environment, process, kind, data)`: raw bytes that a process wrote to stdout or stderr (`text`), or to the framed log pipe."""

    conditions: dict[str | None, Conditions]
    """What connections meet: under None all environments', and those of environments that have their own. To be read; `decide` changes it."""

    on_note: Callable[[str | None, str], None]
    """`(environment, sentence)`: what a person should know, about one environment or (None) about all. Set by the control plane after `open`."""

    level: Level
    """What the machine allows; set by `open`."""

    async def open(self) -> Level:
        """Make ready (warden, lab, cgroups) and say what the machine allows. Raises `SandboxError` when nothing works."""

    async def close(self) -> None:
        """Destroy every environment and leave nothing behind. Safe to call twice, and while `open` is under way."""

    def start(self, blueprint: Blueprint) -> None:
        """Build an environment: namespaces, mounts, network, listener. Answer: EnvironmentStarted or EnvironmentStartFailed."""

    def protect(self, ports: Iterable[int]) -> None:
        """Keep environments from these TCP ports of this machine, where Frostline itself listens. Without a network of their own they cannot be."""

    def decide(self, conditions: Conditions | None, environment: str | None = None) -> None:
        """Say what connections meet from now on: all environments', or those of one that is there or will be.

        None for an environment: it has no conditions of its own any more. What a connection has met in a freeze that has begun, it keeps.
        Fates mean nothing where the network does not freeze (`Level.network_freezes`), and middleboxes nothing where there is none of our own
        (`Level.network` and `Level.egress`).
        """

    def observe(self, offset: float, *, recording: bool) -> None:
        """Say how to tell what is seen of connections: at times of the clock that is CLOCK_MONOTONIC and this offset, in seconds; and with their
        traffic, if somebody records it.
        """

    def ports(self, environment: str) -> Ports:
        """The ports of a started environment; once per environment."""

    def paths(self, environment: str) -> Paths:
        """Where a started environment's processes find its directories."""

    def run(self, environment: str, process: ProcessSpec) -> None:
        """Start a process. When it ends, however it ends (also when it could not be executed): ProcessExited."""

    def open_gate(self, environment: str, process: str) -> None:
        """Let a process with a gate go on."""

    def signal(self, environment: str, process: str, signum: int) -> None:
        """Signal a process and its process group; no answer. Unknown or ended processes are ignored."""

    def kill_processes(self, environment: str) -> None:
        """SIGKILL everything in the environment, keep the sandbox and its `/tmp`. Answer: ProcessesKilled, after each ProcessExited."""

    def freeze(self, environment: str) -> None:
        """Stop every process of the environment, then its network, if that freezes.

        Answer: EnvironmentFrozen (the kernel said so, and nothing passes any more) or EnvironmentFreezeFailed.
        """

    def thaw(self, environment: str) -> None:
        """Let them go on; also calls off a freeze that is under way (then no EnvironmentFrozen follows). Answer: EnvironmentThawed."""

    def warp(self, environment: str, seconds: float) -> None:
        """Move the clocks of a frozen environment on; at the thaw, whatever was due by then is due. Where the level `warps`.

        Answer: EnvironmentWarped, which says for each process whether its clocks were moved. A `thaw` that is asked for meanwhile waits for it.
        """

    def destroy(self, environment: str) -> None:
        """Kill and remove everything, frozen or not, in any state. Answer: EnvironmentGone."""

    def drain_output(self, environment: str) -> None:
        """Hand over through `on_output`, now, what processes have already written."""

    def connect(self, environment: str, port: int) -> socket.socket:
        """A non-blocking TCP socket made inside the environment's network, connecting to its own loopback at `port` (telemetry)."""

    def memory_peak_mb(self, environment: str) -> int | None:
        """The most memory the environment has used, in MiB, or None where it cannot be known. Cheap: may be up to 100 ms old."""
