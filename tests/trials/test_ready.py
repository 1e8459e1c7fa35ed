"""Bundled functions in the cache: made once, from pinned packages, and left out with a reason where a language is missing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from frostline.project import default_cache
from frostline.trials import ready as module
from frostline.trials.incidents import INCIDENTS
from frostline.trials.ready import FUNCTIONS, Bundled, NotHere, ready

PYTHON = Bundled(folder="plain", language="python", handler="app.handler")


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled functions with one in it, whose installation is noted and needs no network."""
    folder = tmp_path / "functions"
    (folder / "plain").mkdir(parents=True)
    (folder / "plain" / "app.py").write_text("def handler(event, context):\n    return 'one'\n")
    monkeypatch.setattr(module, "FUNCTIONS", folder)

    def install(made: Path, progress: module.Progress) -> None:
        progress("installing")
        (made / "package.py").touch(mode=0o600)

    monkeypatch.setitem(module._INSTALL, "python", install)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "runtimes").symlink_to(default_cache() / "runtimes")
    return folder


def test_a_function_is_made_once(functions: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first = ready(PYTHON, cache=tmp_path / "cache", progress=said.append)
    again = ready(PYTHON, cache=tmp_path / "cache", progress=said.append)
    assert said.count("installing") == 1
    assert first.code == again.code
    assert first.function.runtime == f"python3.{sys.version_info[1]}"
    assert sorted(path.name for path in first.code.iterdir()) == ["app.py", "package.py"]
    assert [path.name for path in first.code.parent.iterdir()] == [first.code.name]


def test_other_users_can_read_it(functions: Path, tmp_path: Path) -> None:
    code = ready(PYTHON, cache=tmp_path / "cache").code
    assert code.stat().st_mode & 0o005 == 0o005
    assert all(path.stat().st_mode & 0o004 for path in code.rglob("*"))


def test_changed_sources_make_a_new_one(functions: Path, tmp_path: Path) -> None:
    first = ready(PYTHON, cache=tmp_path / "cache").code
    (functions / "plain" / "app.py").write_text("def handler(event, context):\n    return 'two'\n")
    second = ready(PYTHON, cache=tmp_path / "cache").code
    assert first != second
    assert "two" in (second / "app.py").read_text()


def test_what_cannot_be_fetched_is_said_and_nothing_is_left(functions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(made: Path, progress: module.Progress) -> None:
        module._run([sys.executable, "-c", "import sys; sys.exit('no route to the index')"], made, "the packages could not be fetched")

    monkeypatch.setitem(module._INSTALL, "python", install)
    with pytest.raises(NotHere, match=r"the packages could not be fetched\n    no route to the index"):
        ready(PYTHON, cache=tmp_path / "cache")
    assert list((tmp_path / "cache" / "incidents").iterdir()) == []


@pytest.mark.parametrize(("language", "said"), [("go", "go is not on PATH"), ("nodejs", "Node.js 18 or newer is not on PATH")])
def test_a_language_that_is_missing_is_named(
    functions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: module.Language, said: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match=re.escape(said)):
        ready(Bundled(folder="plain", language=language, handler="bootstrap"), cache=tmp_path / "cache")


def test_every_function_of_an_incident_is_there_with_pinned_packages() -> None:
    bundled = {cell.function for incident in INCIDENTS.values() for stage in incident.stages for cell in stage.cells}
    locks = {"go": "go.sum", "nodejs": "package-lock.json", "python": "requirements.txt"}
    for function in bundled:
        assert (FUNCTIONS / function.folder / locks[function.language]).is_file()
    assert {function.folder for function in bundled} == {path.name for path in FUNCTIONS.iterdir() if path.is_dir()}


def test_python_packages_are_pinned_by_hash_and_named_nowhere_else() -> None:
    text = (FUNCTIONS / "pool-python" / "requirements.txt").read_text()
    pinned = re.findall(r"^([\w-]+)==", text, re.MULTILINE)
    assert {"requests", "httpx", "aiohttp"} <= set(pinned)
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "http" not in re.sub(r"httpx|httpcore|aiohttp", "", text), "where packages come from is the user's to say"


def test_node_packages_are_pinned_and_the_versions_are_those_that_the_cells_name() -> None:
    folder = FUNCTIONS / "keepalive-node"
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    for cell in (cell for stage in INCIDENTS["keepalive"].stages for cell in stage.cells):
        name = cell.variables["GRPC_JS"]
        assert cell.client == f"grpc-js {locked[f'node_modules/{name}']['version']}"
        assert wanted[name] == f"npm:@grpc/grpc-js@{cell.client.split()[1]}"
    assert not any("resolved" in package for package in locked.values()), "where packages come from is the user's to say"


def test_the_function_speaks_the_cache_service_that_upstreams_offer() -> None:
    offered = FUNCTIONS.parents[1] / "upstreams" / "cache.proto"
    assert (FUNCTIONS / "keepalive-node" / "cache.proto").read_text() == offered.read_text()
