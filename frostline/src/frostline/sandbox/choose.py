"""Which sandbox: the best that the machine allows, or the one that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

from msgspec import structs

from ..core.events import SandboxEvent
from ..core.fates import Fates
from ..core.middlebox import Middleboxes
from .caged import CagedSandbox
from .environment import OnOutput
from .plain import PlainSandbox
from .port import CageKind, FreezeMethod, SandboxError

if TYPE_CHECKING:
    from .router.upstreams import Upstreams

NO_WARP = "clocks cannot be moved in environments without namespaces"

NO_CONDITIONS = "fates and middleboxes have no effect: connections of environments without namespaces are not Frostline's to meddle with"

Freeze = FreezeMethod | Literal["best", "network", "processes"] | str


async def open_sandbox(
    report: Callable[[SandboxEvent], None],
    on_output: OnOutput,
    *,
    cage: CageKind | None = None,
    freezer: Freeze | None = None,
    fates: Fates | None = None,
    middleboxes: Middleboxes | None = None,
    warp: bool = False,
    upstreams: Upstreams | None = None,
    reach_network: bool = True,
) -> CagedSandbox:
    """Open a sandbox. What was asked for is given or refused with SandboxError; what was left open is the best there is.

    `freezer`: None or `best` leaves it open how environments are frozen, and whether their network is; `network` insists on it, with the best
    freezer for processes; `processes` is that freezer alone, and a `FreezeMethod` is one for processes alone. `fates` and `middleboxes` are what
    connections meet. With `warp`, clocks can be moved where the machine allows. `upstreams` are hosts of the environments' network, and without
    `reach_network` functions reach nothing else: SandboxError where that cannot be held. The
    result's `level` says what it came to, and its notes what is missing and what that would take.
    """
    network = freezer == "network"
    if upstreams is not None and (cage == "plain" or sys.platform != "linux"):
        raise SandboxError(
            "upstreams are hosts of the environments' network, and only namespaces, a feature of Linux, give them one of their own"
        )
    if network and cage == "plain":
        raise SandboxError("processes without namespaces have no network of their own that could be frozen")
    chosen = freezer or "best"
    method = None if chosen in ("best", "network", "processes") else cast("FreezeMethod", chosen)
    freeze_network = {"best": None, "network": True}.get(chosen, False)
    refusals: list[str] = []
    if cage != "plain":
        if sys.platform == "linux":
            from .namespaces import NamespaceSandbox

            sandbox: CagedSandbox = NamespaceSandbox(
                report,
                on_output,
                freezer=method,
                freeze_network=freeze_network,
                fates=fates,
                middleboxes=middleboxes,
                warp=warp,
                upstreams=upstreams,
                reach_network=reach_network,
            )
            try:
                await sandbox.open()
            except SandboxError as error:
                if cage == "namespaces" or network or upstreams is not None or not reach_network or method in ("cgroup-v2", "cgroup-v1"):
                    raise
                refusals.append(f"environments have no namespaces: {error}")
            else:
                return sandbox
        elif cage == "namespaces" or network or method in ("cgroup-v2", "cgroup-v1"):
            raise SandboxError(f"{cage or ('freezing the network' if network else method)} is a feature of Linux; this is {sys.platform}")
    if not reach_network:
        raise SandboxError("processes without namespaces cannot be kept from the network")
    sandbox = PlainSandbox(report, on_output, freezer=method)
    level = await sandbox.open()
    no_warp = [NO_WARP] if warp else []
    no_conditions = [NO_CONDITIONS] if fates not in (None, Fates()) or middleboxes not in (None, Middleboxes()) else []
    sandbox.level = structs.replace(level, notes=(*refusals, *level.notes, *no_warp, *no_conditions))
    return sandbox
