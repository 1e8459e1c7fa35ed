"""The same question, with thawsafe switched on from outside: by a layer and AWS_LAMBDA_EXEC_WRAPPER, as one would on AWS. No line of the function changes."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec

from ...project import default_cache, launch
from .checkup import Question

WRAPPER = "/opt/thawsafe-exec"


class NoFix(Exception):
    """thawsafe cannot be switched on here. The message is for a person."""


def with_thawsafe(question: Question, folder: Path) -> Question:
    """The question with thawsafe's layer in `folder`. Raises NoFix.

    The layer is built by thawsafe itself (`python -m thawsafe layer`): Frostline knows no line of it.
    """
    deployment = question.deployment
    runtime = deployment.function.runtime
    if not runtime.startswith("python"):
        raise NoFix(f"thawsafe is for Python, and {deployment.function.name} runs on {runtime}: see the cures above.")
    if "AWS_LAMBDA_EXEC_WRAPPER" in deployment.function.environment:
        raise NoFix(f"{deployment.function.name} has an AWS_LAMBDA_EXEC_WRAPPER of its own, and there can be only one.")
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".zip")
    built = subprocess.run([sys.executable, "-m", "thawsafe", "layer", str(archive)], capture_output=True, text=True, check=False)
    if built.returncode:
        raise NoFix(
            f"thawsafe's layer could not be built: {(built.stderr.strip().splitlines() or ['no reason was given'])[-1]}. Install it: pip install thawsafe"
        )
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    (folder / "thawsafe-exec").chmod(0o755)
    for path in (folder, *folder.rglob("*")):  # functions run as another user
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    function = deployment.function
    variables = {**function.environment, "AWS_LAMBDA_EXEC_WRAPPER": WRAPPER}
    layers = (*deployment.layers, folder)
    started = launch(runtime, function.handler, code=deployment.code, layers=layers, variables=variables, cache=default_cache())
    fixed = msgspec.structs.replace(
        deployment, function=msgspec.structs.replace(function, environment=variables), layers=layers, launch=started
    )
    return msgspec.structs.replace(question, deployment=fixed)
