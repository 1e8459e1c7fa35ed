"""A program with a sandbox, to be killed in tests: `python victim.py KIND CODE`. It says what there is to look for, and then waits.

Three environments: one frozen, one that runs and forks, one that writes as fast as it can.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from frostline.core.events import EnvironmentFrozen

from .driver import Driver


async def main() -> None:
    driver = await Driver().open(sys.argv[1])
    code = Path(sys.argv[2])
    frozen, forking, flooding = [await driver.started(code) for _ in range(3)]
    for environment in (frozen, forking):
        driver.run(environment, "trap '' TERM INT HUP; (while :; do /bin/sleep 0.01; done) & echo up; while :; do /bin/sleep 0.01; done")
        await driver.until(environment, "up")
    driver.run(flooding, "exec yes")
    await driver.until(flooding, "y")
    driver.sandbox.freeze(frozen)
    await driver.expect(frozen, EnvironmentFrozen)
    sandbox = driver.sandbox
    assert sandbox._run is not None and sandbox._warden is not None and sandbox._warden._process is not None
    found = {
        "run": str(sandbox._run.path),
        "warden": sandbox._warden._process.pid,
        "directories": [home.path for home in sandbox._plan.homes],
        "heads": [environment.head_pid for environment in sandbox._environments.values()],
    }
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
