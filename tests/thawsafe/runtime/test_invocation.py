from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import threading
import time
from typing import Any

import pytest

from tests.thawsafe.freezing import Clocks
from thawsafe import ASGI, handler, invocation, time_left
from thawsafe._runtime.watch import WATCH

pytestmark = pytest.mark.usefixtures("clocks")


class Context:
    """Lambda's context object, as far as it matters."""

    aws_request_id = "request-1"

    def __init__(self, seconds: float = 3.0) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


def shortly_before(seconds: float) -> object:
    """Time that was left when the invocation began, and a little less by now; how little is the machine's business."""
    return pytest.approx(seconds - 0.2, abs=0.21) if seconds < 1 else pytest.approx(seconds - 2, abs=2.01)


def test_a_handler_keeps_its_name_and_answer() -> None:
    @handler
    def my_handler(event: str, context: Context) -> str:
        """Its words."""
        return event

    assert my_handler("event", Context()) == "event"
    assert my_handler.__name__ == "my_handler"
    assert my_handler.__doc__ == "Its words."


def test_each_invocation_is_one() -> None:
    seen: list[int] = []

    @handler
    @handler  # by a decorator and by the layer: still one invocation
    def count(event: object, context: object) -> None:
        seen.append(WATCH.era.invocation)

    count({}, Context())
    count({}, Context())

    assert seen == [1, 2]


def test_the_deadline_leaves_time_to_answer() -> None:
    @handler
    def left(event: object, context: Context) -> float | None:
        return time_left()

    assert left({}, Context(30.0)) == shortly_before(29.5), "half a second is kept"
    assert left({}, Context(1.0)) == shortly_before(0.9), "a tenth is kept"
    assert time_left() is None, "nothing is left of it"


def test_the_context_is_found_by_keyword_too() -> None:
    @handler
    def left(*, event: object, context: Context) -> float | None:
        return time_left()

    assert left(event={}, context=Context(30.0)) is not None


def test_without_a_context_there_is_no_deadline() -> None:
    @handler
    def left(event: object) -> float | None:
        return time_left()

    assert left({}) is None


def test_threads_of_the_handler_have_its_deadline() -> None:
    @handler
    def in_a_thread(event: object, context: Context) -> list[float | None]:
        found: list[float | None] = []
        thread = threading.Thread(target=lambda: found.append(time_left()))
        thread.start()
        thread.join()
        return found

    [left] = in_a_thread({}, Context(30.0))
    assert left == shortly_before(29.5)


def test_a_handler_that_fails_has_ended() -> None:
    @handler
    def fail(event: object, context: Context) -> None:
        raise KeyError("its own")

    for _ in range(2):
        with pytest.raises(KeyError, match="its own"):
            fail({}, Context())
    assert time_left() is None
    assert WATCH.era.invocation == 2


async def test_a_coroutine_function_stays_one() -> None:
    @handler
    async def left(event: object, context: Context) -> float | None:
        await asyncio.sleep(0)
        return time_left()

    assert await left({}, Context(30.0)) == shortly_before(29.5)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no asyncio.Runner")
def test_a_loop_that_outlives_an_invocation_has_the_deadline_of_the_next() -> None:
    """An `asyncio.Runner` keeps the context in which it ran first: that of an invocation which is over."""

    async def ask() -> float | None:
        return time_left()

    with asyncio.Runner() as runner:

        @handler
        def left(event: object, context: Context) -> float | None:
            return runner.run(ask())

        assert left({}, Context(30.0)) == shortly_before(29.5)
        assert left({}, Context(10.0)) == shortly_before(9.5)
        assert runner.run(ask()) is None


def test_a_task_that_outlives_an_invocation_has_no_deadline() -> None:
    copied: list[contextvars.Context] = []
    with invocation(3.0):
        copied.append(contextvars.copy_context())
        assert copied[0].run(time_left) == shortly_before(2.7)

    assert copied[0].run(time_left) is None


def test_a_time_that_is_over_is_still_a_time() -> None:
    """0 and negative numbers mean other things to clients."""
    with invocation(0.0):
        assert time_left() == 0.001


def test_overlapping_invocations_are_one() -> None:
    """With one under way, the environment was not frozen."""
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with invocation():
            inside.set()
            go_on.wait(5)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    with invocation():
        assert WATCH.era.invocation == 1
    go_on.set()
    thread.join()
    with invocation():
        assert WATCH.era.invocation == 2


async def call_asgi(scope: dict[str, Any]) -> list[float | None]:
    found: list[float | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(time_left())

    await ASGI(app)(scope, None, None)
    return found


async def test_asgi_by_mangum() -> None:
    [left] = await call_asgi({"type": "http", "aws.context": Context(30.0), "headers": []})

    assert left == shortly_before(29.5)


@pytest.mark.parametrize("field", ["deadline", "deadline_ms"])
async def test_asgi_by_the_web_adapter(field: str) -> None:
    context = json.dumps({"request_id": "r", field: int((time.time() + 30) * 1000)}).encode()
    [left] = await call_asgi({"type": "http", "headers": [(b"host", b"x"), (b"x-amzn-lambda-context", context)]})

    assert left == shortly_before(29.5)


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b'{"deadline": "soon"}', b"\xff"])
async def test_asgi_with_a_header_that_is_none(header: bytes) -> None:
    assert await call_asgi({"type": "http", "headers": [(b"x-amzn-lambda-context", header)]}) == [None]


async def test_asgi_leaves_the_lifespan_alone() -> None:
    await call_asgi({"type": "lifespan"})

    assert WATCH.era.invocation == 0


async def test_requests_of_a_server_have_their_own_deadlines() -> None:
    found: dict[float, float | None] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.01)
        found[scope["aws.context"].seconds] = time_left()

    server = ASGI(app)
    await asyncio.gather(*(server({"type": "http", "aws.context": Context(seconds)}, None, None) for seconds in (10.0, 20.0)))

    assert found[10.0] == shortly_before(9.5)
    assert found[20.0] == shortly_before(19.5)
    assert WATCH.era.invocation == 1


def test_clocks_are_not_asked_for_a_deadline(clocks: Clocks) -> None:
    """A deadline lies within one invocation, in which nothing leaps; it is on the monotonic clock itself."""
    with invocation(30.0):
        clocks.set_wall(3600.0)
        assert time_left() == shortly_before(29.5)
