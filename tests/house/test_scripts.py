"""The scripts keep to their form: strict, runnable from anywhere, and the gate runs nothing of its own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = sorted([*(path for path in (REPOSITORY / "scripts").iterdir() if path.is_file() and not path.suffix), REPOSITORY / ".ci" / "run"])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_executable_strict_and_parses(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert os.access(path, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text.splitlines()
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("name", ["test", "check", "demo"])
def test_a_script_sets_up_first(name: str) -> None:
    commands = [
        line for line in (REPOSITORY / "scripts" / name).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    assert commands[2] == "scripts/setup"


def test_the_gate_runs_check_and_test_and_nothing_else() -> None:
    text = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^(?!#|set |cd |$)(.+)$", text, re.MULTILINE) == ["scripts/check", "scripts/test"]
