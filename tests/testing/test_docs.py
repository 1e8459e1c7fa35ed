"""docs/testing.md, followed by somebody who has read nothing else: its files, its commands, what it says comes of them.

As written, but for the version of Python, which has to be one of this machine's.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.projects import LIMIT_S, RUNTIME, run_pytest

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def block_after(text: str, kind: str = "python") -> str:
    """The first block of code behind a text."""
    _, found, rest = PAGE.partition(text)
    assert found, text
    for name, content in BLOCK.findall(rest):
        if name == kind:
            return str(content).replace("python3.12", RUNTIME)
    raise AssertionError(f"no {kind} behind {text!r}")


def alike(text: str) -> str:
    """Without what is different each time: numbers, ids, folders."""
    return re.sub(r"\b[0-9a-f]{8}\b|[0-9.]+|/[\w/-]*/|---+", "#", text).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("docs")
    files = {"orders/app.py": "python", "template.yaml": "yaml", "test_orders.py": "python"}
    for name, kind in files.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(block_after(f"`{name}`:", kind))
    return made


def test_the_first_test_fails_as_it_is_shown(folder: Path) -> None:
    ran = run_pytest(folder)
    assert "1 failed" in ran.stdout, ran.stdout
    said = iter([alike(line) for line in ran.stdout.splitlines()])
    for shown in block_after("fails, and says why:", "").splitlines():
        assert alike(shown) in said, f"{shown}\n\nis not, in this order, in:\n{ran.stdout}"


def test_a_script_says_the_same(folder: Path) -> None:
    (folder / "check.py").write_text(block_after("`check.py`:"))
    ran = subprocess.run([sys.executable, "check.py"], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert ran.returncode == 0, ran.stderr
    ok, claim = ran.stdout.splitlines()
    assert ok == "False"
    assert "left connection 1 to inventory.example.com:80 open" in claim
    assert (folder / "orders.html").read_text().startswith("<!doctype html>")


def test_the_cure_heals_it_for_every_gap_and_for_coroutines(folder: Path) -> None:
    (folder / "orders/app.py").write_text(block_after("The cure, applied to `orders/app.py`:"))
    for file in ("test_gaps.py", "test_coroutines.py"):
        (folder / file).write_text(block_after(f"`{file}`:"))
    ran = run_pytest(folder)
    assert "8 passed" in ran.stdout, ran.stdout
