"""Clocks are moved for an ordinary user, too, with a cgroup and without."""

from __future__ import annotations

from pathlib import Path

from tests.sandbox import test_ordinary_user as ordinary

pytestmark = ordinary.pytestmark
home, delegated = ordinary.home, ordinary.delegated


def test_without_any_cgroup(home: Path) -> None:
    ran = ordinary.run_as_user(home, "-m", "tests.sandbox.warp.visitor", str(home), "signals")
    assert (ran.returncode, ran.stdout) == (0, "moved\n"), ran.stderr


def test_with_a_delegated_cgroup(home: Path, delegated: Path) -> None:
    ran = ordinary.run_as_user(home, "-m", "tests.sandbox.warp.visitor", str(home), "cgroup-v2", cgroup=delegated)
    assert (ran.returncode, ran.stdout) == (0, "moved\n"), ran.stderr
