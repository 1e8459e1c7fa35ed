"""Sandboxes whose clocks can be moved, and programs to run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from frostline.sandbox.namespaces import NamespaceSandbox
from frostline.trials.incidents.keepalive import FUNCTION as KEEPALIVE
from frostline.trials.ready import ready
from tests.sandbox.driver import freezers_here, left_behind

from .travel import Traveller

FUNCTIONS = Path(__file__).with_name("functions")


def freezers() -> list[str]:
    """Those that clocks can be moved with."""
    return [method for method in freezers_here() if method != "cgroup-v1"]


@pytest.fixture(params=freezers())
async def each(request: pytest.FixtureRequest) -> AsyncIterator[Traveller]:
    """A sandbox for every freezer."""
    async for opened in _opened(request.param):
        yield opened


@pytest.fixture
async def traveller() -> AsyncIterator[Traveller]:
    """A sandbox with the best freezer."""
    async for opened in _opened(freezers()[0]):
        yield opened


async def _opened(freezer: str) -> AsyncIterator[Traveller]:
    driver = Traveller()
    method = "cgroup-v2" if freezer == "cgroup-v2" else "signals"
    driver.sandbox = NamespaceSandbox(driver.report, driver.on_output, freezer=method, egress=False, warp=True)
    driver.level = await driver.sandbox.open()
    assert driver.sandbox._run is not None
    run, directories = str(driver.sandbox._run.path), [home.path for home in driver.sandbox._plan.homes]
    try:
        yield driver
    finally:
        await driver.sandbox.close()
    assert left_behind(run, directories) == []


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs, those in C and Go compiled, and the packages of the incident in Node."""
    directory = tmp_path_factory.mktemp("warp") / "code"
    shutil.copytree(FUNCTIONS, directory)
    shutil.copytree(ready(KEEPALIVE).code / "node_modules", directory / "node_modules")
    directory.chmod(0o755)
    for name, source, flags in (("waits", "waits.c", []), ("waits-static", "waits.c", ["-static"]), ("periodic", "periodic.c", [])):
        _run(directory, "cc", "-O1", "-pthread", "-o", name, source, *flags)
    for name, package, cgo in (("waits-go", ".", "0"), ("busy-go", "./busy", "0"), ("waits-cgo", "./mixed", "1")):
        _run(directory / "go", "go", "build", "-trimpath", "-o", f"../{name}", package, CGO_ENABLED=cgo)
    return directory


def _run(folder: Path, *argv: str, **variables: str) -> None:
    ran = subprocess.run(argv, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
