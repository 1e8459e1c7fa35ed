"""Falling from the best sandbox to the next, and saying why."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from frostline.core.events import EnvironmentFrozen, EnvironmentThawed
from frostline.sandbox import choose, rundir
from frostline.sandbox.namespaces import NamespaceSandbox
from frostline.sandbox.plain import PlainSandbox
from frostline.sandbox.port import SandboxError

from .driver import Driver, freezers_here, kinds_here

REPOSITORY = Path(__file__).parents[2]

linux = pytest.mark.skipif(sys.platform != "linux", reason="there are no namespaces to be refused elsewhere")

REFUSED = """
import asyncio, json, os, sys
from frostline.sandbox.choose import open_sandbox
from frostline.sandbox.port import SandboxError
from frostline.sandbox.warden import cage, syscalls
uid, gid = os.geteuid(), os.getegid()
syscalls.unshare(syscalls.CLONE_NEWUSER)
cage.map_ids("self", uid=(4321, uid), gid=(4321, gid), groups=False)
with open("/proc/sys/user/max_user_namespaces", "w") as file:
    file.write("0")
os.execv(sys.executable, [sys.executable, "-c", '''
import asyncio, json, sys
from frostline.sandbox.choose import open_sandbox
from frostline.sandbox.port import SandboxError
async def main():
    sandbox = await open_sandbox(print, print)
    print(json.dumps([sandbox.level.cage, sandbox.level.freezer, sandbox.level.network, list(sandbox.level.notes)]))
    await sandbox.close()
    try:
        await open_sandbox(print, print, cage="namespaces")
    except SandboxError as error:
        print(json.dumps(str(error)))
asyncio.run(main())
'''])
"""


@linux
def test_where_namespaces_are_refused_there_are_plain_processes_and_a_note(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", REFUSED], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, second = (json.loads(line) for line in ran.stdout.splitlines())
    cage, freezer, network, notes = first
    assert (cage, freezer, network) == ("plain", "signals", False)
    assert "namespaces are refused" in notes[0] and "run as root" in notes[0]
    assert "namespaces are refused" in second


@linux
async def test_the_best_there_is_has_namespaces() -> None:
    driver = Driver()
    sandbox = await choose.open_sandbox(driver.report, driver.on_output, freezer="best")
    try:
        assert isinstance(sandbox, NamespaceSandbox)
        assert sandbox.level.freezer == freezers_here()[0]
        assert sandbox.level.network
    finally:
        await sandbox.close()


async def test_a_plain_sandbox_can_be_asked_for() -> None:
    driver = Driver()
    sandbox = await choose.open_sandbox(driver.report, driver.on_output, cage="plain", freezer="off")
    try:
        assert isinstance(sandbox, PlainSandbox)
        assert (sandbox.level.freezer, sandbox.level.memory_limit, sandbox.level.process_limit) == ("off", False, False)
    finally:
        await sandbox.close()


async def test_a_plain_sandbox_with_a_cgroup_freezer_is_refused() -> None:
    driver = Driver()
    with pytest.raises(SandboxError, match="use signals"):
        await choose.open_sandbox(driver.report, driver.on_output, cage="plain", freezer="cgroup-v2")


def test_a_working_directory_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    theirs = tmp_path / f"frostline-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    with pytest.raises(SandboxError, match="not a directory of yours alone"):
        rundir.RunDirectory()
    theirs.rmdir()
    theirs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SandboxError, match=str(theirs)):
        rundir.RunDirectory()


def test_the_sweep_leaves_foreign_cgroups_alone(tmp_path: Path) -> None:
    run = rundir.RunDirectory(tmp_path)
    foreign = tmp_path / "frostline-other"
    foreign.mkdir()
    run.record([str(foreign)])
    os.close(run.lock)
    assert rundir.sweep(tmp_path) == [run.id]
    assert foreign.exists() and not run.path.exists()


@linux
def test_it_works_on_the_loop_that_frostline_uses(code: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def scenario() -> None:
        driver = await Driver().open(kinds_here()[0])
        try:
            environment = await driver.started(code)
            driver.run(environment, "while :; do echo tick; /bin/sleep 0.001; done")
            for _ in range(10):
                await driver.until(environment, "tick", after=len(driver.text(environment)))
                driver.sandbox.freeze(environment)
                await driver.expect(environment, EnvironmentFrozen)
                driver.sandbox.thaw(environment)
                await driver.expect(environment, EnvironmentThawed)
            await driver.destroy(environment)
        finally:
            await driver.sandbox.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
