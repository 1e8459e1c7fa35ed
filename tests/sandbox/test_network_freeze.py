"""Processes and network frozen together by the sandbox, and what may happen in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from frostline.core.events import (
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentThawed,
    EnvironmentWarped,
    NetworkRestored,
    PathExpired,
    ProcessesKilled,
    ProcessExited,
    SandboxEvent,
)
from frostline.core.fates import Fates
from frostline.core.middlebox import parse
from frostline.sandbox.namespaces import NamespaceSandbox
from frostline.sandbox.port import SandboxError

from .driver import INTERPRETER, PYTHON, Driver, left_behind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

ECHO = "host.frostline.internal"
CLIENT = """
import socket, sys
sock = socket.create_connection(("{host}", {port}))
print("connected", flush=True)
for number in range(10**9):
    sock.sendall(b"x")
    if sock.recv(1) != b"x":
        sys.exit(1)
    if number % 100 == 0:
        print("round", number, flush=True)
"""

ONCE = """
import socket, time
sock = socket.create_connection(("{host}", {port}))
sock.sendall(b"x")
sock.recv(1)  # now it is connected as far as the server, and not to the router alone
began = time.monotonic()
print("connected", flush=True)
while time.monotonic() - began < 100:
    time.sleep(0.05)
try:
    sock.sendall(b"x")
    print("got", sock.recv(1), flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.fixture
async def driver() -> AsyncIterator[Driver]:
    made = Driver()
    made.sandbox = NamespaceSandbox(made.report, made.on_output, freeze_network=True, fates=Fates(default="survive"))
    made.level = await made.sandbox.open()
    assert made.sandbox._run is not None
    run, directories = str(made.sandbox._run.path), [home.path for home in made.sandbox._plan.homes]
    yield made
    await made.sandbox.close()
    assert left_behind(run, directories) == []


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def connected(driver: Driver, code: Path, port: int) -> str:
    """An environment with a process that talks to the server without a pause."""
    environment = await driver.started(code, extra_read_only=INTERPRETER)
    driver.python(environment, CLIENT.format(host=ECHO, port=port))
    await driver.until(environment, "round 0\n")
    return environment


async def test_a_busy_connection_survives_freezes_and_their_calling_off(driver: Driver, code: Path, echo: int) -> None:
    assert driver.level.network_freezes
    environment = await connected(driver, code, echo)
    for number in range(60):
        driver.sandbox.freeze(environment)
        if number % 3:
            await driver.expect(environment, EnvironmentFrozen)
        elif number % 2:
            await asyncio.sleep(0.0003)
        driver.sandbox.thaw(environment)
        while not isinstance(event := await driver.expect(environment, SandboxEvent), EnvironmentThawed):
            assert isinstance(event, EnvironmentFrozen), "said before it was called off"
    here = len(driver.text(environment))
    await driver.until(environment, "round", after=here)
    assert len([event for event in driver.seen if isinstance(event, NetworkRestored)]) >= 40
    await driver.destroy(environment)


async def test_processes_that_are_killed_while_frozen_leave_a_network_that_works(driver: Driver, code: Path, echo: int) -> None:
    environment = await connected(driver, code, echo)
    driver.sandbox.freeze(environment)
    await driver.expect(environment, EnvironmentFrozen)
    driver.sandbox.kill_processes(environment)
    assert (await driver.expect(environment, ProcessExited)).signal == signal.SIGKILL
    await driver.expect(environment, ProcessesKilled)
    before = len(driver.text(environment, "second"))
    driver.run(environment, PYTHON, "-I", "-S", "-c", CLIENT.format(host=ECHO, port=echo), name="second")
    await driver.until(environment, "round 0\n", "second", after=before)
    await driver.destroy(environment)


async def test_a_frozen_environment_is_destroyed(driver: Driver, code: Path, echo: int) -> None:
    environment = await connected(driver, code, echo)
    driver.sandbox.freeze(environment)
    await driver.expect(environment, EnvironmentFrozen)
    await driver.destroy(environment)


async def test_a_freeze_and_a_thaw_under_way_are_no_hindrance_to_an_end(driver: Driver, code: Path, echo: int) -> None:
    for thaw in (False, True):
        environment = await connected(driver, code, echo)
        driver.sandbox.freeze(environment)
        if thaw:
            await driver.expect(environment, EnvironmentFrozen)
            driver.sandbox.thaw(environment)
        driver.sandbox.destroy(environment)
        while not isinstance(await driver.expect(environment, SandboxEvent), EnvironmentGone):
            pass


async def test_a_router_that_is_killed_does_not_keep_an_environment_frozen(driver: Driver, code: Path, echo: int) -> None:
    environment = await connected(driver, code, echo)
    driver.sandbox.freeze(environment)
    await driver.expect(environment, EnvironmentFrozen)
    assert isinstance(driver.sandbox, NamespaceSandbox) and driver.sandbox._router is not None
    dialer = driver.sandbox._router._helpers["dialer"]
    assert dialer.pid is not None
    notes: list[tuple[str | None, str]] = []
    told = asyncio.Event()
    driver.sandbox.on_note = lambda environment, sentence: (notes.append((environment, sentence)), told.set())[1]
    os.kill(dialer.pid, signal.SIGKILL)
    driver.sandbox.thaw(environment)
    await asyncio.wait_for(told.wait(), 5)
    ((about, sentence),) = notes
    assert about is None
    assert sentence.startswith(
        "the dialer process of the lab's router ended unexpectedly: functions that run cannot reach anything outside"
    )
    await driver.expect(environment, EnvironmentThawed)
    await driver.destroy(environment)


async def test_a_warp_makes_the_idle_time_of_connections_longer_too(code: Path, echo: int) -> None:
    driver = Driver()
    driver.sandbox = NamespaceSandbox(driver.report, driver.on_output, freeze_network=True, middleboxes=parse(["nat-gateway"]), warp=True)
    driver.level = await driver.sandbox.open()
    assert driver.level.warps, driver.level.notes
    environment = await driver.started(code, extra_read_only=INTERPRETER)
    driver.python(environment, ONCE.format(host=ECHO, port=echo))
    await driver.until(environment, "connected\n")
    driver.sandbox.freeze(environment)
    await driver.expect(environment, EnvironmentFrozen)
    driver.sandbox.warp(environment, 400)
    await driver.expect(environment, EnvironmentWarped)
    driver.sandbox.thaw(environment)
    await driver.expect(environment, EnvironmentThawed)
    await driver.until(environment, "ConnectionResetError")
    assert [event.middlebox for event in driver.seen if isinstance(event, PathExpired)] == ["nat-gateway"]
    await driver.sandbox.close()


async def test_where_there_is_no_network_to_freeze_processes_freeze_and_the_level_says_so() -> None:
    sandbox = NamespaceSandbox(lambda _: None, lambda *_: None, freeze_network=None, egress=False)
    level = await sandbox.open()
    assert not level.network_freezes
    assert "the network does not freeze, as there is none; processes do" in level.notes
    await sandbox.close()


async def test_without_a_way_out_there_is_no_network_to_freeze() -> None:
    sandbox = NamespaceSandbox(lambda _: None, lambda *_: None, freeze_network=True, egress=False)
    with pytest.raises(SandboxError, match="the network cannot be frozen, as there is none"):
        await sandbox.open()
