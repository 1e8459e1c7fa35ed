"""Timers on the event loop: on time, never early, movable, and cheap to move later."""

from __future__ import annotations

import asyncio

from frostline.control.clock import Clock
from frostline.control.timers import Timers
from tests.control.rig import eventually


class Bell:
    """Timers on the running loop, and what has fired, when."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.due: dict[str, float] = {}
        self.fired: dict[str, float] = {}
        self.timers = Timers(asyncio.get_running_loop(), self.clock.now, self.fire)

    def set(self, name: str, seconds: float) -> None:
        self.due[name] = self.clock.now() + seconds
        self.timers.set(name, self.due[name])

    def fire(self, name: str) -> None:
        assert name not in self.fired, "fired twice"
        self.fired[name] = self.clock.now()


async def test_no_timer_fires_before_it_is_due() -> None:
    """The core ignores a timer that comes early, so its freeze or its timeout would be lost. uvloop rounds to milliseconds, down as well as up."""
    bell = Bell()
    for number in range(200):
        bell.set(str(number), 0.0002 + number * 0.00013)
        await asyncio.sleep(0)
    await eventually(lambda: len(bell.fired) == 200)
    assert [name for name, at in bell.fired.items() if at < bell.due[name]] == []


async def test_a_timer_that_is_moved_later_fires_once_and_late() -> None:
    bell = Bell()
    bell.set("a", 0.005)
    for _ in range(50):
        bell.set("a", 0.02)
    await eventually(lambda: bool(bell.fired))
    await asyncio.sleep(0.03)
    assert bell.fired["a"] >= bell.due["a"]


async def test_a_timer_that_is_moved_earlier_fires_early() -> None:
    bell = Bell()
    bell.set("a", 60)
    bell.set("a", 0.005)
    await eventually(lambda: bool(bell.fired))
    assert bell.fired["a"] - bell.due["a"] < 50


async def test_moving_a_timer_later_arms_nothing_new() -> None:
    class Counting:
        armed = 0

        def call_later(self, delay: float, *call: object) -> asyncio.TimerHandle:
            del delay, call
            self.armed += 1
            return asyncio.get_running_loop().call_later(60, int)

    loop = Counting()
    timers = Timers(loop, lambda: 0.0, lambda _: None)  # type: ignore[arg-type]
    for number in range(1000):
        timers.set("a", 1.0 + number)
    timers.cancel("a")
    timers.set("a", 5000.0)
    assert loop.armed == 1
    timers.close()


async def test_a_cancelled_timer_does_not_fire_and_can_be_set_again() -> None:
    bell = Bell()
    bell.set("a", 0.005)
    bell.timers.cancel("a")
    await asyncio.sleep(0.015)
    assert bell.fired == {}
    bell.set("a", 0.001)
    await eventually(lambda: "a" in bell.fired)


async def test_a_timer_can_be_set_while_it_fires() -> None:
    bell = Bell()
    fired: list[float] = []

    def again(name: str) -> None:
        fired.append(bell.clock.now())
        if len(fired) < 3:
            timers.set(name, bell.clock.now() + 0.001)

    timers = Timers(asyncio.get_running_loop(), bell.clock.now, again)
    timers.set("a", bell.clock.now())
    await eventually(lambda: len(fired) == 3)


async def test_nothing_fires_after_the_end() -> None:
    bell = Bell()
    bell.set("a", 0.001)
    bell.set("b", 0.002)
    bell.timers.close()
    bell.timers.cancel("c")
    await asyncio.sleep(0.01)
    assert bell.fired == {}
