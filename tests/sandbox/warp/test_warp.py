"""What a jump of the clocks does to an environment, and what is said of it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from frostline.core.events import EnvironmentFrozen, EnvironmentThawed, EnvironmentWarped, ProcessesKilled, ProcessExited, SandboxEvent
from frostline.sandbox.choose import open_sandbox
from frostline.sandbox.warp import build
from tests.sandbox.driver import INTERPRETER, LIMIT_S, PYTHON, Driver

from .travel import Traveller

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clocks are moved on Linux")

GAP_S = 6 * 3600.0

WAYS = 25
"""How many waits waits.c knows."""

CLOCKS = """
import time
names = [name for name in dir(time) if name.startswith("CLOCK_") and "CPUTIME" not in name]
print(*(f"{name}={time.clock_gettime(getattr(time, name)) - time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID):.3f}" for name in names), flush=True)
"""

BUSY = """
import threading, time
def work():
    last, jumps, waiting = time.monotonic(), 0, threading.Lock()
    waiting.acquire()
    while True:
        now = time.monotonic()
        assert now >= last, (now, last)
        if now - last > 1000:
            jumps += 1
            assert abs(now - last - 10_000) < 100, now - last
            print("jump", jumps, flush=True)
        last = now
        waiting.acquire(timeout=0.001)
for _ in range(4):
    threading.Thread(target=work).start()
