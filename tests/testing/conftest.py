"""What the tests of this room share: a project, and one session of real sandboxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from frostline.testing import Frostline
from frostline.testing.session import Session
from tests.testing.projects import UPSTREAM, project


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the functions Orders, which is ill, and Healthy."""
    return project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="package")
def session() -> Iterator[Session]:
    made = Session()
    yield made
    made.close()


@pytest.fixture
def frozen(session: Session, folder: Path) -> Iterator[Frostline]:
    """Functions of the project in real environments."""
    with Frostline(session=session, folders=(folder,), upstreams=[UPSTREAM]) as made:
        yield made
