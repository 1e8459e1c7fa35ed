"""Hot reload: an edit is served by the next invocation."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from frostline.control import watch
from frostline.project import Source, load
from frostline.testing.fake_runtime import Event, Process, Program, runtime
from tests.control.rig import Rig

BOOTSTRAP = "#!/bin/sh\n"


def write(folder: Path, colour: str) -> None:
    """A function that has a colour."""
    folder.mkdir()
    (folder / "bootstrap").write_text(BOOTSTRAP)
    (folder / "bootstrap").chmod(0o755)
    (folder / "colour").write_text(colour)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "colours"
    write(folder, "red")
    return folder


def reader(rig: Rig) -> Program:
    """A runtime that reads its code once, at its init, and answers with what it read."""

    async def program(process: Process) -> int | None:
        colour = (rig.sandbox.environments[process.environment].blueprint.code / "colour").read_text()

        def handler(_: Process, event: Event) -> bytes:
            del event
            return json.dumps(colour).encode()

        return await runtime(handler)(process)

    return program


async def serve(rig: Rig, path: Path) -> None:
    rig.sandbox.programs["runtime"] = reader(rig)
    await rig.serve(load(Source(path=path, runtime="provided.al2023", cache=path.parent / "cache")))


async def test_the_invocation_after_an_edit_runs_the_new_code(rig: Rig, folder: Path) -> None:
    await serve(rig, folder)
    assert (await rig.invoke(name="colours")).json() == "red"
    await rig.sandbox.until_frozen()
    (folder / "colour").write_text("blue")
    assert (await rig.invoke(name="colours")).json() == "blue"
    assert rig.notes == [f"reloaded {folder}"]


async def test_an_edit_just_after_an_invocation_and_just_before_the_next_is_served(rig: Rig, folder: Path) -> None:
    await serve(rig, folder)
    connection = await rig.connect()
    for number in range(20):
        (folder / "colour").write_text(f"shade {number}")
        answer = await connection.request("POST", "/2015-03-31/functions/colours/invocations", body=b"{}")
        assert answer.json() == f"shade {number}"
    await rig.sandbox.until(lambda: len(rig.sandbox.environments) == 1)


async def test_without_an_edit_nothing_is_started_anew(rig: Rig, folder: Path) -> None:
    await serve(rig, folder)
    for _ in range(3):
        await rig.invoke(name="colours")
        os.utime(folder)  # the folder's own times do not count
    assert len(rig.sandbox.called("start")) == 1
    assert rig.notes == []


async def test_an_edit_between_reading_the_project_and_serving_it_is_seen(rig: Rig, folder: Path) -> None:
    """Reading can take long: a runtime client may have to be installed."""
    rig.sandbox.programs["runtime"] = reader(rig)
    project = load(Source(path=folder, runtime="provided.al2023", cache=folder.parent / "cache"))
    (folder / "added").write_text("x")
    await rig.serve(project)
    await rig.invoke(name="colours")
    assert rig.service.project.stamp != project.stamp
    assert rig.sandbox.called("start")[0].argument.environment in rig.sandbox.environments


async def test_code_that_cannot_be_run_is_said_and_the_old_one_goes_on_until_it_can(rig: Rig, folder: Path) -> None:
    await serve(rig, folder)
    assert (await rig.invoke(name="colours")).json() == "red"
    (folder / "bootstrap").unlink()
    assert (await rig.invoke(name="colours")).json() == "red"
    assert (await rig.invoke(name="colours")).json() == "red"
    (note,) = rig.notes
    assert note.startswith("the change was not taken over: ")
    assert "bootstrap" in note
    (folder / "bootstrap").write_text(BOOTSTRAP)
    (folder / "bootstrap").chmod(0o755)
    (folder / "colour").write_text("blue")
    assert (await rig.invoke(name="colours")).json() == "blue"


async def test_a_folder_that_is_built_anew_is_served_and_watched_on(rig: Rig, folder: Path) -> None:
    await serve(rig, folder)
    await rig.invoke(name="colours")
    for colour in ("blue", "green"):
        shutil.rmtree(folder)
        write(folder, colour)
        assert (await rig.invoke(name="colours")).json() == colour
        (folder / "colour").write_text(f"dark {colour}")
        assert (await rig.invoke(name="colours")).json() == f"dark {colour}"


async def test_an_updated_configuration_outlives_a_reload(rig: Rig, folder: Path) -> None:
    await serve(rig, folder)
    response = await rig.http("PUT", "/2015-03-31/functions/colours/configuration", body=b'{"MemorySize": 512}')
    assert response.status == 200
    (folder / "colour").write_text("blue")
    assert (await rig.invoke(name="colours")).json() == "blue"
    assert rig.service.functions["colours"].memory_mb == 512
    assert rig.sandbox.called("start")[-1].argument.memory_mb == 512


async def test_a_template_s_functions_come_and_go(rig: Rig, folder: Path) -> None:
    template = folder.parent / "template.yaml"

    def write(*names: str) -> None:
        functions = {
            name: {
                "Type": "AWS::Serverless::Function",
                "Properties": {"FunctionName": name, "CodeUri": "colours/", "Runtime": "provided.al2023", "Handler": "x"},
            }
            for name in names
        }
        template.write_text(json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": functions}))

    write("one", "two")
    rig.sandbox.programs["runtime"] = reader(rig)
    await rig.serve(load(Source(path=template, cache=folder.parent / "cache")))
    assert (await rig.invoke(name="two")).json() == "red"
    write("one", "three")
    assert (await rig.invoke(name="three")).json() == "red"
    assert (await rig.invoke(name="two")).status == 404
    template.write_text("{not a template")
    assert (await rig.invoke(name="three")).json() == "red"
    assert any("the change was not taken over" in note for note in rig.notes)


async def test_a_function_that_cannot_be_run_after_an_edit_is_said_and_the_others_run(rig: Rig, folder: Path) -> None:
    template = folder.parent / "template.json"

    def describe(**runtimes: str) -> None:
        functions = {
            name: {
                "Type": "AWS::Serverless::Function",
                "Properties": {"FunctionName": name, "CodeUri": "colours/", "Runtime": runtime_, "Handler": "x"},
            }
            for name, runtime_ in runtimes.items()
        }
        template.write_text(json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": functions}))

    describe(one="provided.al2023")
    rig.sandbox.programs["runtime"] = reader(rig)
    await rig.serve(load(Source(path=template, cache=folder.parent / "cache")))
    describe(one="provided.al2023", two="cobol85")
    assert (await rig.invoke(name="one")).json() == "red"
    assert rig.notes[0].startswith("two cannot be run: ")
    assert "cobol85" in rig.notes[0]


async def test_where_the_kernel_does_not_tell_files_are_compared(rig: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(24, "Too many open files")

    if hasattr(watch, "INotify"):
        monkeypatch.setattr(watch, "INotify", refuse)
    monkeypatch.setattr(watch, "COST_SHARE", 0)
    await serve(rig, folder)
    assert (await rig.invoke(name="colours")).json() == "red"
    (folder / "colour").write_text("blue")
    assert (await rig.invoke(name="colours")).json() == "blue"
