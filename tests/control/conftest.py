"""A whole Frostline on a fake sandbox, for tests that talk to it over loopback. Every test runs on both event loops, asyncio's and uvloop's."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from frostline.testing.fake_sandbox import FakeSandbox
from tests.control.rig import Rig

LIMIT_S = 60
"""Seconds for one test: far more than any needs on a slow machine."""


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    del config, item
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test that waits for what never comes fails, and says where it waited."""
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(test := item.obj):
        return

    @functools.wraps(test)
    async def bounded(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(LIMIT_S):
            await test(*args, **kwargs)

    item.obj = bounded


@pytest.fixture
async def sandbox() -> FakeSandbox:
    """A sandbox without programs: a test gives it its own."""
    return FakeSandbox()


@pytest.fixture
async def rig(sandbox: FakeSandbox, tmp_path: Path) -> AsyncIterator[Rig]:
    """What a test starts and calls. At its end it is closed, and everything that must always hold is looked at."""
    rig = Rig(sandbox, tmp_path)
    try:
        yield rig
    finally:
        await rig.close()
    rig.look_back()
