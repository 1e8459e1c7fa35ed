"""Processes that misbehave on their APIs: only they suffer."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from msgspec.structs import replace

from frostline.control import environments
from frostline.sandbox.port import Ports
from frostline.testing.fake_runtime import RUNTIME, Event, Process, Program, runtime
from frostline.testing.http_client import Connection, request
from tests.control.rig import POLICY, Rig, eventually, function

ECHO = runtime(lambda process, event: event.payload)
NEXT = f"{RUNTIME}/invocation/next"


def by_function(**programs: Program) -> Program:
    """A program for each function."""

    async def program(process: Process) -> int | None:
        return await programs[process.env["AWS_LAMBDA_FUNCTION_NAME"]](process)

    return program


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST " + b"/" * 100_000,
        b"GET /x HTTP/1.1\r\nA: " + b"b" * 200_000,
        b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["bytes", "version", "long path", "long header", "negative length", "bad chunk"],
)
async def test_garbage_on_the_runtime_api_closes_its_connection_and_harms_nothing_else(rig: Rig, garbage: bytes) -> None:
    answers: list[bytes] = []

    async def program(process: Process) -> None:
        bad = await process.connect()
        await bad.send(garbage)
        answers.append(await bad.rest())
        await ECHO(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start()
    assert (await rig.invoke(1)).json() == 1
    assert answers[0].startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_half_a_request_and_a_response_that_breaks_off_are_no_answer(rig: Rig) -> None:
    async def program(process: Process) -> None:
        event = await process.next()
        half = await process.connect()
        await half.send(request("POST", f"{RUNTIME}/invocation/{event.request_id}/response", body=b'{"whole": true}')[:-4])
        half.abort()
        await ECHO(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start()
    broken = await rig.invoke(1)
    assert broken.headers["x-amz-function-error"] == "Unhandled"
    assert broken.json()["errorType"] == "Runtime.TruncatedResponse"
    assert (await rig.invoke(2)).json() == 2
    await rig.sandbox.until_frozen()
    assert len(rig.plane.exchanges._connections) == 1, "only the /next that waits"


async def test_a_response_that_stops_being_http_half_way_is_no_answer_and_leaves_nothing_waiting(rig: Rig) -> None:
    async def program(process: Process) -> None:
        event = await process.next()
        bad = await process.connect()
        await bad.send_head("POST", f"{RUNTIME}/invocation/{event.request_id}/response", [("Transfer-Encoding", "chunked")])
        await bad.send(b"5\r\n12345\r\nnot a chunk\r\n")
        await bad.rest()
        await ECHO(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start()
    assert (await rig.invoke(1)).json()["errorType"] == "Runtime.TruncatedResponse"
    assert (await rig.invoke(2)).json() == 2
    await rig.sandbox.until_frozen()
    assert len(rig.plane.exchanges._connections) == 1, "only the /next that waits"


async def test_wrong_ids_and_wrong_order_are_refused_and_the_right_answer_counts(rig: Rig) -> None:
    refusals: list[tuple[int, str]] = []

    async def program(process: Process) -> None:
        early = await process.respond("6ee2a1fd-9b2e-4c7b-8a5e-53d7a1b7e0a1", b"{}")
        event = await process.next()
        wrong = await process.respond("6ee2a1fd-9b2e-4c7b-8a5e-53d7a1b7e0a1", b"{}")
        right = await process.respond(event.request_id, event.payload)
        twice = await process.respond(event.request_id, b'"again"')
        refusals.extend((each.status, each.json().get("errorType", "")) for each in (early, wrong, right, twice))
        await ECHO(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start()
    assert (await rig.invoke(1)).json() == 1
    assert (await rig.invoke(2)).json() == 2
    assert refusals == [(400, "InvalidRequestID"), (400, "InvalidRequestID"), (202, ""), (403, "InvalidStateTransition")]


async def test_an_environment_s_process_cannot_answer_for_another_environment(rig: Rig) -> None:
    """A connection belongs to the environment it was made in, whatever it claims."""
    seen: list[str] = []
    done = asyncio.Event()

    async def victim(process: Process) -> None:
        event = await process.next()
        seen.append(event.request_id)
        await done.wait()
        await process.respond(event.request_id, b'"mine"')
        await process.next()

    async def intruder(process: Process) -> None:
        event = await process.next()
        refused = await process.respond(seen[0], b'"forged"')
        await process.respond(event.request_id, json.dumps(refused.status).encode())
        await process.next()

    rig.sandbox.programs["runtime"] = by_function(victim=victim, intruder=intruder)
    await rig.start(function("victim"), function("intruder"))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(rig.invoke(name="victim"))
        await eventually(lambda: bool(seen))
        assert (await rig.invoke(name="intruder")).json() == 400
        done.set()
    assert waiting.result().json() == "mine"


async def test_a_runtime_that_never_answers_costs_its_caller_the_timeout_and_nobody_else(rig: Rig) -> None:
    async def silent(process: Process) -> None:
        await process.next()
        await asyncio.sleep(60)

    rig.sandbox.programs["runtime"] = by_function(silent=silent, good=ECHO)
    await rig.start(function("silent", timeout_s=0.1), function("good"))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(rig.invoke(name="silent"))
        for number in range(10):
            assert (await rig.invoke(number, name="good")).json() == number
    assert waiting.result().json()["errorType"] == "Sandbox.Timedout"


async def test_connections_over_the_bound_are_closed_and_those_that_were_there_go_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "MAX_CONNECTIONS", 20)
    refused: list[bool] = []

    async def greedy(process: Process) -> None:
        async def is_refused(connection: Connection) -> bool:
            try:
                await connection.send(request("GET", "/2018-06-01/ping"))
                return (await connection.read()).body != b"pong"
            except (OSError, EOFError):
                return True

        async def all_of_them() -> None:
            connections = [await process.connect() for _ in range(60)]
            refused.extend([await is_refused(connection) for connection in connections])

        event = await process.next()
        await all_of_them()
        await process.respond(event.request_id, b"{}")
        await process.next()

    rig.sandbox.programs["runtime"] = by_function(greedy=greedy, good=ECHO)
    await rig.start(function("greedy"), function("good"))
    assert (await rig.invoke(name="greedy")).status == 200
    assert refused.count(False) == 19  # and one more, on which the runtime itself speaks
    assert (await rig.invoke("fine", name="good")).json() == "fine"


async def test_a_next_that_hung_up_is_not_given_the_invocation(rig: Rig) -> None:
    """A runtime's client gave up waiting and asks again: the invocation goes to the poll that is there."""

    async def program(process: Process) -> None:
        first = await process.connect()
        await first.send(request("GET", NEXT))
        await first.send(b"")
        await asyncio.sleep(0.01)
        first.abort()
        await asyncio.sleep(0.01)
        await ECHO(process)

    rig.sandbox.programs["runtime"] = program
    await rig.start(policy=replace(POLICY, freeze_delay_s=10.0))
    assert (await rig.invoke(1)).json() == 1


