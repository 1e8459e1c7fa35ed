"""Sandboxes for tests, each of which must leave nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .driver import Driver, kinds_here, left_behind


@pytest.fixture(params=kinds_here())
async def driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    """An open sandbox of every kind that this user can have on this machine."""
    async for opened in _opened(request.param):
        yield opened


@pytest.fixture
async def caged() -> AsyncIterator[Driver]:
    """An open sandbox with namespaces, and the best freezer there is."""
    async for opened in _opened(kinds_here()[0]):
        yield opened


async def _opened(kind: str) -> AsyncIterator[Driver]:
    driver = await Driver().open(kind)
    sandbox = driver.sandbox
    assert sandbox._run is not None
    run, directories = str(sandbox._run.path), [home.path for home in sandbox._plan.homes]
    try:
        yield driver
    finally:
        await sandbox.close()
    assert left_behind(run, directories) == []


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A function's directory that only its owner may read, as `mkdtemp` makes them."""
    directory = tmp_path / "code"
    directory.mkdir(mode=0o700)
    (directory / "data").write_text("the function's\n")
    (directory / "data").chmod(0o600)
    (directory / "bootstrap").write_text("#!/bin/sh\ncat /var/task/data\n")
    (directory / "bootstrap").chmod(0o700)
    return directory
