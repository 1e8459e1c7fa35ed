"""The function's code stays as it is: the layer with its wrapper, the handler that stands before the function's own, `thawsafe run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

import pytest

import thawsafe

PACKAGE = Path(thawsafe.__file__).parent
RUNTIME = """
import importlib, os, sys
module, _, function = os.environ["_HANDLER"].rpartition(".")
handler = getattr(importlib.import_module(module), function)
class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self): return 3000
print(handler({"n": 1}, Context()))
"""
"""Stands in for Lambda's Python runtime: it reads its handler from _HANDLER and finds layers on its path."""

FUNCTION = """
import thawsafe, urllib3
def handler(event, context):
    return event["n"] + 1, thawsafe.time_left() is not None, hasattr(urllib3.HTTPConnectionPool._get_conn, "thawsafe_replaces")
"""


def run(*command: str, path: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "THAWSAFE_ENVIRONMENT": "lambda", **variables}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """/opt, as Lambda unpacks the layer."""
    made = run(sys.executable, "-m", "thawsafe", "layer", str(tmp_path / "layer.zip"))
    assert made.returncode == 0, made.stderr
    opt = tmp_path / "opt"
    with zipfile.ZipFile(tmp_path / "layer.zip") as archive:
        for entry in archive.infolist():
            target = Path(archive.extract(entry, opt))
            target.chmod(entry.external_attr >> 16 & 0o777)
    return opt


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """/var/task."""
    (tmp_path / "app.py").write_text(FUNCTION)
    return tmp_path


def test_a_layer_makes_a_function_safe(layer: Path, task: Path) -> None:
    done = run(
        str(layer / "thawsafe-exec"), sys.executable, "-c", RUNTIME, path=f"{layer / 'python'}{os.pathsep}{task}", _HANDLER="app.handler"
    )

    assert done.stdout == "(2, True, True)\n", done.stderr
    told = json.loads(done.stderr)["thawsafe"]
    assert told["event"] == "install"
    assert told["environment"] == "lambda"
    assert "urllib3" in told["waiting"] or "urllib3" in told["safe"]


def test_a_layer_is_compiled(layer: Path) -> None:
    """/opt cannot be written to, so a cold start would compile everything again."""
    told = run(sys.executable, "-v", "-c", "import thawsafe._core.judging", path=str(layer / "python")).stderr

    compiled = cache_from_source(str(layer / "python/thawsafe/_core/judging.py"))
    assert f"# code object from '{compiled}'" in told


def test_the_wrapper_may_be_used_twice(layer: Path, task: Path) -> None:
    """A wrapper that starts a wrapper: the function's own handler is still known."""
    wrapper = str(layer / "thawsafe-exec")
    done = run(wrapper, wrapper, sys.executable, "-c", RUNTIME, path=f"{layer / 'python'}{os.pathsep}{task}", _HANDLER="app.handler")

    assert done.stdout == "(2, True, True)\n", done.stderr


def test_a_layer_has_no_leftovers(tmp_path: Path) -> None:
    run(sys.executable, "-m", "thawsafe", "layer", str(tmp_path / "one.zip"))

    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        names = archive.namelist()
    assert "thawsafe-exec" in names
    assert "python/thawsafe/_core/judging.py" in names
    assert {name for name in names if name.endswith(".pyc")} == {cache_from_source(name) for name in names if name.endswith(".py")}, (
        "compiled for this Python, and for no other that has left something behind"
    )


def test_a_handler_that_is_not_named_is_said(tmp_path: Path) -> None:
    done = run(sys.executable, "-c", "import thawsafe.wrapped")

    assert done.returncode == 1
    assert "THAWSAFE_HANDLER is ''. thawsafe.wrapped.handler needs the function's own handler there, as in app.handler" in done.stderr


def test_a_wrong_environment_does_not_end_the_function(task: Path) -> None:
    done = run(
        sys.executable,
        "-c",
        "import thawsafe.wrapped as w; print(w.handler({'n': 4}, None)[0])",
        path=str(task),
        THAWSAFE_HANDLER="app.handler",
        THAWSAFE_ENVIRONMENT="moon",
    )

    assert done.stdout == "5\n"
    assert done.stderr.startswith("thawsafe: nothing was made safe. THAWSAFE_ENVIRONMENT is 'moon'.")


def test_a_handler_in_a_folder_is_found_as_lambda_finds_it(task: Path) -> None:
    (task / "src").mkdir()
    (task / "src" / "app.py").write_text(FUNCTION)
    done = run(
        sys.executable,
        "-c",
        "import thawsafe.wrapped as w; print(w.handler({'n': 4}, None)[0])",
        path=str(task),
        THAWSAFE_HANDLER="src/app.handler",
    )

    assert done.stdout == "5\n", done.stderr


SAFE = "import urllib3; print(hasattr(urllib3.HTTPConnectionPool._get_conn, 'thawsafe_replaces'))"


def test_run_makes_a_program_safe_and_those_that_it_starts() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SAFE!r}], check=True)"
    done = run(sys.executable, "-m", "thawsafe", "run", sys.executable, "-c", f"{SAFE}; {child}")

    assert done.stdout == "True\nTrue\n", done.stderr
    assert [json.loads(line)["thawsafe"]["event"] for line in done.stderr.splitlines()] == ["install", "install"]


def test_another_sitecustomize_has_its_turn(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    done = run(sys.executable, "-m", "thawsafe", "run", sys.executable, "-c", SAFE, path=str(tmp_path))

    assert done.stdout.splitlines() == ["theirs", "True"], done.stderr


@pytest.mark.parametrize(
    ("value", "told"), [("", ""), ("off", ""), ("on", "thawsafe: THAWSAFE is 'on' and was ignored. Write install, or off.\n")]
)
def test_only_install_installs(value: str, told: str) -> None:
    done = run(sys.executable, "-c", SAFE, path=str(PACKAGE / "_install" / "site"), THAWSAFE=value)

    assert done.stdout == "False\n"
    assert done.stderr == told


def test_a_program_that_is_not_there_is_said() -> None:
    done = run(sys.executable, "-m", "thawsafe", "run", "no-such-program")

    assert done.returncode == 127
    assert done.stderr == "thawsafe: no-such-program cannot be started: No such file or directory\n"


def test_a_layer_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "thawsafe", "layer", str(tmp_path / "no" / "layer.zip"))

    assert done.returncode == 1
    assert done.stderr == f"thawsafe: {tmp_path}/no/layer.zip cannot be written: No such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["run"], ["layer"], ["lair", "x"]])
def test_wrong_arguments_are_answered_with_the_right_ones(arguments: list[str]) -> None:
    done = run(sys.executable, "-m", "thawsafe", *arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m thawsafe run PROGRAM")


def test_help_is_no_mistake() -> None:
    done = run(sys.executable, "-m", "thawsafe", "--help")

    assert done.returncode == 0
    assert "AWS_LAMBDA_EXEC_WRAPPER=/opt/thawsafe-exec" in done.stdout


def test_detect_shows_the_limits() -> None:
    done = run(sys.executable, "-m", "thawsafe", "detect")

    assert "environment = 'lambda'\n" in done.stdout
    assert "keepalive = NO_KEEPALIVE\n" in done.stdout
    assert run(sys.executable, "-m", "thawsafe", "detect", THAWSAFE_ENVIRONMENT="moon").stderr.startswith(
        "thawsafe: THAWSAFE_ENVIRONMENT is 'moon'"
    )
