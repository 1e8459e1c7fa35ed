"""Functions in real environments: what they meet in a gap, and what is said of it."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from frostline.story.reader import Story
from frostline.testing import AsyncFrostline, Frostline, FrostlineError, Function
from frostline.testing.session import Session
from tests.testing.projects import UPSTREAM


def rules(fn: Function) -> list[str]:
    return [finding.rule for finding in fn.findings]


def test_a_night_costs_an_ill_function_its_connection(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Orders")
    first = fn.invoke({"id": 1})
    assert (first.ok, first.payload, first.error, first.error_type, first.log) == (True, 200, None, None, ("event {'id': 1}",))
    began = time.monotonic()
    fn.idle(hours=8, fate="lost")
    second = fn.invoke({"id": 2})
    assert time.monotonic() - began < 60, "nobody waits for the night"
    assert not second.ok
    assert second.error_type == "ConnectionResetError"
    assert second.error == "ConnectionResetError: [Errno 104] Connection reset by peer"
    assert second.payload["errorMessage"] == "[Errno 104] Connection reset by peer"
    assert second.log[0] == "event {'id': 2}"
    (finding,) = fn.findings
    assert (finding.rule, finding.severity, finding.function) == ("stale-connection-reused", "failure", "Orders")
    assert finding.requests == (first.request_id, second.request_id)
    assert [one.name for one in fn.connections] == ["inventory.example.com:80"]


def test_a_healthy_function_survives_it(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Healthy")
    assert fn.invoke({"id": 1}).ok
    fn.idle(hours=8, fate="lost")
    assert fn.invoke({"id": 2}).ok
    assert fn.findings == []
    assert [(one.rule, one.severity) for one in fn.costs] == [("stale-connection-reused", "cost")], (
        "it found out by itself, and asked again"
    )
    assert len(fn.connections) == 2


@pytest.mark.parametrize(
    ("gap", "chosen", "error_type"),
    [
        ("6s", {"fate": "lost"}, None),
        ("8h", {"fate": "survive"}, "RemoteDisconnected"),
        ("8h", {"fate": "fin_delivered"}, "RemoteDisconnected"),
        ("8h", {}, "ConnectionResetError"),
        ("6s", {"fate": "blackhole"}, "TimeoutError"),
        (59, {"middlebox": "alb"}, None),
        (timedelta(seconds=30), {"middlebox": "idle=20,then=rst"}, "ConnectionResetError"),
        ("6s", {"fate": "blackhole", "to": "inventory.example.com:80"}, "TimeoutError"),
    ],
    ids=str,
)
def test_what_is_chosen_for_a_gap_is_met_in_it(frozen: Frostline, gap: Any, chosen: dict[str, Any], error_type: str | None) -> None:
    fn = frozen.function("template.yaml", "Orders")
    fn.invoke()
    assert fn.story.environments, "the environment is frozen by now"
    fn.idle(gap, **chosen)
    after = fn.invoke()
    accepted = {error_type, "ConnectionResetError"} if error_type == "RemoteDisconnected" else {error_type}
    assert after.error_type in accepted
    assert rules(fn) == ([] if error_type is None else ["black-hole" if error_type == "TimeoutError" else "stale-connection-reused"])


def test_what_is_chosen_is_met_in_one_gap_alone(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Healthy")
    fn.invoke()
    fn.idle("61s", fate="lost")
    fn.invoke()
    fn.idle("6s")
    fn.invoke()
    assert len(fn.connections) == 2


def test_a_peer_whose_limit_nobody_knows_is_taken_to_be_within_the_gap(session: Session, folder: Path) -> None:
    from frostline.testing.upstreams import LocalUpstream

    with (
        LocalUpstream("http1,idle=never") as server,
        Frostline(session=session, folders=(folder,), upstreams=[f"inventory.example.com:80=host:{server.port}"]) as frozen,
    ):
        fn = frozen.function("template.yaml", "Orders")
        assert fn.invoke().ok
        fn.idle("6s", fate="survive")
        assert fn.invoke().ok
        fn.idle("6s", fate="lost")
        assert fn.invoke().error_type == "ConnectionResetError"


def test_a_real_wait_is_one(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Orders")
    fn.invoke()
    began = time.monotonic()
    fn.idle("250ms", fate="blackhole", real=True)
    assert time.monotonic() - began >= 0.25
    assert fn.invoke().error_type == "TimeoutError"


def test_a_function_that_crashes_has_nothing_that_could_freeze(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Orders", timeout=3)
    for event, error_type in (({"exit": 3}, "Runtime.ExitError"), ({"sleep": 9}, "Sandbox.Timedout")):
        crashed = fn.invoke(event)
        assert (crashed.error_type, crashed.log) == (error_type, (f"event {event}",))
        began = time.monotonic()
        fn.idle("8h")
        assert time.monotonic() - began < 60, "nobody waits"
        assert fn.invoke().ok, "it begins anew"


def test_an_answer_that_is_an_apis_error_is_no_success(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Orders")
    answered = fn.invoke({"answer": {"statusCode": 502, "body": "no inventory"}})
    assert (answered.ok, answered.error, answered.error_type) == (False, "it answered statusCode 502: no inventory", None)
    assert fn.invoke({"answer": {"statusCode": 404}}).ok


def test_each_function_has_an_environment_of_its_own(frozen: Frostline) -> None:
    one, other = frozen.function("template.yaml", "Orders"), frozen.function("template.yaml", "Orders")
    assert one.name == other.name == "Orders", "as the function itself sees it"
    assert one.invoke().ok and other.invoke().ok
    (first,), (second,) = one.story.environments, other.story.environments
    assert first != second


def test_nothing_outside_of_the_lab_is_reached(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Orders", upstreams=[])
    assert not fn.invoke().ok
    assert [(one.host, one.port) for one in fn.story.refused] == [("inventory.example.com", 80)]


def test_processes_alone_are_frozen_when_that_is_enough(frozen: Frostline) -> None:
    fn = frozen.function("template.yaml", "Orders", level="processes", upstreams=[UPSTREAM])
    fn.invoke()
    with pytest.raises(FrostlineError, match='lost is nothing that a connection could meet at level="processes"'):
        fn.idle("8h", fate="lost")
    fn.idle("8h")
    assert fn.invoke().error_type in ("RemoteDisconnected", "ConnectionResetError")


def test_a_function_without_a_template(frozen: Frostline, tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text("import os\ndef handler(event, context): return [os.environ['NAME'], context.function_name]\n")
    fn = frozen.function(tmp_path / "greet.py", handler="greet.handler", env={"NAME": "Ada"}, timeout=2)
    assert fn.invoke().payload == ["Ada", "greet"]


def test_its_timeline_and_its_story_are_written(frozen: Frostline, tmp_path: Path) -> None:
    fn = frozen.function("template.yaml", "Orders")
    answered = fn.invoke()
    fn.write(tmp_path / "new" / "page.html", tmp_path / "story.jsonl")
    assert answered.request_id in (tmp_path / "new" / "page.html").read_text()
    with Story.open(tmp_path / "story.jsonl") as story:
        events = [json.dumps(type(line.event).__name__) for line in story if line.event is not None]
    assert '"InvocationArrived"' in events and '"ConnectionOpened"' in events


async def test_coroutines_have_the_same(session: Session, folder: Path, tmp_path: Path) -> None:
    async with AsyncFrostline(session=session, folders=(folder,), upstreams=[UPSTREAM]) as frozen:
        fn = await frozen.function("template.yaml", "Orders")
        await fn.invoke()
        await fn.idle("8h", fate="lost")
        assert (await fn.invoke()).error_type == "ConnectionResetError"
        assert [finding.rule for finding in await fn.findings()] == ["stale-connection-reused"]
        assert [one.name for one in await fn.connections()] == ["inventory.example.com:80"]
        assert len((await fn.story()).invocations) == 2
        await fn.write(tmp_path / "page.html")
        assert (tmp_path / "page.html").exists()
        with pytest.raises(FrostlineError, match="is not a fate"):
            await fn.idle("8h", fate="lots")  # type: ignore[arg-type]
