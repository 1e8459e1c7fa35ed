"""Many at once, while environments freeze, thaw, are reclaimed and replaced: each is answered once, with what is its own."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from frostline.core.effects import Effect, Transition
from frostline.core.events import Event, InvocationArrived
from frostline.story.reader import Story
from frostline.testing.laws import Laws

from .conftest import MakeProject
from .running import RUNTIME, Answer, Server, up


@pytest.fixture(scope="module")
def server(home: Path, project: MakeProject) -> Iterator[Server]:
    options = ("--chaos", "0.05", "--freeze-delay", "0ms", "--story", str(home / "story.jsonl"))
    with up(home, project("freezing") / "template.yaml", "--parameter", f"Runtime={RUNTIME}", *options) as running:
        yield running
    check_story(home / "story.jsonl")


def check_story(path: Path) -> None:
    """What really happened keeps the laws that the core is held to in generated worlds."""
    laws = Laws()
    told: list[tuple[Event, list[Effect]]] = []
    with Story.open(path) as story:
        for line in story:
            if line.event is not None:
                told.append((line.event, []))
            elif line.effect is not None:
                told[-1][1].append(line.effect)
        assert not story.truncated
    for event, effects in told:
        laws.observe(event, effects)
    laws.finished()
    states = {effect.after for _, effects in told for effect in effects if isinstance(effect, Transition)}
    assert {"initializing", "idle", "busy", "freezing", "frozen", "thawing", "stopping", "gone"} <= states
    assert any(isinstance(event, InvocationArrived) for event, _ in told)


def crowd(server: Server, function: str, count: int, threads: int) -> list[Answer | ClientError]:
    """So many invocations with boto3, from so many threads that are released together."""
    gate = threading.Barrier(threads)

    def work(number: int) -> Answer | ClientError:
        if number < threads:
            gate.wait()
        try:
            return server.invoke(function, event_of(number), LogType="None")
        except ClientError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


def event_of(number: int) -> dict[str, object]:
    return {"n": number, "pad": "x" * (number % 7) * 1000}


def check(payloads: list[dict[str, object]]) -> None:
    """Each has its own, and in each environment each ran exactly once, and nothing else did."""
    for number, payload in enumerate(payloads):
        assert {name: payload[name] for name in ("n", "pad")} == event_of(number)
    assert len({payload["request"] for payload in payloads}) == len(payloads)


async def test_a_thousand_at_the_same_time_are_each_answered_once(server: Server) -> None:
    """On a connection each, all open before the first request is sent: as many as AWS would run are accepted, and none is refused."""
    connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(1000)]
    for number, (_, writer) in enumerate(connections):
        body = json.dumps(event_of(number)).encode()
        writer.write(b"POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, object]:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert head.startswith(b"HTTP/1.1 200 ") and length is not None, head
        found = json.loads(await reader.readexactly(int(length[1])))
        writer.close()
        await writer.wait_closed()
        return dict(found)

    async with asyncio.timeout(60):
        payloads = await asyncio.gather(*(answer(*connection) for connection in connections))
    check(payloads)
    for stream in {payload["stream"] for payload in payloads}:
        counts = sorted(int(str(payload["served"])) for payload in payloads if payload["stream"] == stream)
        assert counts == list(range(counts[0], counts[0] + len(counts))), "each ran exactly once, and nothing else did"
    assert len({payload["stream"] for payload in payloads}) > 10, "environments were reclaimed at random"
    assert len(server.until_logged("echo", "REPORT RequestId", 1000)) == 1000
    assert len(server.environments("echo")) <= 10


def test_a_thousand_with_boto3_from_fifty_threads(server: Server) -> None:
    answers = [answer for answer in crowd(server, "echo", 1000, 50) if isinstance(answer, Answer)]
    assert [(answer.status, answer.error) for answer in answers] == [(200, None)] * 1000
    check([answer.payload for answer in answers])
    assert all(answer.request_id == answer.payload["request"] for answer in answers)


def test_over_a_reserved_concurrency_each_is_answered_or_refused(server: Server) -> None:
    answers = crowd(server, "reserved", 300, 24)
    refused = [answer for answer in answers if isinstance(answer, ClientError)]
    served = [(number, answer) for number, answer in enumerate(answers) if isinstance(answer, Answer)]
    assert {error.response["Error"]["Code"] for error in refused} <= {"TooManyRequestsException"}
    assert refused and served
    assert all((answer.error, answer.payload["n"]) == (None, number) for number, answer in served)
    assert len(server.environments("reserved")) <= 4


def test_events_by_the_hundred_all_run(server: Server) -> None:
    accepted = {server.invoke("echo", {"event": number}, InvocationType="Event").request_id for number in range(200)}
    server.until(lambda: len(ended(server) & accepted) == 200, "end of every event")


def ended(server: Server) -> set[str]:
    return {line["request_id"] for line in server.lines if line.get("type") == "platform.report"}
