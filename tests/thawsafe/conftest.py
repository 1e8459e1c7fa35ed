from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.thawsafe.freezing import Clocks
from thawsafe._core import paths
from thawsafe._core.moments import Era
from thawsafe._runtime.deadline import set_for_process
from thawsafe._runtime.watch import WATCH


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes may take long: a busy machine that runs tests is no peer that does not answer. The configuration's limit still counts."""
    for name in ("SOON", "SILENCE"):
        monkeypatch.setattr(paths, name, 5.0)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    """The clocks that thawsafe reads, until the test ends; and no invocation has begun."""
    moved = Clocks()
    monkeypatch.setattr(WATCH, "wall", moved.read_wall)
    monkeypatch.setattr(WATCH, "monotonic", moved.read_monotonic)
    monkeypatch.setattr(WATCH, "boottime", moved.read_boottime)
    monkeypatch.setattr(WATCH, "era", Era())
    yield moved
    set_for_process(None)
