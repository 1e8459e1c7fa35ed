"""What an environment with namespaces is like from the inside, and that nothing of the host's is in reach."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from frostline.core.events import EnvironmentFrozen, EnvironmentGone, EnvironmentStartFailed, ProcessExited
from frostline.sandbox import cgroups
from frostline.sandbox.namespaces import NamespaceSandbox

from .driver import INTERPRETER, LIMIT_S, PYTHON, Driver

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are a feature of Linux")


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def loaded(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


async def test_the_function_is_nobody_special(caged: Driver, code: Path) -> None:
    environment = await caged.started(code)
    assert await caged.output_of(environment, "id -u; id -g; umask; ulimit -n; hostname 2>/dev/null || cat /etc/hostname") == (
        "993\n990\n0022\n1024\nsandbox\n"
    )
    status = await caged.output_of(environment, "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status")
    assert [line.split("\t")[1] for line in status.splitlines()] == ["0" * 16] * 5 + ["1"]
    assert await caged.output_of(environment, "cat /proc/1/environ /proc/1/mem 2>&1 | grep -c 'Permission denied'") == "2\n"


async def test_every_place_but_tmp_is_read_only(caged: Driver, code: Path, tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "runtime").mkdir()
    environment = await caged.started(code, layers=(tmp_path / "layer",), runtime=tmp_path / "runtime", extra_read_only=INTERPRETER)
    script = """
import os
for directory, below, _ in os.walk('/'):
    if directory in ('/proc', '/usr'):
        below.clear()
    try:
        os.close(os.open(directory + '/probe', os.O_CREAT | os.O_WRONLY))
    except OSError:
        continue
    print(directory)
