"""After a jump programs do what they do after a real wait: what was due is done at once, in the same order, and nothing else is."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.sandbox.driver import PYTHON

from .travel import GAP, Fired, Traveller

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clocks are moved on Linux")

UNIT = 0.5
"""Seconds, where they are waited for."""

NODE = shutil.which("node") or "node"

ONE_LOOP = ("loop", "setTimeout", "promise", "AbortSignal")
"""What one loop fires, one after the other, in the order in which it is due."""

PROGRAMS = {
    "python": (PYTHON, "-I", "-S", "/var/task/waits.py"),
    "node": (NODE, "/var/task/waits.js"),
    "go": ("/var/task/waits-go",),
    "c": ("/var/task/waits",),
}
DUE = {"python": 28, "node": 9, "go": 9, "c": 50}
"""How much of each program is due within the gap."""

STRETCHED = {"python": ("select", "selector"), "c": ("select", "pselect", "ppoll")}
"""The kernel restarts these with the time that was left at the freeze, so after a real wait they are late. A function on AWS is not frozen in this way,
and a jump does not copy it."""


def kinds(fired: list[Fired], but: tuple[str, ...]) -> list[tuple[str, str]]:
    """What fired, but for the later turns of what is periodic: they come in real time again."""
    return sorted((one.name, one.units) for one in fired if one.name not in but and one.units in ("1", "2", "8", "tick1"))


async def test_what_was_due_fires_at_the_thaw_and_nothing_else(each: Traveller, code: Path) -> None:
    async def both(program: str) -> None:
        stretched = STRETCHED.get(program, ())
        waited, jumped = await each.outcomes(code, *PROGRAMS[program], unit=UNIT, due=DUE[program], late=2 * len(stretched))
        waited = [one for one in waited if one.units != "8" or one.after < 8]  # 8 may have passed by now, on a busy machine
        assert kinds(jumped, stretched) == kinds(waited, stretched)
        assert len(jumped) == DUE[program] and {one.units for one in jumped} <= {"1", "2", "tick1"}
        for name in ONE_LOOP:
            assert [one.units for one in jumped if one.name == name] == [one.units for one in waited if one.name == name]
        # Both clocks were moved by the same time, and what was due was so at the thaw, not a wait later.
        assert all(GAP <= one.after < GAP + 0.1 and abs(one.by_wall - one.after) < 0.1 for one in jumped), jumped

    await asyncio.gather(*(both(program) for program in PROGRAMS))


POOLS = {
    "python": (sys.executable, "-I", "/var/task/pools.py"),
    "node": (NODE, "/var/task/pools.js", "/var/task/node_modules/grpc-js-1.14.7"),
    "go": PROGRAMS["go"],
}
SAID = {
    "python": [f"reused {pool}-{rest}" for pool in ("httpx", "aiohttp", "grpc") for rest in ("1 false", "8 true")],
    "node": [
        *(f"reused {pool}-{rest}" for pool in ("http.Agent", "undici") for rest in ("1 false", "8 true")),
        *(f"{what} grpc-js-{rest}" for what in ("pinged", "expired") for rest in ("1 true", "8 false")),
    ],
    "go": ["reused http.Transport-1 false", "reused http.Transport-8 true"],
}
POOL_UNIT = 1.0
"""Seconds: gRPC's limit is a second or more."""


async def test_clients_give_up_connections_and_calls_as_after_a_wait(traveller: Traveller, code: Path) -> None:
    async def both(program: str) -> None:
        argv = POOLS[program]
        jumped = await traveller.began(code, *argv, unit=100 * POOL_UNIT)
        waited = await traveller.began(code, *argv, unit=POOL_UNIT)
        await asyncio.gather(traveller.wait(waited, GAP * POOL_UNIT), traveller.jump(jumped, GAP * 100 * POOL_UNIT))
        for environment in (waited, jumped):
            for line in SAID[program]:
                await traveller.until(environment, f"{line}\n")

    await asyncio.gather(*(both(program) for program in POOLS))
