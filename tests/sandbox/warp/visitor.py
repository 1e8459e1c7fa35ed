"""A program that moves clocks, to be run by an ordinary user: `python -m tests.sandbox.warp.visitor CODE FREEZER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from frostline.sandbox.namespaces import NamespaceSandbox

from .travel import Traveller

SLEEPS = """
import threading, time
threading.Timer(0.1, print, ("ready",), {"flush": True}).start()
threading.Timer(1000, print, ("fired timer 1000 0 0",), {"flush": True}).start()
began = time.time()
time.sleep(3600)
print("slept", round(time.time() - began), flush=True)
"""


async def main() -> None:
    driver = Traveller()
    driver.sandbox = NamespaceSandbox(driver.report, driver.on_output, egress=False, warp=True)
    level = driver.level = await driver.sandbox.open()
    try:
        assert (level.warps, level.freezer) == (True, sys.argv[2]), level
        environment = await driver.began(Path(sys.argv[1]), sys.executable, "-I", "-S", "-c", SLEEPS, unit=1)
        warped = await driver.jump(environment, 4000)
        assert warped.complete, warped
        await driver.until(environment, "fired timer")
        await driver.until(environment, "slept 4000\n")
    finally:
        await driver.sandbox.close()
    sys.stdout.write("moved\n")


if __name__ == "__main__":
    asyncio.run(main())