async def test_a_function_that_writes_without_a_line_s_end_and_in_pieces_is_logged_by_lines(rig: Rig) -> None:
    def handler(process: Process, event: Event) -> bytes:
        process.write(b"one ")
        process.write("line, and half a char\u00e4cter".encode()[:-9])
        process.write("line, and half a char\u00e4cter".encode()[-9:] + b"\n\nlast")
        return b"{}"

    rig.sandbox.programs["runtime"] = runtime(handler)
    await rig.start()
    await rig.invoke()
    await rig.plane.close()
    lines = [line.text for line in rig.plane.logs.lines("f") if line.type == "function"]
    assert lines == ["one line, and half a char\u00e4cter", "", "last"]


async def test_the_init_s_failure_is_told_to_the_caller_after_a_second_try(rig: Rig) -> None:
    tries = 0

    async def program(process: Process) -> int:
        nonlocal tries
        tries += 1
        await process.fail_init("Runtime.ImportModuleError", "No module named 'x'")
        return 1

    rig.sandbox.programs["runtime"] = program
    await rig.start()
    response = await rig.invoke()
    assert response.headers["x-amz-function-error"] == "Unhandled"
    assert response.json() == {"errorType": "Runtime.ImportModuleError", "errorMessage": "No module named 'x'", "stackTrace": []}
    assert tries == 2


async def test_a_process_that_cannot_be_executed_fails_its_invocation_with_the_reason(rig: Rig) -> None:
    await rig.start()  # and no program
    response = await rig.invoke()
    assert response.json()["errorType"] == "Runtime.InvalidEntrypoint"
    assert "no such file or directory" in response.json()["errorMessage"]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_an_environment_that_is_gone_before_its_api_is_served_leaves_nobody_listening(rig: Rig, when: str) -> None:
    await rig.start()
    host = environments.Host("e", rig.deployment(function()), "s", rig.plane.exchanges, rig.plane.ring.feed, lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        ports = Ports(api=listening, api_address="")
        if when == "before":
            host.close()
            await host.serve(ports)
        else:
            serving = asyncio.get_running_loop().create_task(host.serve(ports))
            await asyncio.sleep(0)
            host.close()
            await serving
        await asyncio.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=1).close()


async def test_an_api_that_cannot_be_served_ends_the_environment_and_answers_the_caller(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(environments.Host, "serve", refuse)
    await rig.start()
    response = await rig.invoke()
    assert response.status == 500
    assert "Too many open files" in response.json()["Message"]
    await rig.sandbox.until(lambda: not rig.sandbox.environments)
