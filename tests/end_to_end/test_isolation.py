"""What a function can see, reach and harm: itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import MakeProject
from .running import RUNTIME, Server, processes, up


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject) -> Iterator[Server]:
    with up(home, project("isolation") / "template.yaml", "--parameter", f"Runtime={RUNTIME}") as running:
        yield running


@pytest.fixture
def service() -> Iterator[int]:
    """A server on the loopback of this machine, as developers have them; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"of the machine")

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


# What it sees -----------------------------------------------------------------------------------------------------------------------------


def test_nothing_but_tmp_can_be_written(server: Server, home: Path) -> None:
    host = home / "of-the-host"
    host.mkdir(mode=0o777)
    host.chmod(0o777)
    tried = server.invoke("probe", {"do": "files", "paths": [str(host), str(home / "isolation" / "code")]}).payload
    assert {place for place, outcome in tried.items() if outcome == "done"} == {"own", "tmp is executable"}
    assert tried["/var/task"] == tried["chmod"] == tried["unlink"] == tried["append"] == "EROFS"
    assert list(host.iterdir()) == []
    assert (home / "isolation" / "code" / "probe.py").stat().st_mode & 0o111 == 0


def test_nothing_of_the_host_is_seen(server: Server, home: Path) -> None:
    hidden = [
        str(home),
        "/home",
        "/etc/shadow",
        "/proc/1/root/etc",
        "/sys/fs/cgroup",
        "/run",
        "/var/run",
        "/dev/sda",
        "/dev/mem",
        "/boot",
        "/mnt",
    ]
    seen = server.invoke("probe", {"do": "seen", "paths": hidden}).payload
    assert seen["exists"] == dict.fromkeys(hidden, False)
    assert seen["pids"] == [1, seen["pids"][-1]], "its first process and itself"
    assert "not for functions" not in str(seen), "the host's environment variables"
    assert not any(name in seen["environment"] for name in ("HOME", "USER", "SECRET_OF_THE_HOST", "XDG_CACHE_HOME", "TMPDIR"))
    assert seen["environments"][0] == "EACCES", "not those of its first process either"
    assert {line.split(":")[0] for line in seen["users"].splitlines()} == {"root", "sbx_user1051"}
    assert seen["hostname"] != socket.gethostname()


def test_it_has_no_rights(server: Server) -> None:
    seen = server.invoke("probe", {"do": "seen"}).payload
    assert set(seen["capabilities"].values()) == {"0000000000000000"}
    assert (seen["no_new_privileges"], seen["groups"]) == ("1", [])
    assert 0 not in seen["ids"] and len(set(seen["ids"][:2])) == 1
    assert seen["setuid"] != 0
    assert {target.partition(":")[0] for target in seen["descriptors"].values()} <= {"/dev/null", "pipe", "socket"}, (
        "nothing of Frostline's is open"
    )


def test_processes_of_the_host_cannot_be_signalled(server: Server) -> None:
    pids = [os.getpid(), server.process.pid, os.getppid()]
    tried = server.invoke("probe", {"do": "kill", "pids": pids}).payload
    assert tried == {**{str(pid): "ESRCH" for pid in pids}, "1": "EPERM", "ptrace": "EPERM"}


# What it reaches --------------------------------------------------------------------------------------------------------------------------


def test_loopback_is_its_own_and_the_machine_has_a_name(server: Server, service: int) -> None:
    names = ("host.frostline.internal", "host.docker.internal", "127.0.0.1", "localhost")
    found = server.invoke("probe", {"do": "connect", "to": [[name, service] for name in names]}).payload
    assert found == {
        f"host.frostline.internal:{service}": "of the machine",
        f"host.docker.internal:{service}": "of the machine",
        f"127.0.0.1:{service}": "ConnectionRefusedError",
        f"localhost:{service}": "ConnectionRefusedError",
    }


