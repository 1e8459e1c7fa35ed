"""From what the user points at to a project: folders, zips, files, templates with and without a build; and hot reload."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from frostline.project import Project, ProjectError, Source, load, reread, stamp
from frostline.project.detect import this_node, this_python

PYTHON = "def handler(event, context): return 1\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    folder.mkdir()
    return folder


def loaded(path: Path, cache: Path, **options: Any) -> Project:
    return load(Source(path=path, cache=cache, **options))


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.endswith("bootstrap"):
            path.chmod(0o755)


# Folders, zips, files --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "options", "runtime", "handler"),
    [
        (
            {"lambda_function.py": "def lambda_handler(event, context): pass", "app.py": PYTHON},
            {},
            this_python(),
            "lambda_function.lambda_handler",
        ),
        ({"app.py": PYTHON}, {}, this_python(), "app.handler"),
        ({"app.py": "async def lambda_handler(e, c): pass\ndef handler(e, c): pass"}, {}, this_python(), "app.lambda_handler"),
        ({"app.py": "from inner import handler"}, {}, this_python(), "app.handler"),
        ({"app.py": "def broken(:\ndef handler(event, context): pass"}, {}, this_python(), "app.handler"),
        ({"app.py": "x = 1", "main.py": "handler = print"}, {}, this_python(), "main.handler"),
        ({"index.js": "exports.handler = 1"}, {}, this_node(), "index.handler"),
        ({"index.mjs": ""}, {}, this_node(), "index.handler"),
        ({"bootstrap": "#!/bin/sh\n", "app.py": PYTHON}, {}, "provided.al2023", "bootstrap"),
        ({"app.py": PYTHON}, {"runtime": this_python()}, this_python(), "app.handler"),
        ({"app.py": PYTHON, "index.js": ""}, {"runtime": this_node()}, this_node(), "index.handler"),
        ({"src/app.py": PYTHON}, {"handler": "src/app.handler"}, this_python(), "src/app.handler"),
        ({"src/app.py": PYTHON}, {"handler": "src.app.handler"}, this_python(), "src.app.handler"),
        ({"lib/x.js": ""}, {"handler": "lib/x.handler"}, this_node(), "lib/x.handler"),
        ({"bootstrap": "#!/bin/sh\n"}, {"handler": "whatever"}, "provided.al2023", "whatever"),
        ({"bootstrap": "#!/bin/sh\n"}, {"runtime": "provided.al2"}, "provided.al2", "bootstrap"),
        ({"app.py": PYTHON, "template.yaml": "Resources: {}"}, {"handler": "app.handler"}, this_python(), "app.handler"),
    ],
)
def test_a_folder_is_one_function(
    files: dict[str, str], options: dict[str, Any], runtime: str, handler: str, here: Path, cache: Path
) -> None:
    """What is not said is found out; what is said is believed."""
    write(here, files)
    (deployment,) = loaded(here, cache, **options).functions
    function = deployment.function
    assert (function.name, function.runtime, function.handler) == ("my-project", runtime, handler)
    assert (deployment.code, function.timeout_s, function.memory_mb) == (here, 3.0, 128)


@pytest.mark.parametrize(
    ("files", "options", "told"),
    [
        ({"readme.txt": "x"}, {}, "cannot tell which function this is. Looked for: an executable `bootstrap`; lambda_function.py"),
        ({}, {}, "Found: nothing"),
        ({"app.py": "x = 1"}, {}, "cannot tell which function this is"),
        ({"x.py": PYTHON}, {"runtime": "python3.11"}, "no handler found for python3.11"),
        ({"x.py": PYTHON}, {"handler": "y.handler"}, "the handler 'y.handler' names no file here (looked for y.py, .js"),
        ({"app.py": PYTHON}, {"runtime": "python4.0"}, "There is no runtime 'python4.0'. Known: python3.8"),
        ({"app.py": PYTHON}, {"handler": "a.b", "runtime": "java21"}, "Runtime java21 is not among those that Frostline can start"),
        ({"app.py": PYTHON}, {"runtime": "python3.6", "handler": "app.handler"}, "python3.6 is too old"),
        ({"app.py": PYTHON}, {"environment": {"AWS_REGION": "x"}}, "reserved keys"),
    ],
)
def test_what_cannot_be_told_is_said(files: dict[str, str], options: dict[str, Any], told: str, here: Path, cache: Path) -> None:
    write(here, files)
    with pytest.raises(ProjectError) as caught:
        loaded(here, cache, **options)
    assert told in caught.value.message


def test_a_bootstrap_that_is_not_executable(here: Path, cache: Path) -> None:
    (here / "bootstrap").touch(0o644)
    with pytest.raises(ProjectError, match=r"bootstrap: is not executable\. Make it so: chmod \+x"):
        loaded(here, cache)


def test_a_missing_path(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no such file or directory"):
        loaded(tmp_path / "nowhere", cache)


def test_a_handler_whose_file_is_missing_is_a_note(here: Path, cache: Path) -> None:
    """Only the runtime knows for certain, and reports it in AWS's words."""
    write(here, {"app.py": PYTHON})
    project = loaded(here, cache, handler="other.handler", runtime=this_python())
    assert "needs a file other.py" in project.notes[0]


