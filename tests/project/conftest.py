from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from frostline.project import default_cache

from .runtime_api import FakeRuntimeAPI


@pytest.fixture
def api() -> Iterator[FakeRuntimeAPI]:
    fake = FakeRuntimeAPI()
    yield fake
    fake.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of the test's own for code; runtime clients, which come from a package index, are shared with the user's."""
    shared = default_cache() / "runtimes"
    shared.mkdir(parents=True, exist_ok=True)
    own = tmp_path / "cache"
    own.mkdir()
    (own / "runtimes").symlink_to(shared)
    return own
