"""Where functions come from: templates, folders, zips, single files; edits of them; and what is said when they cannot be read."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from .running import RUNTIME, run_cli, up

ECHO = "def handler(event, context):\n    return {'event': event, 'version': 1}\n"
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: {runtime}
    Timeout: 11
    Environment:
      Variables:
        STAGE: !Sub '${{AWS::Region}}-${{Stage}}'
        BOTH: global
Parameters:
  Stage:
    Type: String
    Default: local
Resources:
  Shared:
    Type: AWS::Serverless::LayerVersion
    Properties:
      ContentUri: layers/shared
  Newer:
    Type: AWS::Serverless::LayerVersion
    Properties:
      ContentUri: layers/newer
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: orders
      Handler: app.handler
      MemorySize: 256
      Layers: [!Ref Shared, !Ref Newer]
      Environment:
        Variables:
          BOTH: orders
          TABLE: !Ref Table
  Bills:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub 'bills-${{Stage}}'
      CodeUri: bills
      Handler: app.handler
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: the-table
"""
REPORTING = """
import json, os, shared
def handler(event, context):
    names = ("STAGE", "BOTH", "TABLE")
    with open("/opt/data.txt") as file:
        return {**{name: os.environ.get(name) for name in names}, "shared": shared.__file__, "which": shared.WHICH, "data": file.read(),
                "memory": context.memory_limit_in_mb, "remaining": context.get_remaining_time_in_millis()}
"""


