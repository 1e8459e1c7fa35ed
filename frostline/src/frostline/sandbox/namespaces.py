"""Environments with PID, mount, network, IPC and UTS namespaces of their own: the cage for Linux."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable

from msgspec import structs

from ..core.events import AnyNetworkEvent, EnvironmentStartFailed, SandboxEvent
from ..core.fates import Fates
from . import cgroups
from .caged import CagedSandbox
from .environment import Environment, OnOutput
from .guard import Warden
from .port import API_ADDRESS, Blueprint, FreezeMethod, Level, Paths, SandboxError
from .router.addresses import RESOLV_CONF
from .router.client import Router, RouterError
from .rundir import RunDirectory
from .warden.protocol import Message

TRIAL = "(trial)"
"""An environment made and removed while opening: whether everything works is found out by doing it."""

HOW_TO_GET_CGROUPS = "run as root, or under `systemd-run --user --scope -p Delegate=yes`"

NO_FREEZER = (
    "no cgroup to freeze with ({}): processes are frozen with SIGSTOP and SIGCONT, which they can notice; "
    f"{HOW_TO_GET_CGROUPS} to use the cgroup freezer"
)


class NamespaceSandbox(CagedSandbox):
    """A `Sandbox` of namespaces, with cgroups as far as there are any, and a router for the way out."""

    def __init__(
        self,
        report: Callable[[SandboxEvent], None],
        on_output: OnOutput,
        *,
        freezer: FreezeMethod | None = None,
        egress: bool = True,
        freeze_network: bool = False,
        fates: Fates | None = None,
    ) -> None:
        """`freezer`: insist on this way of freezing, or None for the best there is. `egress`: give environments a way out, if there can be one.

        `freeze_network`: insist on freezing an environment's network with its processes; `fates` are what connections meet then.
        """
        super().__init__(report, on_output, freezer=freezer)
        self._egress = egress
        self._freeze_network = freeze_network
        self._fates = fates if fates is not None else Fates()
        self._router: Router | None = None

    async def _prepare(self, warden: Warden, run: RunDirectory) -> Level:
        method, notes = await asyncio.to_thread(self._plan_cgroups, run)
        mapped = await warden.open("namespaces", self._plan)
        limits = self._plan.home("memory") is not None, self._plan.home("pids") is not None or bool(mapped)
        notes += _missing(memory=limits[0], processes=limits[1], reasons=self._plan.notes)
        self.level = Level(
            cage="namespaces",
            freezer=method,
            network=True,
            egress=False,
            memory_limit=limits[0],
            process_limit=limits[1],
            notes=tuple(notes),
        )
        no_way_out = await self._open_router(warden)
        failed = await self._try_one(run)
        if failed is not None and self._router is not None:
            # Perhaps only the network does not work; without one there is still a sandbox.
            no_way_out = failed
            await self._close_network()
            failed = await self._try_one(run)
        if failed is not None:
            raise SandboxError(failed)
        if no_way_out is not None and self._freeze_network:
            raise SandboxError(f"the network cannot be frozen, as there is none: {no_way_out}. `--freeze best` freezes processes")
        if no_way_out is not None:
            notes.append(f"functions cannot reach anything outside of their environment: {no_way_out}")
        return structs.replace(self.level, egress=no_way_out is None, network_freezes=self._freeze_network, notes=tuple(notes))

    def _plan_cgroups(self, run: RunDirectory) -> tuple[FreezeMethod, list[str]]:
        insisted = {"cgroup-v1": 1, "cgroup-v2": 2}.get(self._wanted or "")
        self._plan = cgroups.plan(run.id, freezer=insisted)
        run.record(self._plan.directories())
        home = self._plan.home("freezer")
        if insisted and home is None:
            reasons = "; ".join(self._plan.notes) or f"this machine has no {self._wanted}"
            raise SandboxError(f"the {self._wanted} freezer cannot be used: {reasons}; {HOW_TO_GET_CGROUPS}")
        if self._wanted is not None:
            return self._wanted, []
        if home is not None:
            return ("cgroup-v2" if home.version == 2 else "cgroup-v1"), []
        return "signals", [NO_FREEZER.format("; ".join(self._plan.notes))]

    async def _open_router(self, warden: Warden) -> str | None:
        """Why there is no way out, or None."""
        if not self._egress:
            return "they were not to"
        router = Router(self._router_lost, on_seen=self._seen)
        router.decide(self._fates)
        try:
            await router.open(warden.start_helper)
        except (RouterError, SandboxError) as error:
            return str(error)
        self._router = router
        warden.send({"op": "resolver", "text": RESOLV_CONF})
        return None

    async def _try_one(self, run: RunDirectory) -> str | None:
        """Build an environment and remove it; why that failed, or None."""
        told: asyncio.Queue[SandboxEvent] = asyncio.Queue()
        empty = run.path / "empty"
        empty.mkdir(exist_ok=True)
        self._start(Blueprint(environment=TRIAL, code=empty, layers=(empty,), tmp_mb=1, processes=16), told.put_nowait)
        event = await told.get()
        self.destroy(TRIAL)
        await told.get()
        return event.reason if isinstance(event, EnvironmentStartFailed) else None

    async def _close_network(self) -> None:
        router, self._router = self._router, None
        if router is not None:
            await router.close()

    def _router_lost(self, reason: str) -> None:
        """Environments that start from now on fail with the router's own reason; those that run notice by themselves."""
        del reason

    def _seen(self, event: AnyNetworkEvent) -> None:
        self.report(event)

    def _request(self, blueprint: Blueprint, run: RunDirectory) -> Message:
        del run
        memory = None if blueprint.memory_mb is None else (blueprint.memory_mb + blueprint.tmp_mb) << 20
        return {
            "op": "start",
            "environment": blueprint.environment,
            "code": str(blueprint.code),
            "layers": [str(layer) for layer in blueprint.layers],
            "runtime": None if blueprint.runtime is None else str(blueprint.runtime),
            "extra_read_only": [str(path) for path in blueprint.extra_read_only],
            "tmp_mb": blueprint.tmp_mb,
            "memory": memory,
            "processes": blueprint.processes,
        }

    def _paths(self, blueprint: Blueprint, run: RunDirectory) -> Paths:
        del blueprint, run  # the same for all
        return Paths()

    def _ready(self, environment: Environment, fds: list[int]) -> None:
        environment.api = socket.socket(fileno=fds[0])
        environment.api_address = API_ADDRESS
        environment.stock_sockets()

    def _networked(self, environment: Environment, fds: list[int]) -> None:
        network = fds[0]
        if self._router is None:
            os.close(network)
            return
        environment.attached = False

        def done(error: Exception | None) -> None:
            os.close(network)
            if error is not None:
                self._start_failed(environment, str(error))
            else:
                environment.attached = True
                environment.cut = self._router if self._freeze_network else None
                self._started(environment)

        self._router.attach(environment.id, network, done)

    def protect(self, ports: Iterable[int]) -> None:
        """Keep environments from these ports of this machine."""
        if self._router is not None:
            self._router.protect(ports)

    def _detach(self, environment: str) -> None:
        if self._router is not None:
            self._router.detach(environment)


def _missing(*, memory: bool, processes: bool, reasons: list[str]) -> list[str]:
    """What is said about limits that the machine does not give."""
    lacking = [name for name, there in (("memory", memory), ("number of processes", processes)) if not there]
    if not lacking:
        return []
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return [f"no limit on an environment's {' or '.join(lacking)}: it takes a cgroup with a controller for it{why}; {HOW_TO_GET_CGROUPS}"]
