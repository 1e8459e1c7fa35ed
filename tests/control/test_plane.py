"""The control plane's life: what opens, what closes, what is deployed in between, and what is recorded."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from frostline.control import plane as plane_module
from frostline.control.plane import ControlPlane
from frostline.core.effects import FreezeEnvironment, Resolve, Stopped, Succeeded, Unavailable
from frostline.core.events import EnvironmentFrozen, InvocationArrived, ReclaimRequested, ShutdownRequested
from frostline.core.function import Function
from frostline.project import Project, Source
from frostline.sandbox.port import SandboxError
from frostline.story.reader import Story
from frostline.testing.fake_runtime import Event, Process, runtime
from frostline.testing.fake_sandbox import FakeSandbox
from frostline.testing.http_client import request
from tests.control.rig import POLICY, Rig, eventually, function

ECHO = runtime(lambda process, event: event.payload)


# The end ---------------------------------------------------------------------------------------------------------------------------------


async def test_at_the_end_every_caller_is_answered_and_nothing_is_left(rig: Rig) -> None:
    inside = 0
    never = asyncio.Event()

    async def handler(process: Process, event: Event) -> bytes:
        nonlocal inside
        del process
        inside += 1
        await never.wait()
        return event.payload

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(rig.invoke(number)) for number in range(5)]
        await eventually(lambda: inside == 5)
        await rig.plane.close()
        late = await rig.invoke("late")
    for response in (late, *(task.result() for task in waiting)):
        assert (response.status, response.headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert late.json()["Message"] == "Frostline is shutting down."
    assert rig.seen(Stopped) == [Stopped()]
    assert rig.sandbox.environments == {}
    assert not rig.sandbox.is_open


async def test_callers_whose_environments_are_still_being_built_are_answered_too(rig: Rig) -> None:
    rig.sandbox.hold("start")
    await rig.start()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(rig.invoke())
        await rig.sandbox.until(lambda: bool(rig.sandbox.called("start")))
        await rig.plane.close()
    assert waiting.result().status == 500


async def test_an_environment_that_ends_as_soon_as_it_is_built_leaves_no_socket(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    rig.sandbox.hold("start")
    await rig.start()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(rig.invoke(1))
        await rig.sandbox.until(lambda: bool(rig.sandbox.called("start")))
        rig.sandbox.at_once = True
        rig.sandbox.release("start")
        rig.plane.ring.feed(ReclaimRequested(environment=rig.sandbox.calls[0].environment))
    assert waiting.result().json() == 1, "another one was built"
    assert len(rig.sandbox.called("start")) == 2


async def test_a_stream_under_way_is_ended_with_an_error(rig: Rig) -> None:
    async def parts() -> Any:
        yield b"first"
        await asyncio.sleep(60)

    rig.sandbox.programs["runtime"] = runtime(lambda process, event: parts())
    await rig.start()
    connection = await rig.connect()
    await connection.send(request("POST", "/2021-11-15/functions/f/response-streaming-invocations"))
    head = await connection.read_head()
    body = connection.parts(head)
    assert b"first" in await anext(body)
    await rig.plane.close()
    rest = b"".join([part async for part in body])
    assert b"ServiceException" in rest


async def test_closing_twice_one_after_the_other_or_at_once_is_closing_once(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    await rig.invoke()
    await asyncio.gather(rig.plane.close(), rig.plane.close())
    await rig.plane.close()
    assert len(rig.seen(ShutdownRequested)) == 1
    assert len(rig.sandbox.called("destroy")) == 1


async def test_a_close_that_is_cancelled_can_be_finished_by_another(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    rig.sandbox.hold("destroy")
    await rig.start()
    await rig.invoke()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await rig.plane.close()
    rig.sandbox.release()
    await rig.plane.close()
    assert not rig.sandbox.is_open


async def test_environments_that_do_not_stop_are_said_and_left_to_the_sandbox(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_module, "STOP_TIMEOUT_S", 0.02)
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    await rig.invoke()
    rig.sandbox.hold("destroy")
    await rig.plane.close()
    assert rig.notes == ["Not every environment ended within 0.02 s; 1 of them are now destroyed."]


async def test_a_sandbox_that_cannot_be_opened_leaves_nothing_to_close() -> None:
    async def refuse(*_: object) -> FakeSandbox:
        raise SandboxError("no namespaces here")

    plane = ControlPlane(refuse)
    with pytest.raises(SandboxError, match="no namespaces here"):
        await plane.open()
    await plane.close()


async def test_a_story_that_cannot_be_written_is_refused_at_the_start_and_the_sandbox_is_closed(
    sandbox: FakeSandbox, tmp_path: Path
) -> None:
    plane = ControlPlane(sandbox.opened, story=tmp_path / "no such folder" / "story")
    with pytest.raises(FileNotFoundError):
        await plane.open()
    await plane.close()
    assert not sandbox.is_open


async def test_no_socket_is_left_open(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    await rig.invoke()
    (environment,) = rig.plane.hosts.values()
    assert environment.ports is not None
    host, port = environment.ports.api_address.split(":")
    await rig.plane.close()
    await asyncio.sleep(0.005)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1).close()


# Functions -------------------------------------------------------------------------------------------------------------------------------


def project(rig: Rig, *functions: Function) -> Project:
    return Project(
        source=Source(path=rig.folder), functions=tuple(rig.deployment(each) for each in functions), watched=(), origin=rig.folder
    )


async def test_a_function_of_a_new_revision_replaces_the_old_one_at_once(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(lambda process, event: json.dumps(process.env["COLOUR"]).encode())
    await rig.start(function(environment={"COLOUR": "red"}))
    assert (await rig.invoke()).json() == "red"
    await rig.sandbox.until_frozen()
    rig.plane.deploy(project(rig, function(environment={"COLOUR": "blue"}, revision="2")))
    assert (await rig.invoke()).json() == "blue"
    await rig.sandbox.until(lambda: len(rig.sandbox.environments) == 1)


async def test_an_invocation_under_way_ends_on_the_revision_it_began_on(rig: Rig) -> None:
    inside = asyncio.Event()
    go_on = asyncio.Event()

    async def handler(process: Process, event: Event) -> bytes:
        del event
        inside.set()
        await go_on.wait()
        return json.dumps(process.env["COLOUR"]).encode()

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start(function(environment={"COLOUR": "red"}))
    async with asyncio.TaskGroup() as group:
        old = group.create_task(rig.invoke())
        await inside.wait()
        rig.plane.deploy(project(rig, function(environment={"COLOUR": "blue"}, revision="2")))
        go_on.set()
        new = await rig.invoke()
    assert (old.result().json(), new.json()) == ("red", "blue")


async def test_deploying_what_is_there_already_changes_nothing(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    await rig.invoke()
    rig.plane.deploy(project(rig, function()))
    await rig.invoke()
    assert len(rig.sandbox.called("start")) == 1


async def test_revisions_that_are_not_in_use_are_forgotten(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start()
    for number in range(2, 12):
        rig.plane.deploy(project(rig, function(revision=str(number))))
        await rig.invoke()
    await rig.sandbox.until(lambda: len(rig.sandbox.environments) == 1)
    rig.plane.deploy(project(rig, function(revision="last")))
    assert len(rig.plane._revisions) <= 2


async def test_a_function_that_is_removed_is_gone_with_its_environments(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start(function("a"), function("b"))
    await rig.invoke(name="a")
    await rig.invoke(name="b")
    rig.plane.deploy(project(rig, function("b")))
    await rig.sandbox.until(lambda: len(rig.sandbox.environments) == 1)
    _, outcome = await rig.plane.call("a", b"{}")
    assert isinstance(outcome, Unavailable)
    _, outcome = await rig.plane.call("b", b"{}")
    assert isinstance(outcome, Succeeded)


async def test_a_project_s_functions_are_listed_and_described_to_boto3(rig: Rig) -> None:
    await rig.start(function("a", description="first"), function("b", timeout_s=7.0))

    def call(client: Any) -> tuple[list[str], Any, Any]:
        names = [each["FunctionName"] for each in client.list_functions()["Functions"]]
        return names, client.get_function(FunctionName="a")["Configuration"], client.get_function_configuration(FunctionName="b")

    names, first, second = await rig.boto(call)
    assert names == ["a", "b"]
    assert first["Description"] == "first"
    assert second["Timeout"] == 7


async def test_an_updated_configuration_is_what_the_next_invocation_runs_with(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bootstrap").touch(mode=0o755)
    rig.sandbox.programs["runtime"] = runtime(lambda process, event: json.dumps(process.env.get("COLOUR")).encode())
    await rig.start(function(runtime="provided.al2023", environment={"COLOUR": "red"}))
    assert (await rig.invoke()).json() == "red"
    await rig.sandbox.until_frozen()

    def update(client: Any) -> Any:
        return client.update_function_configuration(FunctionName="f", Environment={"Variables": {"COLOUR": "blue"}}, MemorySize=256)

    answer = await rig.boto(update)
    assert answer["Environment"] == {"Variables": {"COLOUR": "blue"}}
    assert (await rig.invoke()).json() == "blue"
    assert rig.sandbox.called("start")[-1].argument.memory_mb == 256
    assert (await rig.boto(lambda client: client.get_function_configuration(FunctionName="f")))["MemorySize"] == 256


async def test_an_update_that_cannot_be_run_is_refused_and_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bootstrap").touch(mode=0o755)
    rig.sandbox.programs["runtime"] = ECHO
    await rig.start(function(runtime="provided.al2023"))
    (tmp_path / "bootstrap").unlink()
    response = await rig.http("PUT", "/2015-03-31/functions/f/configuration", body=b'{"MemorySize": 256}')
    assert (response.status, response.headers["x-amzn-errortype"]) == (400, "InvalidParameterValueException")
    assert "needs an executable" in response.body.decode()
    assert (await rig.invoke(1)).json() == 1
    assert rig.service.functions["f"].memory_mb == 128


# The story -------------------------------------------------------------------------------------------------------------------------------


async def test_a_run_is_recorded_and_can_be_read_back(rig: Rig, tmp_path: Path) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    path = tmp_path / "run.story"
    await rig.start(story=path)
    response = await rig.invoke({"greeting": "hello"})
    await rig.sandbox.until_frozen()
    await rig.plane.close()
    with Story.open(path) as story:
        assert story.header.level["freezer"] == "cgroup-v2"
        lines = list(story)
        assert not story.truncated
    events = [line.event for line in lines if line.event is not None]
    effects = [line.effect for line in lines if line.effect is not None]
    assert [type(event) for event in events] == [type(event) for event in rig.witness.events]
    assert [type(effect) for effect in effects] == [type(effect) for effect in rig.witness.effects]
    (arrived,) = [event for event in events if isinstance(event, InvocationArrived)]
    assert arrived.request_id == response.headers["x-amzn-requestid"]
    assert arrived.payload.data == b'{"greeting": "hello"}'
    assert {FreezeEnvironment, Resolve, Stopped} <= {type(effect) for effect in effects}
    assert EnvironmentFrozen in {type(event) for event in events}
    assert [line.at for line in lines] == sorted(line.at for line in lines)


async def test_a_story_grows_while_frostline_runs(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_module, "STORY_FLUSH_S", 0.01)
    rig.sandbox.programs["runtime"] = ECHO
    path = tmp_path / "run.story"
    await rig.start(story=path)
    await rig.invoke()
    await eventually(lambda: b'"InvocationArrived"' in path.read_bytes())


async def test_a_disk_that_is_full_ends_the_story_and_not_the_run(rig: Rig, tmp_path: Path) -> None:
    rig.sandbox.programs["runtime"] = ECHO
    plane = ControlPlane(rig.sandbox.opened, policy=POLICY, story=tmp_path / "story", note=rig.notes.append)
    await plane.open()
    assert plane.ring.story is not None
    plane.ring.story._file.close()
    plane.ring.story._file = Path("/dev/full").open("wb", buffering=0)  # noqa: ASYNC230, SIM115
    plane.deploy_one(rig.deployment(function()))
    for _ in range(3):
        _, outcome = await plane.call("f", b'"x"')
        assert isinstance(outcome, Succeeded)
    await plane.close()
    assert rig.notes == [f"the story {tmp_path / 'story'} could not be written any further: No space left on device"]