def test_what_nobody_listens_at_is_an_error_and_not_a_wait(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that nobody else listens there
        nowhere = [["host.frostline.internal", taken.getsockname()[1]], ["169.254.169.254", 80], ["none.invalid", 80]]
        found = server.invoke("probe", {"do": "connect", "to": nowhere, "timeout": 8}).payload
    assert "TimeoutError" not in found.values(), found
    assert "of the machine" not in found.values()


def test_other_environments_cannot_be_reached(server: Server) -> None:
    address = server.invoke("neighbour", {"do": "listen", "port": 7777}).payload
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(server.invoke, "neighbour", {"do": "spin", "seconds": 2})  # it runs, so it could answer
        found = server.invoke("probe", {"do": "connect", "to": [[address, 7777], [address, 9001], [address, 2000]]}).payload
        assert not any("another" in outcome for outcome in found.values()), found
        assert set(found.values()) <= {"ConnectionRefusedError", "ConnectionResetError", "TimeoutError", "OSError"}
        busy.result()
    assert server.invoke("neighbour", {"do": "connect", "to": [["127.0.0.1", 7777]]}).payload == {
        "127.0.0.1:7777": "of another environment"
    }


def test_frostline_itself_is_reached_when_it_is_allowed(server: Server, tmp_path: Path, home: Path) -> None:
    refused = server.invoke("probe", {"do": "call", "port": server.port})
    assert refused.error == "Unhandled" and "Connection" in refused.payload["errorType"]
    with up(tmp_path, home / "isolation" / "template.yaml", "--parameter", f"Runtime={RUNTIME}", "--allow-invoke") as open_server:
        assert open_server.invoke("probe", {"do": "call", "port": open_server.port}).payload == '"hello from the neighbour"'


# What it harms ----------------------------------------------------------------------------------------------------------------------------


def test_processes_are_bounded(server: Server) -> None:
    made = server.invoke("roomy", {"do": "fork"}).payload
    assert made["error"] == "EAGAIN" and 100 < made["children"] < 2000
    assert server.invoke("roomy", {"do": "hello"}).payload == "hello from the neighbour"


def test_a_fork_bomb_in_little_memory_is_that_functions_trouble(server: Server) -> None:
    server.invoke("probe", {"do": "fork"})
    assert server.invoke("probe", {"do": "hello"}).payload == server.invoke("neighbour", {"do": "hello"}).payload


def test_tmp_is_bounded(server: Server) -> None:
    assert server.invoke("roomy", {"do": "fill"}).payload == {"megabytes": 512, "error": "ENOSPC"}
    assert server.invoke("probe", {"do": "fill"}).payload == {"megabytes": 512, "error": "ENOSPC"}, (
        "also where memory is smaller, as on AWS"
    )


def test_killing_everything_kills_itself(server: Server) -> None:
    answer = server.invoke("probe", {"do": "kill_all"})
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert server.invoke("probe", {"do": "hello"}).error is None


def test_processes_that_hide_do_not_survive_their_environment(tmp_path: Path, home: Path) -> None:
    with up(tmp_path, home / "isolation" / "template.yaml", "--parameter", f"Runtime={RUNTIME}") as server:
        assert server.invoke("probe", {"do": "orphans"}).payload == 5
        server.until_state("probe", "frozen")
        assert len([line for line in processes(server.marker, server.run) if "os.setsid()" in line]) == 3
        server.invoke("probe", {"do": "kill_all"})
        server.until_state("probe", "idle")
        assert not [line for line in processes(server.marker, server.run) if "os.setsid()" in line], "a reset ends them, too"
        assert server.invoke("probe", {"do": "orphans"}).payload == 5
    # `up` looks that nothing is left.


RUDE = {
    "garbage": ("after the garbage", ["garbage: 400"]),
    "ids": (
        "right",
        [
            *("wrong id: 400", "wrong path: 404 405", "again: True", "right: 202", "twice: 403", "error after: 403"),
            *("init error now: 403", "ping: 200"),
        ],
    ),
    "connections": ("after the connections", ["connections: True"]),
    "flood": ("after the flood", []),
    "pipeline": ("1", ["pipelined: 202"]),
}


@pytest.mark.parametrize("how", RUDE)
def test_a_rude_runtime_is_answered_and_nobody_else_notices(server: Server, how: str) -> None:
    expected, said = RUDE[how]
    with ThreadPoolExecutor(2) as pool:
        rude = [pool.submit(server.invoke, f"rude-{how}", {"n": n}) for n in range(3)]
        neighbours = [server.invoke("neighbour", {"do": "hello"}) for _ in range(20)]
        assert all(answer.payload == "hello from the neighbour" for answer in neighbours)
        assert {future.result().payload for future in rude} == {expected}
    for line in said:
        server.until_logged(f"rude-{how}", line)


def test_a_truncated_response_and_a_runtime_that_never_answers(server: Server) -> None:
    half = server.invoke("rude-half")
    assert half.error == "Unhandled" and half.payload["errorType"] in ("Runtime.TruncatedResponse", "Sandbox.Timedout")
    never = server.invoke("rude-never")
    assert never.payload["errorType"] == "Sandbox.Timedout"
    assert server.invoke("neighbour", {"do": "hello"}).error is None


def test_a_first_process_that_is_killed_from_outside_is_an_environment_lost(server: Server) -> None:
    """As the kernel does it when the whole machine runs out of memory."""
    server.invoke("neighbour", {"do": "hello"})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.invoke, "neighbour", {"do": "spin", "seconds": 15})
        server.until_state("neighbour", "busy")
        heads = first_processes(server, "neighbour")
        assert heads
        for pid in heads:
            os.kill(pid, signal.SIGKILL)
        answer = running.result()
    assert answer.error == "Unhandled" and answer.payload["errorType"] in ("Sandbox.Failure", "Runtime.ExitError")
    assert server.invoke("neighbour", {"do": "hello"}).error is None


def first_processes(server: Server, function: str) -> set[int]:
    """The parents, numbered as on the host, of the runtime processes of a function."""
    found = set()
    for line in processes(server.marker, server.run):
        pid = line.removeprefix("process ").partition(":")[0]
        try:
            if f"AWS_LAMBDA_FUNCTION_NAME={function}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.add(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
        except OSError:
            continue
    return found
