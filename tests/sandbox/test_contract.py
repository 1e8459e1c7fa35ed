"""What every sandbox promises, whatever its cage and however it freezes: run against each kind that this machine allows."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from frostline.core.events import (
    EnvironmentFreezeFailed,
    EnvironmentFrozen,
    EnvironmentGone,
    EnvironmentStarted,
    EnvironmentStartFailed,
    EnvironmentThawed,
    ProcessesKilled,
    ProcessExited,
)
from frostline.sandbox.port import SandboxError

from .driver import INTERPRETER, LIMIT_S, Driver

TICKS = "while :; do /bin/echo tick; done"
"""A process that does nothing but fork."""


async def _is_silent(driver: Driver, environment: str) -> bool:
    """Whether nothing is written for a while; nothing to wait for, so a while it is."""
    driver.sandbox.drain_output(environment)
    before = len(driver.text(environment))
    await asyncio.sleep(0.2)
    return len(driver.text(environment)) == before


async def test_a_started_environment_hands_over_its_ports_once(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    ports = driver.sandbox.ports(environment)
    host, port = ports.api.getsockname()
    assert ports.api_address == f"{host}:{port}"
    ports.api.close()
    with pytest.raises(SandboxError, match="were taken"):
        driver.sandbox.ports(environment)


async def test_a_process_reaches_the_runtime_api(driver: Driver, code: Path) -> None:
    environment = await driver.started(code, extra_read_only=INTERPRETER)
    ports = driver.sandbox.ports(environment)
    host, port = ports.api_address.split(":")
    driver.python(environment, f"import socket; s = socket.create_connection(({host!r}, {port})); s.sendall(b'next'); print(s.recv(10))")
    ports.api.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LIMIT_S):
        connection, _ = await loop.sock_accept(ports.api)
        with connection:
            assert await loop.sock_recv(connection, 10) == b"next"
            await loop.sock_sendall(connection, b"event")
            await driver.expect(environment, ProcessExited)
    assert "event" in driver.text(environment)
    ports.api.close()


async def test_output_comes_before_the_exit_and_the_exit_says_how(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "echo out; echo err >&2; exit 7")
    ended = await driver.expect(environment, ProcessExited)
    assert (ended.process, ended.status, ended.signal, ended.error) == ("runtime", 7, None, "")
    assert driver.text(environment) == "out\nerr\n"


async def test_output_can_be_reopened_by_name(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    assert await driver.output_of(environment, "echo out > /dev/stdout; echo err > /dev/stderr") == "out\nerr\n"


async def test_a_killed_process_is_reported_with_its_signal(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "kill -SEGV $$")
    ended = await driver.expect(environment, ProcessExited)
    assert (ended.status, ended.signal, ended.out_of_memory) == (None, signal.SIGSEGV, False)


@pytest.mark.parametrize(("name", "mode", "why"), [("missing", None, "no such file or directory"), ("plain", 0o600, "permission denied")])
async def test_what_cannot_be_executed_is_said_as_aws_says_it(driver: Driver, code: Path, name: str, mode: int | None, why: str) -> None:
    if mode is not None:
        (code / name).touch(mode)
    environment = await driver.started(code)
    path = f"{driver.sandbox.paths(environment).task}/{name}"
    driver.run(environment, path, "argument")
    ended = await driver.expect(environment, ProcessExited)
    assert (ended.error, ended.status, ended.signal) == (f"fork/exec {path}: {why}", None, None)


async def test_a_process_has_the_variables_it_was_given_and_no_others(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "/usr/bin/env", "-u", "TMP", env={"NAME": "välue=1\n2"})
    await driver.expect(environment, ProcessExited)
    assert sorted(driver.text(environment).splitlines()) == ["2", "NAME=välue=1", "PATH=/usr/bin:/bin"]


@pytest.mark.parametrize("value", ["nul \0", "half a pair \ud800"], ids=["nul", "surrogate"])
async def test_a_variable_that_no_process_can_have_is_a_failed_start(driver: Driver, code: Path, value: str) -> None:
    environment = await driver.started(code)
    driver.run(environment, "/bin/sh", "-c", "true", env={"NAME": value})
    assert (await driver.expect(environment, ProcessExited)).error == "fork/exec /bin/sh: invalid argument"


async def test_a_process_starts_in_the_functions_directory_with_its_files(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    assert await driver.output_of(environment, "cat data; pwd") == f"the function's\n{driver.sandbox.paths(environment).task}\n"


async def test_a_gated_process_waits(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "echo ready; head -c 1 <&3 >/dev/null; echo through", gate=True)
    await driver.until(environment, "ready")
    assert await _is_silent(driver, environment)
    driver.sandbox.open_gate(environment, "runtime")
    await driver.expect(environment, ProcessExited)
    assert driver.text(environment) == "ready\nthrough\n"


async def test_a_gate_can_be_opened_before_the_process_waits_and_again(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "head -c 1 <&3 >/dev/null; echo through", gate=True)
    driver.sandbox.open_gate(environment, "runtime")
    driver.sandbox.open_gate(environment, "runtime")
    assert (await driver.expect(environment, ProcessExited)).status == 0
    driver.sandbox.open_gate(environment, "runtime")


async def test_the_framed_log_is_a_pipe_of_its_own(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, 'eval "echo frame >&$_LAMBDA_TELEMETRY_LOG_FD"; echo text', gate=True, log=True)
    driver.sandbox.open_gate(environment, "runtime")
    await driver.expect(environment, ProcessExited)
    assert (driver.text(environment), driver.text(environment, kind="frames")) == ("text\n", "frame\n")


async def test_a_signal_goes_to_the_whole_process_group(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "sleep 1000 & echo started; wait")
    await driver.until(environment, "started")
    driver.sandbox.signal(environment, "runtime", signal.SIGTERM)
    assert (await driver.expect(environment, ProcessExited)).signal == signal.SIGTERM
    driver.sandbox.signal(environment, "runtime", signal.SIGTERM)
    driver.sandbox.signal("unknown", "runtime", signal.SIGTERM)


async def test_signals_are_not_ignored_from_the_start(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    assert (
        await driver.output_of(environment, "grep -E 'Sig(Ign|Blk)' /proc/self/status")
        == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
    )


async def test_an_orphan_that_keeps_the_pipe_does_not_hold_back_the_exit(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, '(until [ -e "$TMP/go" ]; do sleep 0.01; done; echo late) & echo early')
    await driver.expect(environment, ProcessExited)
    assert driver.text(environment) == "early\n"
    driver.run(environment, 'touch "$TMP/go"', name="extension:other")
    await driver.until(environment, "late")


async def test_frozen_processes_and_their_forks_stand_still(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    for name in ("runtime", "extension:other"):
        driver.run(environment, f"({TICKS}) & {TICKS}", name=name)
        await driver.until(environment, "tick", name)
    for _ in range(5):
        driver.sandbox.freeze(environment)
        await driver.expect(environment, EnvironmentFrozen)
        assert await _is_silent(driver, environment)
        after = len(driver.text(environment))
        driver.sandbox.thaw(environment)
        await driver.expect(environment, EnvironmentThawed)
        await driver.until(environment, "tick", after=after)


async def test_a_thaw_calls_off_a_freeze(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, TICKS)
    await driver.until(environment, "tick")
    for _ in range(20):
        driver.sandbox.freeze(environment)
        driver.sandbox.thaw(environment)
        await driver.expect(environment, EnvironmentThawed)
        await driver.until(environment, "tick", after=len(driver.text(environment)))
    driver.sandbox.freeze(environment)
    await driver.expect(environment, EnvironmentFrozen)
    assert await _is_silent(driver, environment)


async def test_an_empty_environment_freezes_too(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.sandbox.freeze(environment)
    await driver.expect(environment, EnvironmentFrozen)
    driver.sandbox.thaw(environment)
    await driver.expect(environment, EnvironmentThawed)


async def test_freezing_one_environment_leaves_the_others_alone(driver: Driver, code: Path) -> None:
    first, second = await driver.started(code), await driver.started(code)
    driver.run(first, "sleep 1000")
    driver.run(second, TICKS)
    driver.sandbox.freeze(first)
    await driver.expect(first, EnvironmentFrozen)
    await driver.until(second, "tick", after=len(driver.text(second)))


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
async def test_killing_the_processes_keeps_tmp(driver: Driver, code: Path, frozen: bool) -> None:
    environment = await driver.started(code)
    driver.run(environment, 'echo kept > "$TMP/file"; trap "" TERM; (trap "" TERM; sleep 1000) & echo written; wait')
    driver.run(environment, TICKS, name="extension:busy")
    await driver.until(environment, "written")
    if frozen:
        driver.sandbox.freeze(environment)
        await driver.expect(environment, EnvironmentFrozen)
    driver.sandbox.kill_processes(environment)
    ended = [await driver.expect(environment, ProcessExited) for _ in range(2)]
    assert {(one.process, one.signal) for one in ended} == {("runtime", signal.SIGKILL), ("extension:busy", signal.SIGKILL)}
    await driver.expect(environment, ProcessesKilled)
    assert await driver.output_of(environment, 'cat "$TMP/file"') == "kept\n"
    assert driver.heard(environment) == []


async def test_killing_nothing_is_answered_too(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.sandbox.kill_processes(environment)
    await driver.expect(environment, ProcessesKilled)


@pytest.mark.parametrize("state", ["running", "frozen", "freezing"])
async def test_an_environment_is_destroyed_in_any_state(driver: Driver, code: Path, state: str) -> None:
    environment = await driver.started(code)
    driver.run(environment, f"trap '' TERM; ({TICKS}) & sleep 1000")
    await driver.until(environment, "tick")
    if state != "running":
        driver.sandbox.freeze(environment)
    if state == "frozen":
        await driver.expect(environment, EnvironmentFrozen)
    driver.sandbox.destroy(environment)
    await driver.expect(environment, EnvironmentGone)
    assert driver.heard(environment) == []


async def test_an_environment_can_be_destroyed_while_it_is_built(driver: Driver, code: Path) -> None:
    environment = driver.begin(code)
    driver.sandbox.destroy(environment)
    await driver.expect(environment, EnvironmentGone)
    assert driver.heard(environment) == []


async def test_destroying_what_is_not_there_is_answered(driver: Driver) -> None:
    driver.sandbox.destroy("unknown")
    await driver.expect("unknown", EnvironmentGone)


async def test_what_is_not_there_answers_all_the_same(driver: Driver) -> None:
    sandbox = driver.sandbox
    sandbox.signal("unknown", "runtime", signal.SIGTERM)
    sandbox.open_gate("unknown", "runtime")
    driver.run("unknown", "true")
    assert "not running" in (await driver.expect("unknown", ProcessExited)).error
    for act, answer in (
        (sandbox.freeze, EnvironmentFreezeFailed),
        (sandbox.thaw, EnvironmentThawed),
        (sandbox.kill_processes, ProcessesKilled),
        (sandbox.destroy, EnvironmentGone),
    ):
        act("unknown")
        await driver.expect("unknown", answer)
    with pytest.raises(OSError, match="is not running"):
        sandbox.connect("unknown", 1)


async def test_code_that_is_not_there_is_a_failed_start_that_names_it(driver: Driver, tmp_path: Path) -> None:
    environment = driver.begin(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in (await driver.expect(environment, EnvironmentStartFailed)).reason
    driver.sandbox.destroy(environment)
    await driver.expect(environment, EnvironmentGone)


async def test_a_later_layer_hides_an_earlier_ones_files(driver: Driver, code: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        layer = tmp_path / f"layer:{number},x"
        (layer / "bin").mkdir(parents=True, mode=0o700)
        (layer / "bin" / "both").write_text(f"of layer {number}\n")
        (layer / "bin" / f"only{number}").write_text("")
    environment = await driver.started(code, layers=(tmp_path / "layer:1,x", tmp_path / "layer:2,x"))
    opt = driver.sandbox.paths(environment).opt
    assert await driver.output_of(environment, f"cat {opt}/bin/both; ls {opt}/bin") == "of layer 2\nboth\nonly1\nonly2\n"


async def test_a_single_layer_is_seen_as_it_is(driver: Driver, code: Path, tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir(mode=0o700)
    (tmp_path / "layer" / "file").write_text("of the layer\n")
    environment = await driver.started(code, layers=(tmp_path / "layer",))
    assert await driver.output_of(environment, f"cat {driver.sandbox.paths(environment).opt}/file") == "of the layer\n"


async def test_each_environment_has_a_tmp_of_its_own(driver: Driver, code: Path) -> None:
    first, second = await driver.started(code), await driver.started(code)
    assert await driver.output_of(first, 'echo mine > "$TMP/file"; ls "$TMP"') == "file\n"
    assert await driver.output_of(second, 'ls "$TMP"') == ""


async def test_what_was_written_can_be_had_at_once(driver: Driver, code: Path) -> None:
    environment = await driver.started(code)
    driver.run(environment, "echo first; sleep 1000")
    await driver.until(environment, "first")
    driver.sandbox.drain_output(environment)
    driver.sandbox.drain_output("unknown")


async def test_a_process_that_floods_does_not_starve_the_others(driver: Driver, code: Path) -> None:
    flooding, other = await driver.started(code), await driver.started(code)
    driver.run(flooding, "exec yes")
    await driver.until(flooding, "y")
    async with asyncio.timeout(LIMIT_S):
        for _ in range(5):
            assert await driver.output_of(other, "echo still served") == "still served\n"
    driver.sandbox.freeze(flooding)
    await driver.expect(flooding, EnvironmentFrozen)


async def test_connect_reaches_the_environments_own_loopback(driver: Driver, code: Path) -> None:
    environment = await driver.started(code, extra_read_only=INTERPRETER)
    server = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); c = s.accept()[0]; print(c.recv(9))"
    driver.python(environment, server)
    await driver.until(environment, "\n")
    port = int(driver.text(environment))
    loop = asyncio.get_running_loop()
    connection = None
    async with asyncio.timeout(LIMIT_S):
        while connection is None:
            try:
                connection = driver.sandbox.connect(environment, port)
            except BlockingIOError:
                await asyncio.sleep(0.001)
        with connection:
            await loop.sock_sendall(connection, b"telemetry")
            await driver.expect(environment, ProcessExited)
    assert "telemetry" in driver.text(environment)


async def test_the_memory_peak_is_known_and_grows(driver: Driver, code: Path) -> None:
    environment = await driver.started(code, extra_read_only=INTERPRETER, memory_mb=256)
    driver.python(environment, "x = bytearray(64 << 20); print('there', flush=True); import time; time.sleep(1000)")
    await driver.until(environment, "there")
    peak = driver.sandbox.memory_peak_mb(environment)
    assert peak is not None and 64 <= peak <= 256
    assert driver.sandbox.memory_peak_mb("unknown") is None


async def test_many_environments_start_freeze_thaw_and_go_together(driver: Driver, code: Path) -> None:
    environments = [driver.begin(code) for _ in range(16)]
    for environment in environments:
        await driver.expect(environment, EnvironmentStarted)
        driver.run(environment, "echo up; exec sleep 1000")
    for environment in environments:
        await driver.until(environment, "up")
    for act, answer in (
        (driver.sandbox.freeze, EnvironmentFrozen),
        (driver.sandbox.thaw, EnvironmentThawed),
        (driver.sandbox.destroy, EnvironmentGone),
    ):
        for environment in environments:
            act(environment)
        for environment in environments:
            await driver.expect(environment, answer)


async def test_closing_ends_whatever_is_there(driver: Driver, code: Path) -> None:
    frozen, running, starting = await driver.started(code), await driver.started(code), driver.begin(code)
    for environment in (frozen, running):
        driver.run(environment, TICKS)
        await driver.until(environment, "tick")
    driver.sandbox.freeze(frozen)
    await driver.expect(frozen, EnvironmentFrozen)
    await asyncio.gather(driver.sandbox.close(), driver.sandbox.close())
    await driver.sandbox.close()
    assert [type(event) for event in driver.heard(running)] == [EnvironmentGone]
    assert EnvironmentGone(starting) in driver.heard(starting)