def write(folder: Path, **texts: str) -> Path:
    """Files in a folder: `/` is written as `__` and `.` as `_dot_`."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_template_with_two_functions_layers_and_globals(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "project",
        template_dot_yaml=TEMPLATE.format(runtime=RUNTIME),
        orders__app_dot_py=REPORTING,
        bills__app_dot_py="import os\ndef handler(event, context):\n    return [os.environ['STAGE'], os.path.exists('/opt/data.txt')]\n",
        layers__shared__python__shared_dot_py="WHICH = 'shared'\n",
        layers__shared__data_dot_txt="of the first layer",
        layers__newer__data_dot_txt="of the second layer, which is on top",
    )
    with up(tmp_path / "home", folder, "--parameter", "Stage=test") as server:
        assert sorted(server.started["functions"]) == ["Orders", "bills-test"]
        seen = server.invoke("Orders").payload
        assert seen.pop("remaining") > 5_000, "eleven seconds, not the default of three"
        assert seen == {
            "STAGE": "us-east-1-test",
            "BOTH": "orders",
            "TABLE": "Table",  # what exists only on AWS is a placeholder, and a note says so
            "shared": "/opt/python/shared.py",
            "which": "shared",
            "data": "of the second layer, which is on top",
            "memory": "256",
        }
        assert server.invoke("bills-test").payload == ["us-east-1-test", False]


def test_an_edit_is_served_by_the_next_invocation(tmp_path: Path) -> None:
    """Directly after it: no event is waited for, and each edit keeps size and, as far as the clock goes, time."""
    folder = write(tmp_path / "project", app_dot_py=ECHO)
    with up(tmp_path / "home", folder, "--handler", "app.handler", "--runtime", RUNTIME, "--name", "edited") as server:
        for version in range(1, 21):
            write(folder, app_dot_py=ECHO.replace("1", f"{version:02d}").replace("0", "", version < 10))
            assert server.invoke("edited").payload["version"] == version
        # As editors do it: a new file is renamed over the old one.
        write(folder, new_dot_py=ECHO.replace("1", "99"))
        (folder / "new.py").rename(folder / "app.py")
        assert server.invoke("edited").payload["version"] == 99
        # A module that was not there before, in a folder that was not there before.
        write(folder, inner__deep__value_dot_py="VALUE = 7\n")
        write(folder, app_dot_py="from inner.deep.value import VALUE\ndef handler(event, context):\n    return VALUE\n")
        assert server.invoke("edited").payload == 7
        write(folder, inner__deep__value_dot_py="VALUE = 8\n")
        assert server.invoke("edited").payload == 8
        # An error in the code is the function's, and mending it is enough.
        write(folder, app_dot_py="def handler(event, context:\n")
        assert server.invoke("edited").payload["errorType"] == "Runtime.UserCodeSyntaxError"
        write(folder, app_dot_py=ECHO)
        assert server.invoke("edited").payload["version"] == 1


def test_a_template_that_is_edited_adds_changes_and_removes_functions(tmp_path: Path) -> None:
    template = TEMPLATE.format(runtime=RUNTIME).replace("      Layers: [!Ref Shared, !Ref Newer]\n", "")
    folder = write(tmp_path / "project", template_dot_yaml=template, orders__app_dot_py=ECHO, bills__app_dot_py=ECHO)
    for name in ("shared", "newer"):
        (folder / "layers" / name).mkdir(parents=True)
    with up(tmp_path / "home", folder / "template.yaml") as server:
        assert server.invoke("bills-local").payload["version"] == 1
        write(folder, template_dot_yaml=template.replace("'bills-${Stage}'", "invoices"))
        assert server.invoke("invoices").payload["version"] == 1
        with pytest.raises(server.client.exceptions.ResourceNotFoundException):
            server.invoke("bills-local")
        write(folder, template_dot_yaml="Resources: [not, a, mapping")
        assert server.invoke("invoices").payload["version"] == 1, "what cannot be read keeps serving what it served"
        assert server.until(lambda: [line for line in server.errors if "the change was not taken over" in line], "note")
        write(folder, template_dot_yaml=template)
        assert server.invoke("bills-local").payload["version"] == 1


def test_a_zip_and_an_edit_of_it(tmp_path: Path) -> None:
    archive = tmp_path / "orders.zip"

    def pack(text: str) -> None:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("pack/app.py", text)
            file.writestr("pack/__init__.py", "")

    pack(ECHO)
    with up(tmp_path / "home", archive, "--handler", "pack.app.handler", "--runtime", RUNTIME) as server:
        assert server.invoke("orders", {"a": 1}).payload == {"event": {"a": 1}, "version": 1}
        pack(ECHO.replace("1", "2"))
        assert server.invoke("orders").payload["version"] == 2


def test_a_single_file_by_the_emulators_path(tmp_path: Path) -> None:
    """A single function, without any option: the handler is found, the runtime is the interpreter's, and RIE's path invokes it."""
    file = write(tmp_path / "project", single_dot_py=ECHO) / "single.py"
    with up(tmp_path / "home", file) as server:
        status, _, body = server.http("POST", "/2015-03-31/functions/function/invocations", b'{"by": "curl"}')
        assert (status, json.loads(body)) == (200, {"event": {"by": "curl"}, "version": 1})
        write(tmp_path / "project", single_dot_py="import sys\ndef handler(event, context):\n    sys.exit(1)\n")
        status, _, body = server.http("POST", "/2015-03-31/functions/function/invocations", b"{}")
        assert (status, json.loads(body)["errorType"]) == (200, "Runtime.ExitError")


def test_invoking_without_a_server(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(
        tmp_path,
        app_dot_py="print('static')\ndef handler(event, context):\n    print('said')\n    return {**event, 'x': [1]['bad' in event]}\n",
    )
    done = run_cli(home, "invoke", str(tmp_path / "app.py"), "--event", '{"a": 1}')
    assert (done.returncode, json.loads(done.stdout)) == (0, {"a": 1, "x": 1}), done.stderr
    assert b"said" in done.stderr and b"REPORT RequestId" in done.stderr
    failed = run_cli(home, "invoke", str(tmp_path / "app.py"), "--event", '{"bad": 1}', "--json")
    said = json.loads(failed.stdout)
    assert (failed.returncode, said["statusCode"], said["functionError"]) == (1, 200, "Unhandled")
    assert said["payload"]["errorType"] == "IndexError"


def test_a_folder_whose_path_is_strange(tmp_path: Path) -> None:
    folder = write(tmp_path / "with blank, ünïcode: and 'quotes'", app_dot_py=ECHO)
    with up(tmp_path / "home", folder, "--handler", "app.handler", "--runtime", RUNTIME, "--name", "strange") as server:
        assert server.invoke("strange").payload["version"] == 1


def test_links_and_what_is_mounted_do_not_lead_out(tmp_path: Path) -> None:
    write(tmp_path, secret="of the host")
    folder = write(
        tmp_path / "project", app_dot_py="import os\ndef handler(event, context):\n    return os.path.exists('/var/task/link')\n"
    )
    (folder / "link").symlink_to(tmp_path / "secret")
    with up(tmp_path / "home", folder, "--handler", "app.handler", "--runtime", RUNTIME, "--name", "links") as server:
        assert server.invoke("links").payload is False


BAD = {
    "no such file": (("none.yaml",), {}, "none.yaml"),
    "malformed template": (("template.yaml",), {"template_dot_yaml": "Resources: [1, {"}, "template.yaml"),
    "template without functions": (("template.yaml",), {"template_dot_yaml": "Resources: {}\n"}, "no function"),
    "template of another kind": (("template.yaml",), {"template_dot_yaml": "just: [some, yaml]\n"}, "template.yaml"),
    "wrong runtime": ((".", "--handler", "app.handler", "--runtime", "cobol85"), {"app_dot_py": ECHO}, "cobol85"),
    "runtime that is not run here": ((".", "--handler", "a.B::c", "--runtime", "java21"), {"app_dot_py": ECHO}, "java21"),
    "no handler": ((".", "--runtime", RUNTIME), {"app_dot_py": "x = 1\n"}, "handler"),
    "zip that is none": (("a.zip", "--handler", "app.handler", "--runtime", RUNTIME), {"a_dot_zip": "not a zip"}, "a.zip"),
    "undeclared parameter": (("template.yaml", "--parameter", "X=1"), {"template_dot_yaml": TEMPLATE.format(runtime=RUNTIME)}, "X"),
    "reserved variable": (
        (".", "--handler", "app.handler", "--runtime", RUNTIME, "--env", "AWS_REGION=x"),
        {"app_dot_py": ECHO},
        "AWS_REGION",
    ),
    "unwritable story": (
        (".", "--handler", "app.handler", "--runtime", RUNTIME, "--story", "/proc/none/story"),
        {"app_dot_py": ECHO},
        "/proc/none/story",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_what_cannot_be_served_is_said_in_a_sentence(tmp_path: Path, case: str) -> None:
    arguments, files, part = BAD[case]
    folder = write(tmp_path / "project", **files)
    folder.mkdir(exist_ok=True)
    home = tmp_path / "home"
    home.mkdir()
    done = run_cli(home, "up", *arguments, "--port", "0", cwd=folder)
    said = done.stderr.decode()
    assert done.returncode in (1, 2), (done.stdout, said)
    assert part in said and "Traceback" not in said and done.stdout == b""
    assert said.startswith(("frostline: ", "Usage: ")), said


def test_a_project_that_vanishes_keeps_the_server_alive(tmp_path: Path) -> None:
    folder = write(tmp_path / "project", app_dot_py=ECHO)
    with up(tmp_path / "home", folder, "--handler", "app.handler", "--runtime", RUNTIME, "--name", "gone") as server:
        assert server.invoke("gone").payload["version"] == 1
        shutil.rmtree(folder)
        server.invoke("gone")
        write(folder, app_dot_py=ECHO.replace("1", "2"))
        answers = [server.invoke("gone").payload for _ in range(3)]
        assert answers[-1]["version"] == 2, (answers, server.errors)


def test_a_build_that_appears_is_used(tmp_path: Path) -> None:
    """`sam build` while Frostline runs: its output, newer than the sources, is what the next invocation runs."""
    template = f"Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {{Handler: app.handler, CodeUri: src, Runtime: {RUNTIME}}}\n"
    folder = write(tmp_path / "project", template_dot_yaml=template, src__app_dot_py=ECHO)
    build = folder / ".aws-sam" / "build"
    with up(tmp_path / "home", folder) as server:
        assert server.invoke("F").payload["version"] == 1
        for version in (2, 3):
            write(build, F__app_dot_py=ECHO.replace("1", str(version)), template_dot_yaml=template.replace("src", "F"))
            assert server.invoke("F").payload["version"] == version
            shutil.rmtree(build.parent)
            assert server.invoke("F").payload["version"] == 1
