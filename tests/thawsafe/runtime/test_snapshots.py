from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

import thawsafe
from tests.thawsafe.freezing import Clocks
from thawsafe._runtime import snapshots
from thawsafe._runtime.guard import Guard
from thawsafe._runtime.watch import WATCH


@pytest.fixture
def snapstart(monkeypatch: pytest.MonkeyPatch, clocks: Clocks) -> list[Callable[[], None]]:
    """Lambda's runtime with SnapStart: what was registered to run after a restore."""
    registered: list[Callable[[], None]] = []
    module = ModuleType("snapshot_restore_py")
    module.__dict__["register_after_restore"] = registered.append
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.setattr(snapshots, "_listening", False)
    return registered


def test_after_a_restore_no_connection_is_used(snapstart: list[Callable[[], None]]) -> None:
    guard = Guard("test", thawsafe.lambda_())
    life = guard.opened("a:1")
    [hook] = snapstart
    hook()

    assert not guard.usable(life, bool, lambda _: True)


def test_one_hook_is_enough(snapstart: list[Callable[[], None]]) -> None:
    Guard("test", thawsafe.lambda_())
    Guard("test", thawsafe.lambda_())
    thawsafe.handler(print)

    assert len(snapstart) == 1


def test_elsewhere_nothing_is_registered(snapstart: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    Guard("test", thawsafe.lambda_())

    assert snapstart == []


def test_a_runtime_without_hooks_is_no_error(snapstart: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)

    Guard("test", thawsafe.lambda_())


def test_a_microvm_says_it_itself(clocks: Clocks) -> None:
    before = WATCH.era.restores
    thawsafe.restored()

    assert WATCH.era.restores == before + 1
