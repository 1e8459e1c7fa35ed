"""The clock, the log store, tasks, and who waits for answers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from frostline.control import clock as clock_module
from frostline.control.clock import Clock
from frostline.control.invokers import FutureInvoker, Invokers
from frostline.control.logs import MAX_CHARACTERS, MAX_LINES, LogLine, LogStore
from frostline.control.tasks import spawn
from frostline.core.effects import StreamChunk, StreamEnd, StreamStart, Succeeded, Unavailable
from frostline.core.payload import Payload
from tests.control.rig import eventually

# The clock -------------------------------------------------------------------------------------------------------------------------------


def test_the_clock_tells_epoch_seconds() -> None:
    assert Clock().now() == pytest.approx(time.time(), abs=1)


def test_a_step_of_the_wall_clock_is_not_felt(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.now()
    monkeypatch.setattr(clock_module.time, "time", lambda: 0.0)
    assert clock.now() >= before


# Logs ------------------------------------------------------------------------------------------------------------------------------------


def line(text: str, function: str = "f", at: float = 0.0) -> LogLine:
    return LogLine(time=at, function=function, log_stream="s", environment="e", request_id=None, type="function", text=text)


def test_logs_are_kept_by_function_and_all_of_them_in_the_order_of_time() -> None:
    store = LogStore()
    for at, function in ((1.0, "a"), (2.0, "b"), (3.0, "a")):
        store.add(line(f"{at:g}", function, at))
    assert [each.text for each in store.lines("a")] == ["1", "3"]
    assert [each.text for each in store.lines()] == ["1", "2", "3"]
    assert store.lines("nobody") == []


def test_a_full_log_group_forgets_its_oldest_lines_and_no_other_group_s() -> None:
    store = LogStore()
    store.add(line("quiet", "quiet"))
    for number in range(MAX_LINES + 5):
        store.add(line(str(number)))
    kept = store.lines("f")
    assert (len(kept), kept[0].text, kept[-1].text) == (MAX_LINES, "5", str(MAX_LINES + 4))
    assert len(store.lines("quiet")) == 1


def test_a_log_group_is_bounded_by_what_is_in_its_lines_too() -> None:
    store = LogStore()
    for number in range(300):
        store.add(line(str(number) + "x" * 200_000))
    kept = store.lines("f")
    assert kept[-1].text.startswith("299x")
    assert MAX_CHARACTERS - 400_000 < sum(len(each.text) for each in kept) <= MAX_CHARACTERS


def test_followers_hear_new_lines_until_they_stop() -> None:
    store = LogStore()
    heard: list[str] = []
    also: list[str] = []
    stop = store.follow(lambda each: heard.append(each.text))
    store.follow(lambda each: also.append(each.text))
    store.add(line("1"))
    stop()
    stop()
    store.add(line("2"))
    assert (heard, also) == (["1"], ["1", "2"])


def test_a_follower_may_stop_while_it_is_told() -> None:
    store = LogStore()
    heard: list[str] = []

    def once(each: LogLine) -> None:
        heard.append(each.text)
        stop()

    stop = store.follow(once)
    store.follow(lambda each: heard.append(f"also {each.text}"))
    store.add(line("1"))
    store.add(line("2"))
    assert heard == ["1", "also 1", "also 2"]


# Tasks -----------------------------------------------------------------------------------------------------------------------------------


async def test_a_task_has_its_name_and_is_held_until_it_is_done() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await done.wait()

    task = spawn(work(), "some work")
    assert task.get_name() == "some work"
    done.set()
    await task


async def test_a_task_s_failure_is_said_by_the_loop() -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))

    async def work() -> None:
        raise ValueError("no")

    spawn(work(), "some work")
    await eventually(lambda: bool(said))
    assert said[0]["message"] == "the task 'some work' failed"
    assert isinstance(said[0]["exception"], ValueError)


async def test_a_task_s_failure_goes_to_who_asked_for_it() -> None:
    failures: list[BaseException] = []

    async def work() -> None:
        raise ValueError("no")

    spawn(work(), "some work", failures.append)
    await eventually(lambda: bool(failures))
    assert [str(failure) for failure in failures] == ["no"]


async def test_a_task_that_is_cancelled_has_not_failed() -> None:
    failures: list[BaseException] = []

    async def work() -> None:
        await asyncio.sleep(60)

    task = spawn(work(), "some work", failures.append)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert task.cancelled()
    assert failures == []


# Invokers --------------------------------------------------------------------------------------------------------------------------------


class Caller:
    """An invoker that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def resolve(self, outcome: object) -> None:
        self.told.append(outcome)

    stream_start = stream_chunk = stream_end = resolve


def test_an_answer_reaches_its_invoker_once() -> None:
    invokers, caller = Invokers(), Caller()
    invokers.add("a", caller)
    answer = Succeeded(payload=Payload(b"1"))
    invokers.resolve("a", answer)
    invokers.resolve("a", answer)
    assert caller.told == [answer]
    assert len(invokers) == 0


def test_a_stream_reaches_its_invoker_up_to_its_end() -> None:
    invokers, caller = Invokers(), Caller()
    invokers.add("a", caller)
    stream = [
        StreamStart(request_id="a", content_type="text/plain"),
        StreamChunk(request_id="a", payload=Payload(b"1")),
        StreamEnd(request_id="a"),
    ]
    invokers.stream_start(stream[0])
    invokers.stream_chunk(stream[1])
    invokers.stream_end(stream[2])
    invokers.stream_chunk(stream[1])
    assert caller.told == stream


def test_who_hung_up_is_told_nothing() -> None:
    invokers, caller = Invokers(), Caller()
    invokers.add("a", caller)
    invokers.drop("a")
    invokers.drop("a")
    invokers.resolve("a", Unavailable(message="x"))
    assert caller.told == []


def test_at_the_end_whoever_waits_is_answered_in_the_form_that_they_expect() -> None:
    """A stream that has begun is ended; who has heard nothing yet gets an error, whatever they asked for."""
    invokers, waiting, streaming = Invokers(), Caller(), Caller()
    invokers.add("a", waiting)
    invokers.add("b", streaming)
    invokers.stream_start(StreamStart(request_id="b", content_type="text/plain"))
    invokers.abandon_all("Frostline is shutting down.")
    assert waiting.told == [Unavailable(message="Frostline is shutting down.")]
    assert streaming.told[1:] == [
        StreamEnd(request_id="b", error_type="ServiceException", error_payload=Payload(b"Frostline is shutting down."))
    ]
    assert len(invokers) == 0


async def test_a_program_s_invoker_survives_a_program_that_does_not_wait_any_more() -> None:
    invoker = FutureInvoker()
    invoker.outcome.cancel()
    invoker.resolve(Unavailable(message="x"))