def test_options_for_a_function_without_a_template(here: Path, cache: Path) -> None:
    write(here, {"app.py": PYTHON})
    (deployment,) = loaded(here, cache, name="named", timeout_s=9.0, memory_mb=512, environment={"KEY": "x"}, region="eu-west-1").functions
    function = deployment.function
    assert (function.name, function.timeout_s, function.memory_mb, function.environment) == ("named", 9.0, 512, {"KEY": "x"})
    assert function.arn == "arn:aws:lambda:eu-west-1:123456789012:function:named"


def test_a_zip(here: Path, cache: Path) -> None:
    """Its hash and size are what AWS would say."""
    package = here / "package.zip"
    with zipfile.ZipFile(package, "w") as file:
        file.writestr("app.py", PYTHON)
    (deployment,) = loaded(package, cache).functions
    function = deployment.function
    assert (function.name, function.handler) == ("package", "app.handler")
    assert function.code_sha256 == base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()
    assert function.code_size == package.stat().st_size
    assert cache in deployment.code.parents


@pytest.mark.parametrize(
    ("name", "text", "runtime", "handler", "file"),
    [
        ("app.py", PYTHON, this_python(), "app.handler", "app.py"),
        ("my_lambda.py", "def lambda_handler(e, c): pass", this_python(), "my_lambda.lambda_handler", "my_lambda.py"),
        ("index.mjs", "", this_node(), "index.handler", "index.mjs"),
        ("program", "#!/bin/sh\n", "provided.al2023", "bootstrap", "bootstrap"),
    ],
)
def test_a_single_file(name: str, text: str, runtime: str, handler: str, file: str, here: Path, cache: Path) -> None:
    """The file alone is the function; what lies beside it is not part of it."""
    write(here, {name: text, "neighbour.py": ""})
    (here / name).chmod(0o755)
    (deployment,) = loaded(here / name, cache).functions
    assert (deployment.function.runtime, deployment.function.handler) == (runtime, handler)
    assert [path.name for path in deployment.code.iterdir()] == [file]


@pytest.mark.parametrize(("name", "told"), [("notes.txt", "is neither a template"), ("a.b.py", "dot in its name")])
def test_a_file_that_is_no_function(name: str, told: str, here: Path, cache: Path) -> None:
    write(here, {name: "x"})
    with pytest.raises(ProjectError, match=told):
        loaded(here / name, cache)


# Templates -------------------------------------------------------------------------------------------------------------------------------

TEMPLATE = f"Resources:\n  F: {{Type: 'AWS::Serverless::Function', Properties: {{Handler: app.handler, Runtime: {this_python()}, CodeUri: src}}}}\n"