"""
    caged.python(environment, script)
    await caged.expect(environment, ProcessExited)
    assert caged.text(environment) == "/tmp\n"
    assert (await caged.output_of(environment, "touch /usr/probe /proc/sys/kernel/hostname 2>&1; touch data 2>&1; true")).count("\n") == 3
    assert not (code / "probe").exists()


async def test_only_its_own_processes_are_visible(caged: Driver, code: Path) -> None:
    first, second = await caged.started(code), await caged.started(code)
    caged.run(first, "exec sleep 1000")
    seen = await caged.output_of(second, "for d in /proc/[0-9]*; do echo ${d#/proc/}; done")
    assert len(seen.split()) <= 3
    caged.run(second, "kill -KILL 1; kill -KILL -1")
    await caged.expect(second, ProcessExited)
    assert await caged.output_of(second, "echo alive") == "alive\n"
    assert caged.heard(first) == []


async def test_nothing_of_the_hosts_secrets_or_names_is_there(caged: Driver, code: Path) -> None:
    environment = await caged.started(code)
    listing = await caged.output_of(environment, "ls /; ls /etc; cat /etc/hosts; cat /etc/passwd")
    assert not {"shadow", "home", "sys", "run", "boot", "mnt"} & set(listing.split())
    assert "127.0.0.1 sandbox.localdomain sandbox" in listing and "sbx_user1051:x:993:990" in listing
    mounts = await caged.output_of(environment, "cat /proc/self/mountinfo")
    assert str(code) not in mounts.replace(f" {code} /var/task", "")


async def test_devices_are_the_harmless_ones(caged: Driver, code: Path) -> None:
    environment = await caged.started(code)
    assert (await caged.output_of(environment, "ls /dev")).split() == [
        "fd", "full", "null", "random", "stderr", "stdin", "stdout", "urandom", "zero",
    ]  # fmt: skip
    assert await caged.output_of(environment, "echo x > /dev/null; head -c 3 /dev/zero | od -An -tx1; cat /dev/null") == " 00 00 00\n"


async def test_opt_and_runtime_exist_even_when_there_is_nothing_in_them(caged: Driver, code: Path) -> None:
    environment = await caged.started(code)
    assert await caged.output_of(environment, "ls -d /opt /opt/* /var/runtime /var/runtime/* 2>/dev/null; true") == "/opt\n/var/runtime\n"


async def test_the_interpreter_is_found_at_its_own_path(caged: Driver, code: Path) -> None:
    environment = await caged.started(code, extra_read_only=INTERPRETER)
    assert await caged.output_of(environment, PYTHON, "-c", "import sys, json, ssl; print(sys.base_prefix)") == f"{sys.base_prefix}\n"


async def test_extra_directories_may_lie_below_opt_and_tmp(caged: Driver, code: Path, tmp_path: Path) -> None:
    layers = []
    for number in (1, 2):
        layers.append(tmp_path / f"layer{number}")
        layers[-1].mkdir()
        (layers[-1] / f"file{number}").touch()
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "file").write_text("extra\n")
    assert str(extra).startswith("/tmp/"), "pytest's temporary directory is not in /tmp"
    for some in ((), tuple(layers[:1]), tuple(layers)):
        environment = await caged.started(code, layers=some, extra_read_only=(extra, extra / "file"))
        assert await caged.output_of(environment, f"cat {extra}/file; ls /opt; echo x > /tmp/mine") == "extra\n" + "".join(
            f"file{n}\n" for n in range(1, 1 + len(some))
        )


async def test_a_place_that_is_taken_is_refused(caged: Driver, code: Path) -> None:
    for path, why in (("/var/task", "taken"), ("/", "taken"), ("/nowhere/at/all", "no such file")):
        environment = caged.begin(code, extra_read_only=(Path(path),))
        assert why in (await caged.expect(environment, EnvironmentStartFailed)).reason


async def test_tmp_ends_at_its_limit_and_not_at_the_memory_limit(caged: Driver, code: Path) -> None:
    environment = await caged.started(code, tmp_mb=96, memory_mb=48)
    caged.run(environment, "head -c 80M /dev/zero > /tmp/first; echo $?; head -c 80M /dev/zero > /tmp/second; ls -s --block-size=M /tmp")
    assert (await caged.expect(environment, ProcessExited)).status == 0
    text = caged.text(environment)
    assert text.startswith("0\n") and "No space left on device" in text and "80M first" in text and "16M second" in text


async def test_memory_ends_at_its_limit(caged: Driver, code: Path) -> None:
    environment = await caged.started(code, tmp_mb=512, memory_mb=64, extra_read_only=INTERPRETER)
    hog = "import sys, time\nkept = []\nwhile len(kept) < 256: kept.append(bytearray(1 << 20))\nprint('all of it')\n"
    caged.python(environment, hog)
    ended = await caged.expect(environment, ProcessExited)
    if caged.level.memory_limit:
        assert (ended.signal, ended.out_of_memory) == (signal.SIGKILL, True)
        assert caged.sandbox.memory_peak_mb(environment) == 64
    else:
        assert any("memory" in note for note in caged.level.notes)
    # The limit is not in the way of what comes after, and is still there.
    assert await caged.output_of(environment, "echo next") == "next\n"
    if caged.level.memory_limit:
        caged.python(environment, hog)
        assert (await caged.expect(environment, ProcessExited)).out_of_memory


async def test_being_killed_is_not_being_out_of_memory(caged: Driver, code: Path) -> None:
    environment = await caged.started(code, memory_mb=64)
    caged.run(environment, "kill -KILL $$")
    ended = await caged.expect(environment, ProcessExited)
    assert (ended.signal, ended.out_of_memory) == (signal.SIGKILL, False)


async def test_the_number_of_processes_is_bounded(caged: Driver, code: Path) -> None:
    assert caged.level.process_limit
    first, second = await caged.started(code, processes=12), await caged.started(code, processes=12)
    forks = "i=0; while [ $i -lt 30 ]; do sleep 1000 & i=$((i+1)); done; echo made all"
    for environment in (first, second):
        caged.run(environment, forks)
        await caged.expect(environment, ProcessExited)
        text = caged.text(environment).lower()
        assert "made all" not in text and ("fork" in text or "resource" in text), text


async def test_environments_do_not_share_a_bound(caged: Driver, code: Path) -> None:
    many = [await caged.started(code, processes=8) for _ in range(4)]
    for environment in many:
        caged.run(environment, "sleep 1000 & sleep 1000 & sleep 1000 & echo all; wait")
        await caged.until(environment, "all")


async def test_code_owned_by_others_is_readable_when_everybody_may_read_it(caged: Driver, tmp_path: Path) -> None:
    directory = tmp_path / "code"
    directory.mkdir(mode=0o755)
    (directory / "file").write_text("theirs\n")
    (directory / "file").chmod(0o644)
    if os.geteuid() == 0:
        os.chown(directory / "file", 12345, 12345)
    environment = await caged.started(directory)
    assert await caged.output_of(environment, "cat file") == "theirs\n"


async def test_an_init_that_dies_takes_its_processes_with_it_and_says_so(caged: Driver, code: Path) -> None:
    environment = await caged.started(code)
    caged.run(environment, "echo up; exec sleep 1000")
    await caged.until(environment, "up")
    os.kill(caged.sandbox._environments[environment].head_pid, signal.SIGKILL)
    await caged.expect(environment, EnvironmentGone)
    assert "up" in caged.text(environment)


async def test_frozen_processes_get_no_cpu(caged: Driver, code: Path) -> None:
    environment = await caged.started(code)
    caged.run(environment, "echo up; while :; do :; done")
    await caged.until(environment, "up")
    caged.sandbox.freeze(environment)
    await caged.expect(environment, EnvironmentFrozen)
    (busy,) = children(caged.sandbox._environments[environment].head_pid)

    def cpu_time() -> list[str]:
        return Path(f"/proc/{busy}/stat").read_text().rpartition(")")[2].split()[11:13]

    before = cpu_time()
    await asyncio.sleep(0.2)
    assert cpu_time() == before


async def test_a_spare_is_ready_before_it_is_asked_for_and_is_not_left_behind(caged: Driver, code: Path) -> None:
    warden = caged.sandbox._warden
    assert warden is not None and warden._process is not None
    pid = warden._process.pid
    await caged.started(code)
    async with asyncio.timeout(LIMIT_S):
        while len(children(pid)) < 2:  # noqa: ASYNC110 - it is made when there is nothing else to do, and nobody is told
            await asyncio.sleep(0.005)


async def test_the_warden_carries_nothing_but_the_standard_library(caged: Driver) -> None:
    warden = caged.sandbox._warden
    assert warden is not None and warden._process is not None
    maps = loaded(warden._process.pid)
    assert "site-packages" not in maps and "msgspec" not in maps


async def test_the_run_directory_is_private(caged: Driver) -> None:
    run = caged.sandbox._run
    assert run is not None
    for path in (run.path, run.path.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


async def test_functions_reach_services_on_the_developers_machine(code: Path) -> None:
    driver = Driver()
    sandbox = driver.sandbox = NamespaceSandbox(driver.report, driver.on_output)
    driver.level = await sandbox.open()
    try:
        if not driver.level.egress:
            assert any("cannot reach anything outside" in note for note in driver.level.notes)
            return
        served = asyncio.Event()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"served\n")
            writer.close()
            served.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            environment = await driver.started(code, extra_read_only=INTERPRETER)
            script = f"import socket; print(socket.create_connection(('host.docker.internal', {port})).recv(100).decode(), end='')"
            driver.python(environment, script)
            ended = await driver.expect(environment, ProcessExited)
            assert (ended.status, driver.text(environment), served.is_set()) == (0, "served\n", True), ended
            await driver.destroy(environment)
    finally:
        await sandbox.close()


def remains(folder: Path, plan: cgroups.Plan) -> list[Path]:
    """Of a run, in its folder and in the machine's cgroups."""
    return [*folder.rglob("run-*"), *(path for path in map(Path, plan.directories()) if path.exists())]


async def test_an_opening_that_is_cancelled_while_cgroups_are_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C in the first moments: a thread is making them then, and cannot be cancelled."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    begun, go_on = threading.Event(), threading.Event()
    real, made = cgroups.plan, []

    def plan(run: str, *, freezer: int | None = None) -> cgroups.Plan:
        begun.set()
        assert go_on.wait(10)
        made.append(real(run, freezer=freezer))
        return made[0]

    monkeypatch.setattr(cgroups, "plan", plan)
    sandbox = NamespaceSandbox(lambda _: None, lambda *_: None, egress=False)
    opening = asyncio.get_running_loop().create_task(sandbox.open())
    await asyncio.to_thread(begun.wait, 10)
    opening.cancel()
    await asyncio.sleep(0)  # it is told
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert remains(tmp_path, made[0]) == []
