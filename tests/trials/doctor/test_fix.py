"""thawsafe switched on from outside."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from frostline.project import Source, load
from frostline.trials.doctor.checkup import Question
from frostline.trials.doctor.fix import NoFix, with_thawsafe

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def question(folder: Path, *, runtime: str = PYTHON, **variables: str) -> Question:
    name, text = ("app.py", "def handler(event, context): ...\n") if runtime == PYTHON else ("bootstrap", "#!/bin/sh\n")
    folder.mkdir()
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    handler = "app.handler" if runtime == PYTHON else "bootstrap"
    (deployment,) = load(Source(path=folder, handler=handler, runtime=runtime, environment=variables)).functions
    return Question(deployment=deployment, trials=3)


def test_a_layer_and_its_wrapper_are_all_that_changes(tmp_path: Path) -> None:
    asked = question(tmp_path / "f")
    fixed = with_thawsafe(asked, tmp_path / "made" / "layer")
    (layer,) = fixed.deployment.layers
    wrapper = layer / "thawsafe-exec"
    assert os.access(wrapper, os.X_OK)
    assert (layer / "python" / "thawsafe").is_dir()
    assert fixed.deployment.function.environment["AWS_LAMBDA_EXEC_WRAPPER"] == f"/opt/{wrapper.name}"
    assert f"/opt/{wrapper.name}" in fixed.deployment.launch.command()
    assert (fixed.deployment.code, fixed.trials) == (asked.deployment.code, 3)


def test_it_is_for_python(tmp_path: Path) -> None:
    with pytest.raises(NoFix, match=r"thawsafe is for Python, and f runs on provided\.al2023: see the cures above\."):
        with_thawsafe(question(tmp_path / "f", runtime="provided.al2023"), tmp_path / "layer")


def test_a_function_with_a_wrapper_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(NoFix, match="has an AWS_LAMBDA_EXEC_WRAPPER of its own"):
        with_thawsafe(question(tmp_path / "f", AWS_LAMBDA_EXEC_WRAPPER="/opt/mine"), tmp_path / "layer")
