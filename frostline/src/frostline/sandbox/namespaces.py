"""Environments with PID, mount, network, IPC and UTS namespaces of their own: the cage for Linux."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable

from msgspec import structs

from ..core.conditions import Conditions
from ..core.events import EnvironmentStartFailed, NetworkEvent, SandboxEvent
from ..core.fates import Fates
from ..core.middlebox import Middleboxes
from . import cgroups, trust
from .caged import CagedSandbox
from .environment import Environment, OnOutput
from .guard import Warden
from .port import API_ADDRESS, Blueprint, FreezeMethod, Level, Paths, ProcessSpec, SandboxError
from .router.addresses import RESOLV_CONF
from .router.client import Router, RouterError
from .router.upstreams import UpstreamProcess, Upstreams
from .rundir import RunDirectory
from .warden.protocol import Message
from .warp import build

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
        freeze_network: bool | None = False,
        fates: Fates | None = None,
        middleboxes: Middleboxes | None = None,
        warp: bool = False,
        upstreams: Upstreams | None = None,
        reach_network: bool = True,
    ) -> None:
        """`freezer`: insist on this way of freezing, or None for the best there is. `egress`: give environments a way out, if there can be one.

        `freeze_network`: insist on freezing an environment's network with its processes, or None to do it if there is one. `fates` are what connections
        meet then, and `middleboxes` what is on their paths.
        `upstreams`: the lab's own hosts; without a lab there is no sandbox then. `reach_network`: functions reach what is outside of the lab.
        `warp`: load what it takes to move clocks into every process, where that is possible; the level says whether, and its notes why not.
        """
        super().__init__(report, on_output, freezer=freezer)
        self._egress = egress
        self._freeze_network = freeze_network
        self._network_freezes = False
        self.conditions[None] = Conditions(fates=fates or Fates(), middleboxes=middleboxes or Middleboxes())
        self._router: Router | None = None
        self._upstreams = upstreams
        self._reach_network = reach_network
        self._servers: UpstreamProcess | None = None
        self._trust: dict[str, str] = {}
        """Variables by which processes trust TLS upstreams."""
        self._warp = warp

    async def _prepare(self, warden: Warden, run: RunDirectory) -> Level:
        method, notes = await self._make(lambda: self._plan_cgroups(run))
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
            warps=self._warp and await self._prepare_warp(warden, method, notes),
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
        if no_way_out is not None and self._upstreams is not None:
            raise SandboxError(f"there are no upstreams, which are hosts of the environments' network: {no_way_out}")
        if no_way_out is not None and self._freeze_network:
            raise SandboxError(f"the network cannot be frozen, as there is none: {no_way_out}. `--freeze processes` needs none")
        if no_way_out is not None:
            notes.append(f"functions cannot reach anything outside of their environment: {no_way_out}")
            if self._freeze_network is None:
                notes.append("the network does not freeze, as there is none; processes do")
        self._network_freezes = no_way_out is None and self._freeze_network is not False
        return structs.replace(self.level, egress=no_way_out is None, network_freezes=self._network_freezes, notes=tuple(notes))

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

    async def _prepare_warp(self, warden: Warden, method: FreezeMethod, notes: list[str]) -> bool:
        try:
            if method not in ("cgroup-v2", "signals"):
                raise build.NoWarpError(f"clocks cannot be moved with the freezer `{method}`; it takes `cgroup-v2` or `signals`")
            library = await asyncio.to_thread(build.shim)
        except build.NoWarpError as error:
            notes.append(str(error))
            return False
        warden.send({"op": "shim", "path": str(library)})
        return True

    async def _open_router(self, warden: Warden) -> str | None:
        """Why there is no way out, or None."""
        if not self._egress:
            return "they were not to"
        upstreams = self._upstreams or Upstreams(servers=(), program=())
        servers = UpstreamProcess(upstreams, self._seen)
        router = Router(
            self._router_lost,
            self._denied,
            self._seen,
            hosts=upstreams.hosts,
            on_listening=servers.hand_over,
            outside=self._reach_network,
        )
        router.decide(self.conditions[None])
        try:
            _, authority = await asyncio.gather(router.open(warden.start_helper), servers.open(warden.start_helper))
        except (RouterError, SandboxError) as error:
            await asyncio.gather(router.close(), servers.close())
            return str(error)
        except BaseException:
            await asyncio.gather(router.close(), servers.close())
            raise
        self._router, self._servers = router, servers
        if authority:
            self._trust = trust.VARIABLES
            for name, text in trust.files(authority).items():
                warden.send({"op": "etc", "name": name, "text": text})
        warden.send({"op": "etc", "name": "resolv.conf", "text": RESOLV_CONF})
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
        if self._servers is not None:
            await self._servers.close()

    def _router_lost(self, reason: str) -> None:
        self.on_note(
            None,
            f"{reason}: functions that run cannot reach anything outside any more, freezes leave their network alone, and no new environment "
            "can be started. Start Frostline again",
        )

    def _denied(self, environment: str, destination: str, reason: str) -> None:
        self.on_note(environment, f"a connection to {destination} was refused: {reason}")

    def _seen(self, event: NetworkEvent) -> None:
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
            "warps": self.level.warps,
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
                environment.cut = self._router if self._network_freezes else None
                self._started(environment)

        self._router.attach(environment.id, network, done)

    def protect(self, ports: Iterable[int]) -> None:
        """Keep environments from these ports of this machine."""
        if self._router is not None:
            self._router.protect(ports)

    def run(self, environment: str, process: ProcessSpec) -> None:
        """Start a process."""
        super().run(environment, structs.replace(process, env=self._trust | process.env))

    def decide(self, conditions: Conditions | None, environment: str | None = None) -> None:
        """Say what connections meet from now on."""
        super().decide(conditions, environment)
        if self._router is not None:
            self._router.decide(conditions, environment)

    def observe(self, offset: float, *, recording: bool) -> None:
        """Say how to tell what is seen of connections."""
        if self._router is not None:
            self._router.observe(offset, recording=recording)

    def warp(self, environment: str, seconds: float) -> None:
        """Move a frozen environment's clocks on; its connections have been idle for longer then."""
        moves = self.level.warps and self._known(environment).stands_still
        super().warp(environment, seconds)
        if moves and self._router is not None:
            self._router.pass_time(environment, seconds)

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
