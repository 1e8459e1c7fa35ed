"""Importing costs a cold start: the package loads nothing until it is used, and never anything but the standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import thawsafe

OURS = [
    path.relative_to(Path(thawsafe.__file__).parents[1]).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in sorted(Path(thawsafe.__file__).parent.rglob("*.py"))
    if "adapters" not in path.parts and path.name not in ("sitecustomize.py", "wrapped.py", "__main__.py")
]


def modules_after(code: str) -> set[str]:
    """What a new interpreter has loaded after `code`, beyond what it had before."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    assert modules_after("import thawsafe") == {"thawsafe", "__future__"}


def test_everything_but_the_adapters_is_standard_library() -> None:
    assert "thawsafe._install.installer" in OURS
    loaded = modules_after("\n".join(f"import {name}" for name in OURS))

    assert {name for name in loaded if name.partition(".")[0] not in {*sys.stdlib_module_names, "thawsafe"}} == set()


def test_the_parts_for_judging_bring_no_heavy_library() -> None:
    """Asyncio comes with the guard, which clients of asyncio share; logging and json only when there is a line to write."""
    loaded = modules_after("import thawsafe._runtime.guard")

    assert not loaded & {"json", "email", "http.client", "urllib.request", "importlib.metadata", "unittest"}


@pytest.mark.parametrize("name", sorted(thawsafe.__all__))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(thawsafe, name) is not None
    assert name in dir(thawsafe)


def test_every_name_that_can_be_loaded_is_public() -> None:
    assert {*thawsafe._HOMES, "__version__"} == set(thawsafe.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'thawsafe' has no attribute 'lambada'"):
        thawsafe.lambada  # noqa: B018 - asking is the test