def test_a_template_in_a_folder_wins(here: Path, cache: Path) -> None:
    write(here, {"template.yml": TEMPLATE, "app.py": PYTHON, "src/app.py": PYTHON})
    project = loaded(here, cache)
    assert (project.origin, project.functions[0].function.name) == (here / "template.yml", "F")
    assert project.functions[0].launch.gate


def test_a_template_without_functions(here: Path, cache: Path) -> None:
    write(here, {"template.yaml": "Resources: {Q: {Type: 'AWS::SQS::Queue'}}"})
    with pytest.raises(ProjectError, match=r"describes no function. Looked for resources of type AWS::Serverless::Function"):
        loaded(here, cache)


def test_functions_that_cannot_be_started_are_refused_with_their_place(here: Path, cache: Path) -> None:
    other = "  G:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: a.b, Runtime: ruby3.3, CodeUri: src}\n"
    write(here, {"template.yaml": TEMPLATE + other, "src/app.py": PYTHON})
    project = loaded(here, cache)
    assert [deployment.function.name for deployment in project.functions] == ["F"]
    assert project.refused[0].message.startswith(f"{here}/template.yaml:5: G: Runtime ruby3.3 is not among those")
    write(here, {"template.yaml": "Resources:\n" + other})
    with pytest.raises(ProjectError, match=r"ruby3\.3"):
        loaded(here, cache)


def test_extensions_are_the_files_in_the_merged_layers(here: Path, cache: Path) -> None:
    """Those of layers only: on AWS /opt/extensions is looked at, and the code is not there."""
    write(
        here,
        {
            "src/app.py": PYTHON,
            "src/extensions/not-one": "",
            "one/extensions/b": "",
            "one/extensions/lib/x": "",
            "two/extensions/a": "",
            "two/extensions/b": "",
            "template.yaml": TEMPLATE.replace("CodeUri: src", "CodeUri: src, Layers: [!Ref One, !Ref Two]")
            + "  One: {Type: 'AWS::Serverless::LayerVersion', Properties: {ContentUri: one}}\n"
            + "  Two: {Type: 'AWS::Serverless::LayerVersion', Properties: {ContentUri: two}}\n",
        },
    )
    assert loaded(here, cache).functions[0].function.extensions == ("a", "b")


class TestBuild:
    """`sam build` leaves a template and folders in .aws-sam/build."""

    @pytest.fixture
    def built(self, here: Path) -> Path:
        write(here, {"template.yaml": TEMPLATE, "src/app.py": PYTHON})
        write(here / ".aws-sam" / "build", {"template.yaml": TEMPLATE.replace("src", "F"), "F/app.py": PYTHON, "F/dependency.py": ""})
        self.touch(here / ".aws-sam" / "build" / "template.yaml", 100)
        return here

    @staticmethod
    def touch(path: Path, seconds: float) -> None:
        """Make a file newer than everything that was just written."""
        later = path.stat().st_mtime + seconds
        os.utime(path, (later, later))

    def test_it_is_used_when_it_is_up_to_date(self, built: Path, cache: Path) -> None:
        for path in (built, built / "template.yaml"):
            project = loaded(path, cache)
            assert project.functions[0].code == built / ".aws-sam" / "build" / "F"
            assert project.notes[0] == "Using what `sam build` made, in .aws-sam/build."

    def test_sources_that_are_newer_are_used_and_it_is_said(self, built: Path, cache: Path) -> None:
        self.touch(built / "src" / "app.py", 200)
        project = loaded(built, cache)
        assert project.functions[0].code == built / "src"
        assert project.notes[0] == "Using the sources: src is newer than what `sam build` made in .aws-sam/build."

    @pytest.mark.parametrize(
        "files",
        [{"src/requirements.txt": "# nothing\nrequests\n"}, {"src/package.json": '{"dependencies": {"a": "1"}}'}, {"src/go.mod": ""}],
    )
    def test_sources_that_need_a_build_are_not_used(self, files: dict[str, str], built: Path, cache: Path) -> None:
        """They would fail at the first import; an old build works."""
        write(built, files)
        self.touch(built / "src" / "app.py", 200)
        project = loaded(built, cache)
        assert project.functions[0].code == built / ".aws-sam" / "build" / "F"
        assert "although src is newer: the sources need a build. Run `sam build`." in project.notes[0]

    def test_a_new_build_is_noticed(self, built: Path, cache: Path) -> None:
        project = loaded(built, cache)
        write(built / ".aws-sam" / "build", {"F/app.py": PYTHON + "\n"})
        assert stamp(project) != project.stamp

    def test_a_source_template_that_is_broken_now_leaves_the_build(self, built: Path, cache: Path) -> None:
        write(built, {"template.yaml": "Resources: ["})
        assert loaded(built, cache).origin == built / ".aws-sam" / "build" / "template.yaml"


