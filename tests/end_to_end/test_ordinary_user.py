"""As somebody without any privilege: the same functions, the same answers, nothing of the host, nothing left.

When an ordinary user runs the tests, all the others are that already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import FROSTLINE, FUNCTIONS, LIMIT_S, RUNTIME, Server, surroundings, up

UID = 61235
"""Nobody's, so that nothing on the machine belongs to it."""

SETPRIV = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs")
OPTIONS = ("--parameter", f"Runtime={RUNTIME}")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become somebody else; an ordinary user's own run tests the same"
)


def python_for_everybody() -> str:
    """An interpreter of the version that the installed packages are for, which anybody may run."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for candidate in (sys.executable, shutil.which(name), f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        # It must be able to start itself: setpriv gives its rights up only once the program is found.
        again = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
        if candidate and subprocess.run([*SETPRIV, candidate, "-c", again], capture_output=True, check=False, cwd="/").returncode == 0:
            return candidate
    pytest.skip(f"no {name} on this machine can be run by another user than root")


@pytest.fixture(scope="module")
def python() -> str:
    return python_for_everybody()


@pytest.fixture(scope="module")
def user_home(anybodys: Path) -> Path:
    """A folder of the user's, in which root has put a copy of Frostline, if the user cannot read the checkout, and AWS's runtime client."""
    return anybodys


@pytest.fixture(scope="module")
def environment(user_home: Path, python: str) -> dict[str, str]:
    paths = [str(readable(Path(path), user_home)) for path in sys.path if path.endswith(("site-packages", "src"))]
    made = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(user_home / "home")}
    cache = {**os.environ, **made, "HOME": os.environ.get("HOME", "/root"), "XDG_CACHE_HOME": str(user_home / "shared")}
    subprocess.run([python, "-m", "frostline.project.runtimes", "prepare", RUNTIME], env=cache, check=True, capture_output=True)
    return made


def readable(path: Path, user_home: Path) -> Path:
    """The path, or a copy of it that everybody may read."""
    if subprocess.run([*SETPRIV, "ls", str(path)], capture_output=True, check=False, cwd="/").returncode == 0:
        return path
    copy = user_home / "packages" / str(len(list(user_home.glob("packages/*"))))
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def home_of(user_home: Path, name: str) -> Path:
    """A server's home, the user's own."""
    home = user_home / name
    surroundings(home) if home.exists() else (home.mkdir(), surroundings(home))
    runtimes = home / "cache" / "frostline" / "runtimes"
    runtimes.unlink()
    runtimes.symlink_to(user_home / "shared" / "frostline" / "runtimes")
    for folder in ("python", "freezing", "isolation", "extensions"):
        shutil.copytree(FUNCTIONS / folder, home / folder)
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)
    return home


@pytest.fixture(scope="module")
def server(user_home: Path, environment: dict[str, str], python: str) -> Iterator[Server]:
    home = home_of(user_home, "one")
    (home / "python").chmod(0o700)
    with up(
        home, home / "python" / "template.yaml", *OPTIONS, as_user=SETPRIV, program=(python, "-m", "frostline"), environment=environment
    ) as running:
        yield running


def test_it_is_the_whole_thing(server: Server) -> None:
    level = server.started["level"]
    assert (level["cage"], level["network"], level["egress"], level["process_limit"]) == ("namespaces", True, True, True)
    assert level["freezer"] in ("cgroup-v2", "signals")
    assert Path(f"/proc/{server.process.pid}").stat().st_uid == UID


def test_answers_are_the_same(server: Server) -> None:
    assert server.invoke("behave", {"a": 1}).payload == {"a": 1}
    assert server.invoke("behave", {"do": "fail"}).payload["errorType"] == "CustomException"
    assert server.invoke("behave", {"do": "leave", "status": 3}).payload["errorMessage"].endswith("exit status 3")
    server.invoke("brief", {"do": "write", "name": "kept", "text": "kept"})
    assert server.invoke("brief", {"do": "sleep", "seconds": 9}).payload["errorType"] == "Sandbox.Timedout"
    assert server.invoke("brief", {"do": "read", "name": "kept"}).payload["text"] == "kept"
    seen = server.invoke("behave", {"do": "introspect"}).payload
    assert seen["user"] == "sbx_user1051" and seen["uid"] not in (0, UID)
    assert seen["limits"]["RLIMIT_NOFILE"] == [1024, 1024]


def test_frozen_and_thawed_as_often_as_it_takes(user_home: Path, environment: dict[str, str], python: str) -> None:
    home = home_of(user_home, "two")
    with up(
        home, home / "freezing" / "template.yaml", *OPTIONS, as_user=SETPRIV, program=(python, "-m", "frostline"), environment=environment
    ) as server:
        before = server.invoke("ticker").payload
        server.until_state("ticker", "frozen")
        server.invoke("echo")
        after = server.invoke("ticker", {"run": 0.05}).payload
        assert after["thread"] >= before["thread"]
        assert [server.invoke("echo", {"n": n}).payload["n"] for n in range(100)] == list(range(100))


def test_isolation_is_the_same(user_home: Path, environment: dict[str, str], python: str) -> None:
    home = home_of(user_home, "three")
    with up(
        home, home / "isolation" / "template.yaml", *OPTIONS, as_user=SETPRIV, program=(python, "-m", "frostline"), environment=environment
    ) as server:
        tried = server.invoke("probe", {"do": "files", "paths": [str(home), str(home / "python")]}).payload
        assert {place for place, outcome in tried.items() if outcome == "done"} == {"own", "tmp is executable"}
        seen = server.invoke("probe", {"do": "seen", "paths": [str(home), "/etc/shadow"]}).payload
        assert set(seen["capabilities"].values()) == {"0000000000000000"}
        assert not any(seen["exists"].values()) and seen["no_new_privileges"] == "1"
        assert seen["environments"][0] == "EACCES" and "not for functions" not in str(seen)
        before = server.until_state("probe", "frozen")["environment"]
        kills = server.invoke("probe", {"do": "kill", "pids": [server.process.pid]}).payload
        # Its first process is the same user's here, and the kernel keeps a namespace's first process from what is sent within it.
        assert kills.pop("1") in ("EPERM", "done")
        assert kills == {str(server.process.pid): "ESRCH", "ptrace": "EPERM"}
        assert server.until_state("probe", "frozen")["environment"] == before
        made = server.invoke("roomy", {"do": "fork"}).payload
        assert made["error"] == "EAGAIN" and made["children"] < 2000
        assert server.invoke("probe", {"do": "orphans"}).payload == 5


def test_kill_9_leaves_nothing(user_home: Path, environment: dict[str, str], python: str) -> None:
    home = home_of(user_home, "four")
    with up(
        home, home / "extensions" / "template.yaml", *OPTIONS, as_user=SETPRIV, program=(python, "-m", "frostline"), environment=environment
    ) as server:
        assert server.invoke("observed").error is None
        server.until_state("observed", "frozen")
        server.process.kill()
        server.process.wait()
        server.until_nothing_is_left()


def test_code_that_cannot_be_read_is_said_in_a_sentence(user_home: Path, environment: dict[str, str], python: str) -> None:
    home = home_of(user_home, "five")
    secret = home / "secret"
    secret.mkdir(mode=0o700)  # root's
    for target in (secret, secret / "app.py"):
        command = [*SETPRIV, python, *FROSTLINE[1:], "up", str(target), "--port", "0", "--handler", "app.handler", "--runtime", RUNTIME]
        done = subprocess.run(
            command, env={**surroundings(home), **environment}, capture_output=True, text=True, timeout=LIMIT_S, cwd=home, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("frostline: ") and "Traceback" not in done.stderr and str(target) in done.stderr
