"""What end-to-end tests share: a folder for each module, and projects copied into it, so that tests may edit them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .running import FUNCTIONS, Held

MakeProject = Callable[..., Path]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a module's server keeps everything."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def held() -> Iterator[Held]:
    """Where functions stand still until a test lets them go."""
    made = Held()
    yield made
    made.close()


@pytest.fixture(scope="module")
def project(home: Path) -> MakeProject:
    """Copies one of the folders in `functions`, with more files in it."""

    def make(name: str, **files: str) -> Path:
        folder = home / name
        shutil.copytree(FUNCTIONS / name, folder)
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_text(text)
        return folder

    return make