print("ready", flush=True)
"""


SLEEPS = """
import threading, time
began = time.time()
threading.Timer(0.1, print, ("asleep",), {"flush": True}).start()
time.sleep(3600)
print("slept", time.time() - began, flush=True)
"""


async def _clocks(traveller: Traveller, environment: str) -> dict[str, float]:
    said = await traveller.output_of(environment, PYTHON, "-I", "-S", "-c", CLOCKS)
    return {name: float(value) for name, value in (word.split("=") for word in said.split())}


async def test_every_clock_moves_and_stays_so_for_programs_that_are_started_later(traveller: Traveller, code: Path) -> None:
    environment, other = [await traveller.started(code, extra_read_only=INTERPRETER) for _ in range(2)]
    before = await _clocks(traveller, environment)
    assert {"CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME"} <= before.keys()
    for number in (1, 2):
        warped = await traveller.jump(environment, GAP_S + 0.25)
        assert (warped.seconds, warped.ahead_s, warped.processes, warped.complete) == (GAP_S + 0.25, number * (GAP_S + 0.25), (), True)
        after = await _clocks(traveller, environment)
        assert {name: pytest.approx(value + number * (GAP_S + 0.25), abs=30) for name, value in before.items()} == after
    assert await _clocks(traveller, other) == {name: pytest.approx(value, abs=30) for name, value in before.items()}


async def test_programs_cannot_leave_the_time_by_clearing_their_variables(traveller: Traveller, code: Path) -> None:
    environment = await traveller.started(code)
    now = int(await traveller.output_of(environment, "date +%s"))
    await traveller.jump(environment, GAP_S)
    assert int(await traveller.output_of(environment, "/usr/bin/env -i /bin/date +%s")) == pytest.approx(now + GAP_S, abs=30)
    assert (
        await traveller.output_of(environment, "echo ${LD_PRELOAD-unset}; echo 2>/dev/null > /etc/frostline/clock || echo refused")
        == "unset\nrefused\n"
    )


async def test_a_wait_that_an_ordinary_freeze_has_interrupted_is_moved_too(each: Traveller, code: Path) -> None:
    environment = await each.began(code, "/var/task/waits", unit=1000)
    await each.wait(environment, 0)
    assert each.fired(environment) == []
    assert (await each.jump(environment, 1500)).complete
    await each.until_fired(environment, WAYS)
    assert [one.units for one in each.fired(environment)] == ["1"] * WAYS
    await each.wait(environment, 0)
    await each.jump(environment, 1000)
    await each.until_fired(environment, 2 * WAYS)
    assert [one.units for one in each.fired(environment)] == ["1"] * WAYS + ["2"] * WAYS


async def test_periodic_timers_count_what_they_would_have_fired(traveller: Traveller, code: Path) -> None:
    environment = await traveller.began(code, "/var/task/periodic", unit=1)
    await traveller.jump(environment, 100)
    await traveller.until(environment, "expired")
    count = int(traveller.text(environment).split("expired ")[1].split()[0])
    assert 99 <= count <= 130  # a hundred, and what the test took


async def test_busy_processes_see_time_jump_once_and_never_go_back(traveller: Traveller, code: Path) -> None:
    python = await traveller.started(code, extra_read_only=INTERPRETER)
    traveller.python(python, BUSY)
    await traveller.until(python, "ready")
    go = await traveller.began(code, "/var/task/busy-go", unit=10_000)
    for number in range(1, 9):
        await asyncio.gather(traveller.jump(python, 10_000), traveller.jump(go, 10_000))
        for environment in (python, go):
            end = 0
            for _ in range(4):
                end = await traveller.until(environment, f"jump {number}\n", after=end)


async def test_go_with_c_in_it_has_one_time(traveller: Traveller, code: Path) -> None:
    environment = await traveller.began(code, "/var/task/waits-cgo", unit=600)
    warped = await traveller.jump(environment, 1500)
    assert warped.complete, warped
    await traveller.until(environment, "met\n")
    await traveller.until_fired(environment, 4)
    fired = traveller.fired(environment)
    assert sorted((one.name, one.units) for one in fired) == [("C", "1"), ("C", "2"), ("Go", "1"), ("Go", "2")]
    assert all(one.after == pytest.approx(one.by_wall, abs=0.1) for one in fired)


async def test_a_clock_that_could_not_be_moved_is_said_so(traveller: Traveller, code: Path) -> None:
    environment = await traveller.began(code, "/var/task/waits-static", unit=60)
    traveller.run(environment, "sleep 60 & wait", name="extension:other")
    await asyncio.sleep(0.1)
    warped = await traveller.jump(environment, 90)
    assert not warped.complete and not warped.error
    assert {(one.name, one.moved, one.note) for one in warped.processes} == {
        ("waits-static", False, "it is statically linked, and not a Go program"),
        ("sh", True, ""),
        ("sleep", True, ""),
    }
    assert traveller.fired(environment) == []
    ended = [await traveller.expect(environment, ProcessExited)]
    assert ended[0].status == 0


async def test_only_what_is_frozen_is_warped_and_a_thaw_waits_for_it(each: Traveller, code: Path) -> None:
    environment = await each.started(code, extra_read_only=INTERPRETER)
    each.sandbox.warp(environment, 5)
    assert "does not stand still" in (await each.expect(environment, EnvironmentWarped)).error
    with pytest.raises(ValueError, match="above zero"):
        each.sandbox.warp(environment, 0)
    each.python(environment, SLEEPS)
    await each.until(environment, "asleep")
    await each.freeze(environment)
    each.sandbox.warp(environment, 4000)
    each.sandbox.thaw(environment)
    await each.expect(environment, EnvironmentWarped)
    await each.expect(environment, EnvironmentThawed)
    end = await each.until(environment, "\n", after=await each.until(environment, "slept "))
    assert float(each.text(environment)[:end].split()[-1]) == pytest.approx(4000, abs=30)


async def test_a_warp_may_be_overtaken_by_the_end(traveller: Traveller, code: Path) -> None:
    environment = await traveller.began(code, "/var/task/waits", unit=60)
    await traveller.freeze(environment)
    traveller.sandbox.warp(environment, 100)
    traveller.sandbox.kill_processes(environment)
    kinds = {type(await traveller.expect(environment, SandboxEvent)) for _ in range(3)}
    assert kinds == {EnvironmentWarped, ProcessExited, ProcessesKilled}
    await traveller.output_of(environment, "true")
    await traveller.freeze(environment)
    traveller.sandbox.warp(environment, 100)
    await traveller.destroy(environment)


async def test_without_warp_nothing_is_loaded(caged: Driver, code: Path) -> None:
    assert not caged.level.warps
    environment = await caged.started(code)
    assert "warp" not in await caged.output_of(environment, "cat /proc/self/maps; ls /etc")
    caged.sandbox.freeze(environment)
    await caged.expect(environment, EnvironmentFrozen)
    caged.sandbox.warp(environment, 5)
    assert (await caged.expect(environment, EnvironmentWarped)).error == "this sandbox does not move clocks"


@pytest.mark.parametrize(("cage", "freezer", "reason"), [("plain", None, "without namespaces"), ("namespaces", "off", "the freezer `off`")])
async def test_what_cannot_move_clocks_says_why(cage: str, freezer: str | None, reason: str) -> None:
    sandbox = await open_sandbox(lambda _: None, lambda *_: None, cage=cage, freezer=freezer, warp=True)  # type: ignore[arg-type]
    await sandbox.close()
    assert not sandbox.level.warps
    assert [note for note in sandbox.level.notes if "clocks cannot be moved" in note and reason in note]


async def test_without_a_compiler_everything_else_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "COMPILERS", ("no-such-compiler",))
    async with asyncio.timeout(LIMIT_S):
        sandbox = await open_sandbox(lambda _: None, lambda *_: None, cage="namespaces", warp=True)
    await sandbox.close()
    assert not sandbox.level.warps
    assert [note for note in sandbox.level.notes if "no C compiler" in note]
