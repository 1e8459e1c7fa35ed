"""Everything again as an ordinary user: once with no cgroup to write to, and once with one that was delegated.

When the tests are run by an ordinary user in the first place, `test_contract` and `test_namespaces` are that already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from frostline.sandbox import cgroups

HERE = Path(__file__).parent
UID = 61234
"""Nobody's, so that nothing on the machine belongs to it."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become somebody else; an ordinary user runs these tests anyway"
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A temporary directory of the user's."""
    path = Path(tempfile.mkdtemp(prefix="ordinary-"))
    os.chown(path, UID, UID)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A cgroup v2 directory given to the user, as `systemd-run --user --scope -p Delegate=yes` gives one."""
    text = Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()
    v2 = next(one for one in cgroups.mounted(*text) if one.version == 2)
    path = Path(v2.point) / f"frostline-test-{os.getpid()}"
    path.mkdir()
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(path / name, UID, UID)
    yield path
    assert cgroups.clear(str(path)) == []


def run_as_user(home: Path, *argv: str, cgroup: Path | None = None) -> subprocess.CompletedProcess[str]:
    def enter() -> None:
        if cgroup is not None:
            (cgroup / "cgroup.procs").write_text("0")

    command = [sys.executable, str(HERE / "as_user.py"), str(UID), sys.executable, *argv]
    variables = {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600, preexec_fn=enter, check=False)


def pytest_arguments(home: Path, *more: str) -> list[str]:
    tests = [str(HERE / name) for name in ("test_contract.py", "test_namespaces.py", "test_network_freeze.py")]
    return ["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", f"--basetemp={home}/tests", *more, *tests]


def test_without_any_cgroup(home: Path) -> None:
    ran = run_as_user(home, *pytest_arguments(home))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout, ran.stdout


def test_with_a_delegated_cgroup(home: Path, delegated: Path) -> None:
    arguments = pytest_arguments(home, "-v", "-k", "freez or froze or destroy or kill or closing or memory")
    ran = run_as_user(home, *arguments, cgroup=delegated)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "namespaces/cgroup-v2" in ran.stdout, ran.stdout