# Hot reload ------------------------------------------------------------------------------------------------------------------------------


def test_a_change_of_code_is_a_new_revision(here: Path, cache: Path) -> None:
    write(here, {"template.yaml": TEMPLATE, "src/app.py": PYTHON})
    before = loaded(here, cache)
    assert stamp(before) == before.stamp
    assert reread(before) == before
    write(here, {"src/app.py": PYTHON + "\n"})
    assert stamp(before) != before.stamp
    after = reread(before)
    assert after.functions[0].function.revision != before.functions[0].function.revision
    assert after.functions[0].function.code_sha256 != before.functions[0].function.code_sha256


@pytest.mark.parametrize("change", [("CodeUri: src", "CodeUri: src, Timeout: 4"), ("Handler: app.handler", "Handler: app.other")])
def test_a_change_of_configuration_is_a_new_revision(change: tuple[str, str], here: Path, cache: Path) -> None:
    write(here, {"template.yaml": TEMPLATE, "src/app.py": PYTHON})
    before = loaded(here, cache)
    write(here, {"template.yaml": TEMPLATE.replace(*change)})
    assert stamp(before) != before.stamp
    assert reread(before).functions[0].function.revision != before.functions[0].function.revision


def test_a_change_of_one_function_leaves_the_other_alone(here: Path, cache: Path) -> None:
    two = TEMPLATE + TEMPLATE.replace("Resources:\n", "").replace("F:", "G:").replace("src", "other")
    write(here, {"template.yaml": two, "src/app.py": PYTHON, "other/app.py": PYTHON})
    before = loaded(here, cache)
    write(here, {"other/app.py": PYTHON + "\n"})
    after = reread(before)
    assert after.functions[0] == before.functions[0]
    assert after.functions[1] != before.functions[1]


def test_a_file_or_zip_that_changed_is_read_again(here: Path, cache: Path) -> None:
    """What was extracted from the old one stays: environments may still run it."""
    write(here, {"app.py": PYTHON})
    before = loaded(here / "app.py", cache)
    write(here, {"app.py": PYTHON + "\n"})
    assert stamp(before) != before.stamp
    after = reread(before)
    assert after.functions[0].code != before.functions[0].code and before.functions[0].code.is_dir()


def test_reading_again_says_what_is_wrong_now(here: Path, cache: Path) -> None:
    write(here, {"template.yaml": TEMPLATE, "src/app.py": PYTHON})
    project = loaded(here, cache)
    write(here, {"template.yaml": "Resources: ["})
    with pytest.raises(ProjectError, match="is not valid YAML"):
        reread(project)
    shutil.rmtree(here)
    assert stamp(project) != project.stamp
    with pytest.raises(ProjectError, match=r"there is no such file"):
        reread(project)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_unreadable_code(here: Path, cache: Path) -> None:
    write(here, {"app.py": PYTHON})
    (here / "app.py").chmod(0)
    with pytest.raises(ProjectError, match="cannot be read"):
        loaded(here, cache)


def test_a_cache_that_cannot_be_written(here: Path) -> None:
    write(here, {"app.py": PYTHON, "not-a-folder": ""})
    with pytest.raises(ProjectError, match=r"Set XDG_CACHE_HOME to a writable directory|set XDG_CACHE_HOME to a writable directory"):
        loaded(here / "app.py", here / "not-a-folder")
