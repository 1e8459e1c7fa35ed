"""One environment as its sandbox sees it: a head that starts processes, a freezer, pipes to read from."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Literal, Protocol

from ..core.events import (
    EnvironmentFreezeFailed,
    EnvironmentFrozen,
    EnvironmentThawed,
    EnvironmentWarped,
    ProcessClock,
    ProcessesKilled,
    ProcessExited,
    SandboxEvent,
)
from . import cgroups
from .channel import Channel
from .freezer import Answers, CgroupV1Freezer, CgroupV2Freezer, Freezer, KernelEvents, NoFreezer, SignalFreezer
from .memory import CgroupGauge, Gauge, ProcessGauge
from .output import Output
from .port import Blueprint, FreezeMethod, Paths, Ports, ProcessSpec, SandboxError
from .warden.protocol import Message

OutputKind = Literal["text", "frames"]
OnOutput = Callable[[str, str, OutputKind, bytes], None]

READY_SOCKETS = 2
"""Sockets kept for `connect`: they have to be made within, by the head, and the control plane does not wait."""


class Cut(Protocol):
    """Freezes networks; see `router.client.Router`."""

    def hold(self, environment: str, done: Callable[[], None]) -> None:
        """Nothing passes any more when `done` is called; it is not when `release` came first."""

    def release(self, environment: str, done: Callable[[], None]) -> None:
        """Processes may go on when `done` is called."""


class Process:
    """A process that runs, or whose output is not at its end."""

    def __init__(self, gate: int) -> None:
        self.gate = gate
        """Our end of its gate; -1 when it has none or was let through."""
        self.outputs: list[Output] = []

    def shut_gate(self) -> None:
        if self.gate >= 0:
            os.close(self.gate)
            self.gate = -1


class Environment:
    """State and descriptors of one environment."""

    def __init__(self, blueprint: Blueprint, paths: Paths, report: Callable[[SandboxEvent], None], on_output: OnOutput) -> None:
        self.id = blueprint.environment
        self.blueprint = blueprint
        self.paths = paths
        self.state: Literal["starting", "started", "failed", "destroying"] = "starting"
        self.head: Channel | None = None
        self.head_pid = 0
        self.directories: list[str] = []
        self.api: socket.socket | None = None
        self.api_address = ""
        self.attached = True
        """Its network is there, or there is none to wait for."""
        self.gauge: Gauge | None = None
        self.limit: asyncio.TimerHandle | None = None
        """When building it is given up."""
        self._freezer: Freezer | None = None
        self._stopped = False
        """Frozen, or on the way."""
        self.cut: Cut | None = None
        """Freezes its network too, where that was chosen."""
        self._network_held = False
        self._warping: float | None = None
        """By how much its clocks are being moved."""
        self.ahead_s = 0.0
        """How far they are ahead."""
        self._asked: Literal["freeze", "thaw"] | None = None
        """What the control plane waits for."""
        self.report = report
        self._on_output = on_output
        self._processes: dict[str, Process] = {}
        self._leftover: list[Output] = []
        """Pipes of processes that ended, still held open by their children."""
        self._sockets: list[socket.socket] = []

    # Becoming ----------------------------------------------------------------------------------------------------------------------------

    def equip(self, method: FreezeMethod, homes: list[cgroups.Home], events: KernelEvents | None) -> None:
        """Open what freezes and measures it, once its head is there. Raises OSError."""
        assert self.head is not None
        answers = Answers(self._frozen, self._freeze_failed, self._thawed)
        within = {
            offer: (home.version, directory) for home, directory in zip(homes, self.directories, strict=False) for offer in home.offers
        }
        match method:
            case "cgroup-v2":
                assert events is not None
                self._freezer = CgroupV2Freezer(within["freezer"][1], events, answers)
            case "cgroup-v1":
                self._freezer = CgroupV1Freezer(within["freezer"][1], answers)
            case "signals":
                self._freezer = SignalFreezer(self.head, answers)
            case "off":
                self._freezer = NoFreezer(answers)
        if "memory" in within and events is not None:
            version, directory = within["memory"]
            limit = None if self.blueprint.memory_mb is None else self.blueprint.memory_mb << 20
            self.gauge = CgroupGauge(directory, version, head=self.head_pid, limit=limit, events=events)
        else:
            self.gauge = ProcessGauge(self.head_pid)

    def stock_sockets(self) -> None:
        """Have the head make sockets for `connect`."""
        for _ in range(READY_SOCKETS):
            self._tell({"op": "socket"})

    def take_ports(self) -> Ports:
        """The ports, once."""
        if self.api is None:
            raise SandboxError(f"environment {self.id} has no ports to give: it has not started, or they were taken")
        ports = Ports(api=self.api, api_address=self.api_address)
        self.api = None
        return ports

    # Processes ---------------------------------------------------------------------------------------------------------------------------

    def run(self, spec: ProcessSpec) -> None:
        """Start a process."""
        if self.state != "started" or self.head is None:
            self.report(ProcessExited(self.id, process=spec.name, error=f"fork/exec {spec.argv[0]}: environment {self.id} is not running"))
            return
        theirs: list[int] = []
        process = Process(-1)
        try:
            self._pipe(process, spec.name, "text", theirs)
            if spec.gate:
                gate, process.gate = os.pipe()
                theirs.append(gate)
            if spec.telemetry_log:
                self._pipe(process, spec.name, "frames", theirs)
        except OSError as error:
            for fd in theirs:
                os.close(fd)
            self._end(spec.name, process, error=f"fork/exec {spec.argv[0]}: {(error.strerror or str(error)).lower()}")
            return
        self._processes[spec.name] = process
        request = {
            "op": "run",
            "process": spec.name,
            "argv": list(spec.argv),
            "env": spec.env,
            "cwd": spec.cwd,
            "gate": spec.gate,
            "log": spec.telemetry_log,
        }
        self.head.send(request, theirs)

    def _pipe(self, process: Process, name: str, kind: OutputKind, theirs: list[int]) -> None:
        read, write = os.pipe()
        theirs.append(write)
        process.outputs.append(Output(read, lambda data: self._on_output(self.id, name, kind, data)))

    def open_gate(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None and process.gate >= 0:
            with contextlib.suppress(BrokenPipeError):  # it ended; that is told by itself
                os.write(process.gate, b".")
            process.shut_gate()

    def signal(self, name: str, signum: int) -> None:
        if name in self._processes:
            self._tell({"op": "signal", "process": name, "signal": signum})

    def kill_processes(self) -> None:
        if self.head is None:
            self.report(ProcessesKilled(self.id))
            return
        if self._stopped and self._freezer is not None:
            # While they stand still, so that nothing of theirs runs between the thaw and the kill.
            for pid in procs_but(self.directories, self.head_pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self._stopped, self._asked = False, None
            self._freezer.release()
            if self.cut is not None and self._network_held:
                self._network_held = False
                self.cut.release(self.id, lambda: None)  # nothing is left that could be too early
        self._tell({"op": "kill"})

    def drain(self) -> None:
        """Hand over what was written."""
        for process in self._processes.values():
            for output in process.outputs:
                output.drain()
        for output in self._leftover:
            output.drain()
        self._leftover = [output for output in self._leftover if output.open]

    def connect(self, port: int) -> socket.socket:
        """See `Sandbox.connect`. Raises OSError."""
        if self.head is None:
            raise ConnectionRefusedError(f"environment {self.id} is not running")
        if not self._sockets:
            raise BlockingIOError("no socket is ready in the environment; more are being made")
        sock = self._sockets.pop()
        self._tell({"op": "socket"})
        start_connecting(sock, port)
        return sock

    # Freezing ----------------------------------------------------------------------------------------------------------------------------

    def freeze(self) -> None:
        if self._freezer is None or self.head is None:
            self.report(EnvironmentFreezeFailed(self.id, "the environment has ended"))
            return
        if self.gauge is not None:
            self.gauge.look_away()
        self._stopped = True
        self._asked = "freeze"
        self._freezer.freeze()

    def thaw(self) -> None:
        if self._freezer is None or self.head is None:
            self.report(EnvironmentThawed(self.id))
            return
        self._stopped = False
        self._asked = "thaw"
        if self._warping is None:
            self._restore()

    @property
    def stands_still(self) -> bool:
        """It is frozen, and nothing else was asked for since."""
        return self.head is not None and self._stopped and self._asked is None and self._warping is None

    def begin_warp(self, seconds: float) -> None:
        """Its clocks are being moved; it does not run on before `warped`."""
        self._warping = seconds

    def warped(self, message: Message) -> None:
        """What came of it."""
        seconds, self._warping = self._warping or 0.0, None
        self.ahead_s = message["ahead_ns"] / 1e9
        clocks = tuple(ProcessClock(**process) for process in message["processes"])
        self.report(EnvironmentWarped(self.id, seconds=seconds, ahead_s=self.ahead_s, processes=clocks, error=message["error"]))
        if self._asked == "thaw":
            self._restore()

    def _frozen(self) -> None:
        """Its processes stand still; its network comes next."""
        if self._asked != "freeze":
            return
        if self.cut is None:
            self._all_frozen()
        else:
            # Not before: what a running process sends would meet a network that is gone.
            self._network_held = True
            self.cut.hold(self.id, self._all_frozen)

    def _all_frozen(self) -> None:
        if self._asked == "freeze":
            self._asked = None
            self.report(EnvironmentFrozen(self.id))

    def _restore(self) -> None:
        """Its network goes on, then its processes: what they do first meets what the freeze has left of their connections."""
        if self.cut is None or not self._network_held:
            self._let_run()
        else:
            self._network_held = False
            self.cut.release(self.id, self._let_run)

    def _let_run(self) -> None:
        if self._freezer is not None and self.head is not None and not self._stopped:
            self._freezer.thaw()

    def _freeze_failed(self, reason: str) -> None:
        self._stopped = False
        if self._asked == "freeze":
            self._asked = None
            self.report(EnvironmentFreezeFailed(self.id, reason))

    def _thawed(self) -> None:
        if self._asked == "thaw":
            self._asked = None
            self.report(EnvironmentThawed(self.id))

    # What the head says ------------------------------------------------------------------------------------------------------------------

    def heard(self, message: Message, fds: list[int]) -> None:
        """A message from the head of a started environment."""
        match message["op"]:
            case "exited":
                process = self._processes.pop(message["process"], None)
                if process is not None:
                    self._end(
                        message["process"],
                        process,
                        status=message.get("status"),
                        signum=message.get("signal"),
                        error=message.get("error", ""),
                    )
            case "killed":
                if self.gauge is not None:
                    self.gauge.reset()
                self.report(ProcessesKilled(self.id))
            case "socket":
                self._sockets.append(socket.socket(fileno=fds[0]))
            case "frozen" | "freeze_failed" | "thawed" if isinstance(self._freezer, SignalFreezer):
                self._freezer.answered(message)

    def _end(self, name: str, process: Process, *, status: int | None = None, signum: int | None = None, error: str = "") -> None:
        for output in process.outputs:
            output.drain()
        self._leftover += [output for output in process.outputs if output.open]
        process.shut_gate()
        out_of_memory = signum == signal.SIGKILL and self.gauge is not None and self.gauge.ran_out()
        self.report(ProcessExited(self.id, process=name, status=status, signal=signum, out_of_memory=out_of_memory, error=error))

    # The end -----------------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of every descriptor. Safe to call twice."""
        if self._freezer is not None:
            self._freezer.close()
        if self.gauge is not None:
            self.gauge.close()
        if self.head is not None:
            self.head.close()
            self.head = None
        for process in self._processes.values():
            process.shut_gate()
            self._leftover += process.outputs
        self._processes.clear()
        for output in self._leftover:
            output.close()
        self._leftover.clear()
        for sock in (*self._sockets, *(() if self.api is None else (self.api,))):
            sock.close()
        self._sockets.clear()
        self.api = None

    def _tell(self, message: Message) -> None:
        if self.head is not None:
            self.head.send(message)


def procs_but(directories: list[str], head: int) -> list[int]:
    """The processes of an environment but its head, by the first of its cgroups."""
    return [pid for pid in cgroups.procs(directories[0]) if pid != head] if directories else []


def start_connecting(sock: socket.socket, port: int) -> None:
    """Begin a non-blocking connection to the loopback of the socket's namespace. Raises OSError; the socket is closed then."""
    sock.setblocking(False)
    try:
        with contextlib.suppress(BlockingIOError):
            sock.connect(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
