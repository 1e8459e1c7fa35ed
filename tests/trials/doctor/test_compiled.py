"""Bytecode for a function that brings packages along without any."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from frostline.project import Deployment
from frostline.project.model import Launch
from frostline.testing.builders import function
from frostline.trials.doctor import compiled as module
from frostline.trials.doctor.compiled import FEW_FILES, compiled

RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A function with a package of many modules, one of which is no Python."""
    package = tmp_path / "code" / "package"
    package.mkdir(parents=True)
    for number in range(FEW_FILES + 2):
        (package / f"module{number}.py").write_text(f"NUMBER = {number}\n")
    (package / "module0.py").write_text("print 'this is not Python 3'\n")
    (tmp_path / "code" / "data").symlink_to("package/module1.py")
    (tmp_path / "runtime" / "lang" / "bin").mkdir(parents=True)
    (tmp_path / "runtime" / "lang" / "bin" / RUNTIME).symlink_to(sys.executable)
    return Deployment(
        function=function(runtime=RUNTIME), code=tmp_path / "code", launch=Launch(argv=("x",), runtime_dir=tmp_path / "runtime")
    )


def bytecode(file: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(file)))


async def test_the_copy_has_bytecode_that_counts_and_the_users_folder_is_left_alone(deployment: Deployment, tmp_path: Path) -> None:
    before = sorted(deployment.code.rglob("*"))
    made = await compiled(deployment, tmp_path / "made")
    assert (made.code, made.function) == (tmp_path / "made", deployment.function)
    assert sorted(deployment.code.rglob("*")) == before
    assert os.readlink(made.code / "data") == "package/module1.py"
    assert not bytecode(made.code / "package/module0.py").exists()
    argv = sys.executable, "-v", "-c", "import package.module1"
    ran = await asyncio.to_thread(subprocess.run, argv, cwd=made.code, capture_output=True, text=True, check=True)
    said = ran.stderr
    assert f"code object from '{bytecode(made.code / 'package/module1.py')}'" in said.replace('"', "'")


async def test_what_saves_nothing_is_not_copied(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = replace(deployment, function=function(runtime="nodejs22.x"))
    assert await compiled(node, tmp_path / "made") is node
    again = await compiled(deployment, tmp_path / "made")
    assert await compiled(again, tmp_path / "more") is again, "it has its bytecode"
    monkeypatch.setattr(module, "MOST_FILES", FEW_FILES)
    assert await compiled(deployment, tmp_path / "more") is deployment
    assert not (tmp_path / "more").exists()


async def test_what_cannot_be_copied_is_tried_as_it_lies_there(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "made").write_text("a file")
    assert await compiled(deployment, tmp_path / "made") is deployment


async def test_what_cannot_be_linked_is_copied(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(source)

    monkeypatch.setattr(os, "link", refuse)
    made = await compiled(deployment, tmp_path / "made")
    assert (made.code / "package/module1.py").read_text() == "NUMBER = 1\n"
    assert bytecode(made.code / "package/module1.py").exists()
