"""The Python launcher against a Runtime API, under this Python and under another one of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frostline.project import ProjectError
from frostline.project.runtimes import python
from frostline.project.runtimes.interpreters import versions

from .runtime_api import FakeRuntimeAPI, deployed, running

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = next((version for version in ("3.12", "3.13", "3.10", "3.14") if version != HERE and version in versions()), None)
VERSIONS = [HERE, pytest.param(OTHER, marks=pytest.mark.skipif(OTHER is None, reason="only one Python on this machine"))]

SPY = """
import json, os, sys, time
import __main__
STARTED = time.time()

def handler(event, context):
    import boto3
    return {
        "version": "%d.%d" % sys.version_info[:2], "argv": sys.argv, "path": sys.path, "main": __main__.__file__, "cwd": os.getcwd(),
        "prefix": sys.prefix, "executable": sys.executable, "boto3": boto3.__file__, "event": event, "id": context.aws_request_id,
        "name": context.function_name, "env": dict(os.environ), "remaining": context.get_remaining_time_in_millis(),
        "open": [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")],
    }
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("version", VERSIONS)
def test_a_function_sees_what_it_sees_on_aws(version: str, api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path) -> None:
    """Interpreter, arguments, sys.path, working directory and variables are AWS's; nothing of the host's packages can be imported."""
    (code / "app.py").write_text(SPY)
    deployment = deployed(code, cache, handler="app.handler", runtime=f"python{version}")
    with running(deployment, api, tmp_path) as process:
        sent = api.invoke({"key": "value"}, Trace_Id="Root=1-abc")
        seen = sent.json
        runtime = process.paths.runtime

        assert sent.kind == "response"
        assert (seen["version"], seen["event"], seen["name"]) == (version, {"key": "value"}, "code")
        assert seen["argv"] == [f"{runtime}/bootstrap.py"] and seen["main"] == f"{runtime}/bootstrap.py"
        assert seen["cwd"] == process.paths.task
        assert seen["path"][0] == process.paths.task
        assert {path for path in seen["path"] if "-packages" in path} == {f"{process.paths.opt}/python/lib/python{version}/site-packages"}
        assert seen["boto3"].startswith(str(Path(runtime).resolve()))
        assert seen["executable"] == f"{process.paths.lang}/bin/python{version}"
        assert seen["env"] == {**process.environment, "_X_AMZN_TRACE_ID": "Root=1-abc"}
        assert 0 < seen["remaining"] <= 30_000, "however long it took to start"
        assert process.gate_name not in seen["open"], "the gate is closed before the function runs"


def test_the_function_runs_only_after_the_gate_opened(api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path) -> None:
    """Before: the runtime client is imported, and nothing of the function."""
    (code / "app.py").write_text("print('imported', flush=True)\ndef handler(event, context): return 'ok'\n")
    with running(deployed(code, cache), api, tmp_path, open_gate=False) as process:
        assert not api.waiting.acquire(timeout=0.5)
        assert process.log == ""
        process.open_gate()
        assert api.invoke({}).json == "ok"
        assert process.log == "imported\n"


def test_a_process_whose_gate_is_dropped_ends_quietly(api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path) -> None:
    """Frostline was killed: what it prepared must not stay, and must not run the function."""
    (code / "app.py").write_text("print('imported', flush=True)\ndef handler(event, context): return 'ok'\n")
    with running(deployed(code, cache), api, tmp_path, open_gate=False) as process:
        process.close_gate()
        assert process.wait() == 0
        assert process.log == ""


def test_the_functions_own_packages_win_over_the_runtimes(api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path) -> None:
    """On AWS /var/task comes first, so a function that brings its own simplejson gets it, although the launcher imported another one early."""
    (code / "app.py").write_text(
        "import simplejson, sys\ndef handler(event, context): return [simplejson.MINE, simplejson.__file__, sys.argv]\n"
    )
    deployment = deployed(code, cache)
    assert deployment.launch.runtime_dir
    shutil.copytree(deployment.launch.runtime_dir / "simplejson", code / "simplejson")
    with (code / "simplejson" / "__init__.py").open("a") as module:
        module.write("\nMINE = True\n")
    with running(deployment, api, tmp_path, open_gate=False) as process:
        assert not api.waiting.acquire(timeout=0.5)
        process.open_gate()
        mine, file, argv = api.invoke({}).json
        assert (mine, file) == (True, f"{code}/simplejson/__init__.py")
        assert argv == [f"{process.paths.runtime}/bootstrap.py"]


def test_layers_come_after_the_functions_own_folder(api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path) -> None:
    """AWS: /var/task, then /opt/python/lib/python3.x/site-packages, then /opt/python, then the runtime's."""
    layer = tmp_path / "layer"
    site = layer / "python" / "lib" / f"python{HERE}" / "site-packages"
    site.mkdir(parents=True)
    (site / "shared.py").write_text("WHERE = 'site-packages'")
    (layer / "python" / "shared.py").write_text("WHERE = 'python'")
    (layer / "python" / "simple.py").write_text("WHERE = 'python'")
    (code / "app.py").write_text("import shared, simple, sys\ndef handler(event, context): return [shared.WHERE, simple.WHERE, sys.path]\n")
    (tmp_path / "template.yaml").write_text(
        f"""
Resources:
  Layer: {{Type: 'AWS::Serverless::LayerVersion', Properties: {{ContentUri: {layer}}}}}
  Layered:
    Type: AWS::Serverless::Function
    Properties: {{Handler: app.handler, Runtime: python{HERE}, CodeUri: {code}, Layers: [!Ref Layer]}}
"""
    )
    with running(deployed(tmp_path / "template.yaml", cache), api, tmp_path) as process:
        shared, simple, path = api.invoke({}).json
        assert (shared, simple) == ("site-packages", "python")
        opt = process.paths.opt
        assert path[:3] == [str(code), f"{opt}/python/lib/python{HERE}/site-packages", f"{opt}/python"]
        assert path.index(f"{opt}/python") < path.index(process.paths.runtime)


def test_a_pythonpath_of_the_functions_own_replaces_the_layers(api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path) -> None:
    """As AWS's bootstrap does it: with PYTHONPATH in the function's configuration, /opt is no longer added."""
    (code / "app.py").write_text("import sys\ndef handler(event, context): return sys.path\n")
    deployment = deployed(code, cache, environment={"PYTHONPATH": "/elsewhere"})
    assert not deployment.launch.gate, "a sitecustomize.py there would run before any gate"
    with running(deployment, api, tmp_path) as process:
        path = api.invoke({}).json
        assert path[0] == str(code) and "/elsewhere" in path
        assert not [entry for entry in path if entry.startswith(process.paths.opt)]


def test_pth_files_in_the_functions_folder_count(api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path) -> None:
    """AWS makes /var/task a site directory."""
    (code / "vendored").mkdir()
    (code / "vendored" / "inside.py").write_text("WHERE = 'vendored'")
    (code / "more.pth").write_text("vendored\n")
    (code / "app.py").write_text("import inside\ndef handler(event, context): return inside.WHERE\n")
    with running(deployed(code, cache), api, tmp_path):
        assert api.invoke({}).json == "vendored"


@pytest.mark.parametrize(
    ("source", "kind", "error_type"),
    [
        ("def handler(event, context): raise KeyError('x')\n", "error", "KeyError"),
        ("raise RuntimeError('at import')\n", "init/error", "RuntimeError"),
        ("def handler(event, context:\n", "init/error", "Runtime.UserCodeSyntaxError"),
        ("import not_there_at_all\ndef handler(event, context): pass\n", "init/error", "Runtime.ImportModuleError"),
        ("def other(event, context): pass\n", "init/error", "Runtime.HandlerNotFound"),
    ],
)
def test_errors_are_reported_in_awss_shape(
    source: str, kind: str, error_type: str, api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path
) -> None:
    """AWS's own client does it; the launcher must not stand in its way."""
    (code / "app.py").write_text(source)
    deployment = deployed(code, cache, handler="app.handler", runtime=f"python{HERE}")
    with running(deployment, api, tmp_path) as process:
        sent = api.invoke({})
        assert (sent.kind, sent.json["errorType"]) == (kind, error_type)
        if kind == "init/error":
            assert process.wait() == 1


def test_an_exec_wrapper_gets_the_command_and_may_change_the_environment(
    api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path
) -> None:
    """AWS_LAMBDA_EXEC_WRAPPER: the wrapper is executed with the original command as its arguments; there is no gate then."""
    (code / "app.py").write_text("import os\ndef handler(event, context): return [os.environ['ADDED'], os.environ['ARGS']]\n")
    wrapper = code / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport ADDED=yes ARGS="$*"\nexec "$@"\n')
    wrapper.chmod(0o755)
    deployment = deployed(code, cache, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"})
    assert not deployment.launch.gate
    with running(deployment, api, tmp_path) as process:
        added, arguments = api.invoke({}).json
        runtime = process.paths.runtime
        assert added == "yes"
        assert arguments.startswith(f"{runtime}/lang/bin/python{HERE} {runtime}/bootstrap.py")


@pytest.mark.parametrize(("mode", "status", "said"), [(None, 127, "does not exist"), (0o644, 126, "is not an executable")])
def test_a_wrapper_that_cannot_run_ends_as_on_aws(
    mode: int | None, status: int, said: str, api: FakeRuntimeAPI, code: Path, cache: Path, tmp_path: Path
) -> None:
    """The messages and statuses of AWS's own start script."""
    (code / "app.py").write_text("def handler(event, context): pass\n")
    if mode is not None:
        (code / "wrapper").write_text("#!/bin/sh\n")
        (code / "wrapper").chmod(mode)
    deployment = deployed(code, cache, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"})
    with running(deployment, api, tmp_path) as process:
        assert process.wait() == status
        assert process.log == f"{code}/wrapper: {said}\n"


def test_a_missing_python_is_refused_with_what_is_there(code: Path, cache: Path) -> None:
    """The message names the version, where it was looked for, and the versions that would work."""
    (code / "app.py").write_text("def handler(event, context): pass\n")
    with pytest.raises(ProjectError) as caught:
        deployed(code, cache, runtime="python3.19")
    assert "needs Python 3.19" in caught.value.message and HERE in caught.value.message


def test_a_failed_installation_says_what_pip_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No package index: one clear message, no half-made runtime directory, and the next attempt starts afresh."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    told: list[str] = []
    with pytest.raises(ProjectError) as caught:
        python.ensure((sys.version_info.major, sys.version_info.minor), tmp_path, told.append)
    assert "prepare python" in caught.value.message and "awslambdaric" in caught.value.message
    assert [message for message in told if "Installing" in message]
    assert [path.name for path in (tmp_path / "runtimes").iterdir() if not path.name.endswith(".lock")] == []


def test_concurrent_makers_make_a_runtime_once(tmp_path: Path) -> None:
    """Two Frostlines at once: one installs, the other waits, both get the same directory."""
    log = tmp_path / "installed"
    script = (
        "import sys, pathlib\n"
        "from frostline.project.runtimes import python\n"
        "def install(target, version, interpreter, packages):\n"
        f"    open({str(log)!r}, 'a').write('once ')\n"
        "    import time; time.sleep(0.3)\n"
        "python._install = install\n"
        f"print(python.ensure(sys.version_info[:2], pathlib.Path({str(tmp_path / 'cache')!r}), lambda message: None))\n"
    )
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        for _ in range(3)
    ]
    answers = {maker.communicate()[0] for maker in makers}
    assert len(answers) == 1 and log.read_text() == "once "
    assert json.dumps(sorted(path.name for path in Path(answers.pop().strip()).iterdir())) == '["bootstrap.py", "lang"]'
