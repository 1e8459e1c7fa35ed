"""Finding a place for control groups on machines of every kind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from frostline.sandbox import cgroups

PURE_V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = """35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
39 31 0:36 / /sys/fs/cgroup/cpu,pids rw - cgroup cgroup rw,cpu,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw
27 1 254:0 / / rw - ext4 /dev/vda rw
"""


def places(mountinfo: str, membership: str) -> list[tuple[int, str, str, set[str]]]:
    return [(one.version, one.point, one.own, set(one.controllers)) for one in cgroups.mounted(mountinfo, membership)]


def test_a_machine_with_v2_only() -> None:
    assert places(PURE_V2, "0::/user.slice/session-2.scope\n") == [
        (2, "/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/session-2.scope", set())
    ]


def test_a_machine_with_both_and_v2_at_an_unusual_place() -> None:
    membership = "8:cpu,pids:/\n6:freezer:/\n4:memory:/outer/inner\n1:name=systemd:/\n0::/\n"
    assert places(HYBRID, membership) == [
        (1, "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/outer/inner", {"memory"}),
        (1, "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/freezer", {"freezer"}),
        (1, "/sys/fs/cgroup/cpu,pids", "/sys/fs/cgroup/cpu,pids", {"pids"}),
        (2, "/sys/fs/cgroup/uni fied", "/sys/fs/cgroup/uni fied", set()),
    ]


@pytest.mark.parametrize(
    ("root", "path", "own"),
    [
        ("/docker/abc", "/docker/abc", "/sys/fs/cgroup"),
        ("/docker/abc", "/docker/abc/inner", "/sys/fs/cgroup/inner"),
        ("/docker/abc", "/docker/abcdef", "/sys/fs/cgroup"),
        ("/", "/../outside", "/sys/fs/cgroup"),
    ],
)
def test_a_container_sees_a_part_of_the_tree(root: str, path: str, own: str) -> None:
    assert places(PURE_V2.replace(" / /sys", f" {root} /sys"), f"0::{path}\n")[0][2] == own


def test_a_machine_without_any() -> None:
    assert places("27 1 254:0 / / rw - ext4 /dev/vda rw\n", "") == []


@pytest.fixture
def parent() -> Iterator[Path]:
    """A v2 group for the processes of a test."""
    text = Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()
    v2 = next(one for one in cgroups.mounted(*text) if one.version == 2)
    path = Path(v2.own) / f"frostline-test-{os.getpid()}"
    path.mkdir()
    yield path
    assert cgroups.clear(str(path)) == []


SCOPE = """
import os, sys
from pathlib import Path
from frostline.sandbox import cgroups
parent, controller = Path(sys.argv[1]), sys.argv[2]
(parent / "cgroup.procs").write_text("0")
other = os.fork() if sys.argv[3] == "crowded" else None
if other == 0:
    import time; time.sleep(1000)
made = cgroups.Plan()
there = cgroups.Mounted(2, str(parent), str(parent), ())
home = cgroups._try_v2(str(parent), f"{parent}/frostline-x", [controller], made, ours=True, use_freezer=True)
print(sorted(home.offers), made.moved == str(parent), Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().rpartition("/")[2])
cgroups.clear(home.path)
if made.moved:
    cgroups.go_back(made.moved, home.path)
print(sorted(path.name for path in parent.iterdir() if path.is_dir()), (parent / "cgroup.subtree_control").read_text().split())
if other:
    os.kill(other, 9); os.waitpid(other, 0)
"""


@pytest.mark.skipif(
    os.geteuid() != 0, reason="giving controllers to a group takes root, or systemd; freezing without it is in test_contract"
)
@pytest.mark.parametrize("others", ["alone", "crowded"])
def test_room_is_made_for_controllers_when_nobody_else_is_in_the_scope(parent: Path, others: str) -> None:
    # Any controller that this machine has in v2 does: the mechanism is the same for all.
    controller = Path(parent.parent / "cgroup.controllers").read_text().split()[0]
    given = controller in (parent.parent / "cgroup.subtree_control").read_text().split()
    (parent.parent / "cgroup.subtree_control").write_text(f"+{controller}")
    try:
        _in_a_scope(parent, controller, others)
    finally:
        if not given:
            (parent.parent / "cgroup.subtree_control").write_text(f"-{controller}")


def _in_a_scope(parent: Path, controller: str, others: str) -> None:
    ran = subprocess.run([sys.executable, "-c", SCOPE, str(parent), controller, others], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    alone = others == "alone"
    first, second = ran.stdout.splitlines()
    assert first == f"{sorted([controller, 'freezer']) if alone else ['freezer']} {alone} {'frostline-x.main' if alone else parent.name}"
    assert second == "[] []"


def test_what_cannot_be_written_says_what_and_where(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=rf"writing 5 to {tmp_path}/missing: No such file"):
        cgroups.write(f"{tmp_path}/missing", "5")
    assert cgroups.procs(f"{tmp_path}/missing") == []
    assert cgroups.remove([f"{tmp_path}/missing"]) == []
