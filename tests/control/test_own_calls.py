"""Frostline's own calls under `/_frostline/`: logs and environments, for its command line, and what connections meet."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec import structs

from frostline.control import invoke_server
from frostline.core.events import ConditionsChanged
from frostline.testing.fake_runtime import Event, Process, runtime
from frostline.testing.fake_sandbox import LEVEL
from frostline.testing.http_client import request
from tests.control.rig import Rig, eventually, function


def speaking(process: Process, event: Event) -> bytes:
    process.print(f"said {event.json()}")
    return event.payload


async def lines(rig: Rig, query: str = "") -> list[str]:
    return [line["text"] for line in (await rig.http("GET", f"/_frostline/logs{query}")).json()["lines"]]


async def test_the_log_of_one_function_and_of_all(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start(function("a"), function("b"))
    await rig.invoke(1, name="a")
    await rig.invoke(2, name="b")
    assert "said 1" in await lines(rig, "?function=a")
    assert "said 2" not in await lines(rig, "?function=a")
    everything = await lines(rig)
    assert everything.index("said 1") < everything.index("said 2")
    assert await lines(rig, "?function=nobody") == []


async def test_a_log_line_says_where_it_comes_from(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start()
    request_id = (await rig.invoke(1)).headers["x-amzn-requestid"]
    line = next(line for line in (await rig.http("GET", "/_frostline/logs")).json()["lines"] if line["text"] == "said 1")
    (environment,) = rig.sandbox.environments
    assert line.pop("time") > 1e9
    assert line.pop("log_stream").endswith(f"/[$LATEST]{environment}")
    assert line == {"function": "f", "environment": environment, "request_id": request_id, "type": "function", "text": "said 1"}


async def test_only_the_last_lines(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start()
    await rig.invoke(1)
    everything = await lines(rig)
    assert await lines(rig, "?limit=2") == everything[-2:]
    assert await lines(rig, "?limit=0") == []
    assert await lines(rig, "?limit=999999999") == everything
    for nonsense in ("-1", "x", "%C2%B2", "9" * 5000):
        assert await lines(rig, f"?limit={nonsense}") == everything


async def test_following_a_log_gives_what_there_is_and_then_each_new_line(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start(function("a"), function("b"))
    await rig.invoke(1, name="a")
    connection = await rig.connect()
    await connection.send(request("GET", "/_frostline/logs?function=a&follow=1&limit=1"))
    head = await connection.read_head()
    assert head.headers["content-type"] == "application/x-ndjson"
    parts = connection.parts(head)
    assert json.loads(await anext(parts))["type"] == "platform.report"
    await rig.invoke(2, name="b")
    await rig.invoke(3, name="a")
    followed = [json.loads(await anext(parts))["text"] for _ in range(2)]
    assert followed[0].startswith("START RequestId")
    assert followed[1] == "said 3"
    await rig.plane.close()
    await rig.server.close()
    async for _ in parts:  # up to a proper end of the body: an EOFError otherwise
        pass


async def test_who_stops_following_is_forgotten(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start()
    connection = await rig.connect()
    await connection.send(request("GET", "/_frostline/logs?follow=1") + request("GET", "/_frostline/logs?follow=1"))
    await connection.read_head()
    await eventually(lambda: len(rig.plane.logs._followers) == 2)
    connection.abort()
    await eventually(lambda: not rig.plane.logs._followers)
    assert (await rig.invoke(1)).json() == 1


async def test_a_follower_that_does_not_read_is_cut_off(rig: Rig, monkeypatch: object) -> None:
    monkeypatch.setattr(invoke_server, "MAX_BEHIND", 100_000)

    def loud(process: Process, event: Event) -> bytes:
        for _ in range(100):
            process.print("x" * 100_000)
        return b"{}"

    rig.sandbox.programs["runtime"] = runtime(loud)
    await rig.start()
    _, writer = await asyncio.open_connection("127.0.0.1", rig.port, limit=1)
    writer.write(request("GET", "/_frostline/logs?follow=1"))
    await eventually(lambda: bool(rig.plane.logs._followers))
    assert (await rig.invoke()).status == 200
    await eventually(lambda: not rig.plane.logs._followers)
    writer.close()


async def test_environments_are_shown_with_their_states(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start()
    assert (await rig.http("GET", "/_frostline/environments")).json() == {"environments": []}
    await rig.invoke(1)
    await rig.sandbox.until_frozen()
    (shown,) = (await rig.http("GET", "/_frostline/environments")).json()["environments"]
    (environment,) = rig.sandbox.environments
    assert (shown["environment"], shown["function"], shown["state"]) == (environment, "f", "frozen")
    assert shown["logStream"].endswith(environment)
    assert shown["since"] > 1e9


FREEZES = structs.replace(LEVEL, egress=True, network_freezes=True)


async def change(rig: Rig, method: str, body: object = None, query: str = "") -> tuple[int, Any]:
    answer = await rig.http(method, f"/_frostline/network{query}", body=b"" if body is None else json.dumps(body).encode())
    return answer.status, answer.json()


async def test_what_connections_meet_is_changed_for_all(rig: Rig) -> None:
    rig.sandbox.level = FREEZES
    await rig.start()
    before = {"freezes": True, "fates": ["lost"], "middleboxes": [], "environments": {}}
    assert await change(rig, "GET") == (200, before)
    after = {**before, "fates": ["survive", "redis:6379=blackhole"], "middleboxes": ["api=alb"]}
    asked = {"fates": ["survive", "redis:6379=blackhole"], "middleboxes": ["api=alb"]}
    assert await change(rig, "PUT", asked) == (200, after)
    assert await change(rig, "POST", {"middleboxes": ["idle=30,then=rst"]}) == (200, {**after, "middleboxes": ["idle=30,then=rst"]})
    assert await change(rig, "GET") == (200, {**after, "middleboxes": ["idle=30,then=rst"]})
    assert rig.sandbox.conditions[None].fates.of(["redis"], 6379) == "blackhole"
    changed = [event for event in rig.witness.events if isinstance(event, ConditionsChanged)]
    assert [(event.environment, event.conditions) for event in changed][-1] == ("", rig.sandbox.conditions[None])


async def test_what_one_environments_connections_meet_is_changed_and_taken_back(rig: Rig) -> None:
    rig.sandbox.level = FREEZES
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start()
    await rig.invoke(1)
    (environment,) = rig.sandbox.environments
    query = f"?environment={environment}"
    await change(rig, "PUT", {"middleboxes": ["nlb"]})
    status, shown = await change(rig, "PUT", {"fates": ["survive"]}, query)
    assert (status, shown["fates"], shown["environments"]) == (200, ["lost"], {environment: {"fates": ["survive"], "middleboxes": ["nlb"]}})
    status, shown = await change(rig, "DELETE", None, query)
    assert (status, shown["environments"]) == (200, {})


@pytest.mark.parametrize(
    ("method", "query", "body", "status", "said"),
    [
        ("PUT", "", {"fates": ["dead"]}, 400, "'dead' is not a fate. There are survive, fin_delivered, lost and blackhole."),
        ("PUT", "", {"middleboxes": ["elb"]}, 400, "'elb' is not a middlebox."),
        ("PUT", "", {"fate": ["lost"]}, 400, "Object contains unknown field `fate`"),
        ("PUT", "", {"fates": "lost"}, 400, "Expected `array | null`, got `str`"),
        ("PUT", "", None, 400, "The body is not what it should be"),
        ("PUT", "?environment=nobody", {"fates": ["lost"]}, 404, "There is no environment 'nobody'"),
    ],
)
async def test_conditions_that_are_none_are_explained_and_change_nothing(
    rig: Rig, method: str, query: str, body: object, status: int, said: str
) -> None:
    rig.sandbox.level = FREEZES
    await rig.start()
    answered, problem = await change(rig, method, body, query)
    assert (answered, said in problem["errorMessage"]) == (status, True), problem
    assert rig.sandbox.conditions == {}


async def test_fates_and_middleboxes_are_refused_where_they_would_mean_nothing(rig: Rig) -> None:
    await rig.start()
    assert (await change(rig, "PUT", {"fates": ["survive"]}))[0] == 409
    assert (await change(rig, "PUT", {"middleboxes": ["alb"]}))[0] == 409
    assert (await rig.http("PATCH", "/_frostline/network")).status == 405
    refused = await rig.http("DELETE", "/_frostline/network")
    assert refused.status == 400 and b"?environment=ID says which" in refused.body


async def test_what_a_person_should_know_of_an_environment_is_said_with_its_functions_name(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(speaking)
    await rig.start()
    await rig.invoke(1)
    (environment,) = rig.sandbox.environments
    rig.sandbox.on_note(environment, "it did.")
    rig.sandbox.on_note(None, "The router is gone.")
    assert rig.notes[-2:] == ["f: it did.", "The router is gone."]
    assert rig.sandbox.observed == (rig.plane.clock.offset, False)


async def test_what_is_not_there_is_404(rig: Rig) -> None:
    await rig.start()
    assert (await rig.http("GET", "/_frostline/nothing")).status == 404
    assert (await rig.http("GET", "/elsewhere")).status == 404
