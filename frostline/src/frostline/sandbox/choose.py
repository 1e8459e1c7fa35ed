"""Which sandbox: the best that the machine allows, or the one that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Literal, cast

from msgspec import structs

from ..core.events import SandboxEvent
from ..core.fates import Fates
from .caged import CagedSandbox
from .environment import OnOutput
from .plain import PlainSandbox
from .port import CageKind, FreezeMethod, SandboxError


async def open_sandbox(
    report: Callable[[SandboxEvent], None],
    on_output: OnOutput,
    *,
    cage: CageKind | None = None,
    freezer: FreezeMethod | Literal["best", "network"] | str | None = None,
    fates: Fates | None = None,
) -> CagedSandbox:
    """Open a sandbox. What was asked for is given or refused with SandboxError; what was left open is the best there is.

    `freezer` is a `FreezeMethod`; None or `best` leaves it open; `network` asks for the best one and for the network to be frozen too,
    with these `fates`. The result's `level` says what it came to, and its notes what is missing
    and what that would take.
    """
    network = freezer == "network"
    if network and cage == "plain":
        raise SandboxError("processes without namespaces have no network of their own that could be frozen")
    method = None if freezer in (None, "best", "network") else cast("FreezeMethod", freezer)
    refusals: list[str] = []
    if cage != "plain":
        if sys.platform == "linux":
            from .namespaces import NamespaceSandbox

            sandbox: CagedSandbox = NamespaceSandbox(report, on_output, freezer=method, freeze_network=network, fates=fates)
            try:
                await sandbox.open()
            except SandboxError as error:
                if cage == "namespaces" or network or method in ("cgroup-v2", "cgroup-v1"):
                    raise
                refusals.append(f"environments have no namespaces: {error}")
            else:
                return sandbox
        elif cage == "namespaces" or network or method in ("cgroup-v2", "cgroup-v1"):
            raise SandboxError(f"{cage or ('freezing the network' if network else method)} is a feature of Linux; this is {sys.platform}")
    sandbox = PlainSandbox(report, on_output, freezer=method)
    level = await sandbox.open()
    sandbox.level = structs.replace(level, notes=(*refusals, *level.notes))
    return sandbox
