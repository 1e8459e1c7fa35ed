"""The fake sandbox answers a warp as the real one does."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from frostline.core.events import EnvironmentFrozen, EnvironmentStarted, EnvironmentWarped
from frostline.sandbox.port import Blueprint
from frostline.testing.fake_sandbox import FakeSandbox


async def test_only_what_is_frozen_is_warped_and_gaps_add_up() -> None:
    sandbox = FakeSandbox()
    await sandbox.opened(lambda _: None, lambda *_: None)

    async def told(kind: type) -> object:
        await sandbox.until(lambda: bool(sandbox.reported) and type(sandbox.reported[-1]) is kind)
        return sandbox.reported.pop()

    sandbox.start(Blueprint(environment="e", code=Path("/code")))
    await told(EnvironmentStarted)
    sandbox.warp("e", 60)
    assert await told(EnvironmentWarped) == EnvironmentWarped("e", seconds=60, error="environment e does not stand still")
    sandbox.freeze("e")
    await told(EnvironmentFrozen)
    for ahead in (60, 120):
        sandbox.warp("e", 60)
        assert await told(EnvironmentWarped) == EnvironmentWarped("e", seconds=60, ahead_s=ahead)
    sandbox.level = structs.replace(sandbox.level, warps=False)
    sandbox.warp("e", 60)
    assert await told(EnvironmentWarped) == EnvironmentWarped("e", seconds=60, ahead_s=120, error="this sandbox does not move clocks")
    await sandbox.close()
    assert sandbox.complaints == []
