"""Asking the peer: when, for how long, and what becomes of a question that is cancelled or not answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.runtime.peers import Hanging, Probe, frozen, never, still_open
from thawsafe._core.paths import SILENCE, SOON
from thawsafe._runtime.guard import Guard

pytestmark = pytest.mark.usefixtures("clocks")


def test_a_probe_is_made_after_a_freeze_only(guard: Guard, clocks: Clocks) -> None:
    mark_invocation()
    life, probe = guard.opened("a:1"), Probe(True)
    clocks.pass_(10.0)
    assert guard.usable(life, still_open, probe)
    assert probe.asked == []

    mark_invocation()
    assert guard.usable(life, still_open, probe)
    assert len(probe.asked) == 1


def test_who_asks_next_need_not_ask_again(guard: Guard, clocks: Clocks) -> None:
    life, probe = guard.opened("a:1"), Probe(True)
    clocks.pass_(10.0)

    assert guard.usable(life, still_open, probe)
    assert guard.usable(life, never, probe)
    assert len(probe.asked) == 1


@pytest.mark.parametrize("answer", [False, OSError("reset"), RuntimeError("whatever a client raises")], ids=str)
def test_a_probe_that_fails_is_a_no(guard: Guard, clocks: Clocks, answer: bool | Exception) -> None:
    life = guard.opened("a:1")
    clocks.pass_(10.0)

    assert not guard.usable(life, still_open, Probe(answer))


@pytest.mark.parametrize(
    ("took", "answered", "expected"),
    [
        (0.01, 0.002, 0.008),
        (0.01, 0.02, 0.035),
        (0.01, 2.0, SILENCE),
        (0.04, 2.0, 0.08),
        (9.0, 2.0, 0.25),
    ],
    ids=["near", "not_so_near", "it_works_long", "it_works_long_and_is_not_near", "as_long_as_the_configuration_says"],
)
def test_a_probe_gets_as_long_as_the_peer_is_wont_to_take(
    guard: Guard, clocks: Clocks, took: float, answered: float, expected: float
) -> None:
    life, probe = guard.opened("a:1", took), Probe(True)
    clocks.pass_(answered)
    guard.used(life)
    clocks.pass_(10.0)
    guard.usable(life, still_open, probe)

    assert probe.asked == [pytest.approx(expected, abs=0.001)]


def test_a_probe_of_a_connection_that_was_never_used_gets_as_long_as_silence_has_to_last(guard: Guard, clocks: Clocks) -> None:
    life, probe = guard.opened("a:1", 0.001), Probe(True)
    clocks.pass_(10.0)
    guard.usable(life, still_open, probe)

    assert probe.asked == [SILENCE]


def test_after_a_silence_no_connection_from_before_is_asked(guard: Guard, clocks: Clocks) -> None:
    """A black hole swallows all of them: one wait is enough."""
    lives = [guard.opened("a:1", 0.002) for _ in range(3)]
    clocks.pass_(10.0)
    later, elsewhere, probe = guard.opened("a:1", 0.002), guard.opened("b:1", 0.002), Probe(True)
    assert not guard.usable(lives[0], still_open, Probe(False))

    assert not any(guard.usable(life, still_open, probe) for life in lives[1:])
    assert guard.usable(later, never, probe), "just opened"
    clocks.pass_(2.0)
    mark_invocation()
    assert not guard.usable(later, still_open, probe), "it was opened before"
    assert guard.usable(elsewhere, still_open, probe), "another path"
    assert len(probe.asked) == 1


def test_a_short_silence_is_not_believed_before_a_long_one(guard: Guard, clocks: Clocks) -> None:
    """A peer may be slow once: then the next connection is asked as well, and has more time."""
    silent = Hanging(clocks)
    assert not guard.usable(frozen(guard, clocks), still_open, silent)
    assert not guard.usable(frozen(guard, clocks), still_open, silent)
    assert silent.asked == [pytest.approx(SOON, abs=0.001), SILENCE]
    assert not guard.usable(frozen(guard, clocks), still_open, silent), "too long idle for this path"
    assert len(silent.asked) == 2


def test_an_error_at_once_is_believed_however_short_the_wait_was(guard: Guard, clocks: Clocks) -> None:
    """A reset, say: somebody knows that there is no connection."""
    life = frozen(guard, clocks)
    assert not guard.usable(life, still_open, Probe(OSError("reset")))

    assert life.path.died == pytest.approx(10.0, abs=0.001)


def test_an_answer_ends_the_doubt(guard: Guard, clocks: Clocks) -> None:
    assert not guard.usable(frozen(guard, clocks), still_open, Hanging(clocks))
    probe = Probe(True)
    for _ in range(2):
        assert guard.usable(frozen(guard, clocks), still_open, probe)

    assert probe.asked == [SILENCE, pytest.approx(SOON, abs=0.001)]


def test_a_clock_that_was_restored_to_the_past_ends_no_asking_for_good(guard: Guard, clocks: Clocks) -> None:
    """The silence was heard on a clock that was further."""
    assert not guard.usable(frozen(guard, clocks), still_open, Hanging(clocks))
    clocks.monotonic = clocks.boottime = 5.0

    assert guard.usable(frozen(guard, clocks), still_open, Probe(True))


async def test_an_asynchronous_probe_that_never_returns_is_given_up(guard: Guard, clocks: Clocks) -> None:
    life, ended = guard.opened("a:1", 0.02, asyncio.get_running_loop()), False
    clocks.pass_(10.0)

    async def hang(_: float) -> bool:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True
        return True

    assert not await asyncio.wait_for(guard.usable_async(life, still_open, hang), 10.0)
    assert ended


async def test_an_answer_that_came_while_the_loop_stood_still_is_an_answer(guard: Guard, clocks: Clocks) -> None:
    """The time is over then, and the answer has not been read."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    life = guard.opened("a:1", 0.002, loop)
    clocks.pass_(10.0)

    async def ask(seconds: float) -> bool:
        def answer_and_stall() -> None:
            theirs.send(b"+")
            threading.Event().wait(seconds * 3)

        loop.call_soon(answer_and_stall)
        return await loop.sock_recv(ours, 1) == b"+"

    with ours, theirs:
        assert await guard.usable_async(life, still_open, ask)


async def test_a_cancelled_probe_is_cancelled(guard: Guard, clocks: Clocks) -> None:
    life = guard.opened("a:1", 0.25, asyncio.get_running_loop())
    clocks.pass_(10.0)
    began, ended = asyncio.Event(), False

    async def hang(_: float) -> bool:
        nonlocal ended
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended = True
        return True

    task = asyncio.ensure_future(guard.usable_async(life, still_open, hang))  # noqa: TID251 - a task of this test
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended, "before the connection is given back"


async def test_an_answer_that_tasks_of_the_clients_hand_on_is_one_too(guard: Guard, clocks: Clocks) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    life = guard.opened("a:1", 0.002, loop)
    clocks.pass_(10.0)

    async def ask(seconds: float) -> bool:
        def answer_and_stall() -> None:
            theirs.send(b"+")
            threading.Event().wait(seconds * 3)

        async def read(tasks: int) -> bytes:
            return await (loop.create_task(read(tasks - 1)) if tasks else loop.sock_recv(ours, 1))

        loop.call_soon(answer_and_stall)
        return await read(tasks=4) == b"+"

    with ours, theirs:
        assert await guard.usable_async(life, still_open, ask)


class Stubborn:
    """A question of a client's that is cancelled in vain, until it is `released`."""

    def __init__(self) -> None:
        self.began, self.released = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: float) -> bool:
        self.began.set()
        while not self.released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.released.wait()
        raise OSError("reset")


async def test_a_probe_that_cannot_be_cancelled_is_left_alone(guard: Guard, clocks: Clocks) -> None:
    with no_complaints():
        life, probe = guard.opened("a:1", 0.02, asyncio.get_running_loop()), Stubborn()
        clocks.pass_(10.0)

        assert not await asyncio.wait_for(guard.usable_async(life, still_open, probe), 10.0)
        probe.released.set()


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_a_request_that_is_cancelled_while_its_probe_goes_on_or_fails(guard: Guard, clocks: Clocks, cancellations: int) -> None:
    with no_complaints():
        life, probe = guard.opened("a:1", 0.25, asyncio.get_running_loop()), Stubborn()
        clocks.pass_(10.0)
        request = asyncio.get_running_loop().create_task(guard.usable_async(life, still_open, probe))
        await probe.began.wait()
        for _ in range(cancellations):
            request.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await request
        probe.released.set()


async def test_a_request_that_is_cancelled_when_its_probe_has_failed_already(guard: Guard, clocks: Clocks) -> None:
    with no_complaints():
        life, failed = guard.opened("a:1", 0.25, asyncio.get_running_loop()), asyncio.Event()
        clocks.pass_(10.0)

        async def fail(_: float) -> bool:
            failed.set()
            raise OSError("reset")

        request = asyncio.get_running_loop().create_task(guard.usable_async(life, still_open, fail))
        await failed.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request


@pytest.mark.parametrize("answer", [True, False, OSError("reset")], ids=str)
async def test_a_probe_may_be_an_eager_task(guard: Guard, clocks: Clocks, answer: bool | Exception) -> None:
    if sys.version_info < (3, 12):
        pytest.skip("Python before 3.12 has no eager tasks")
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    life, probe = guard.opened("a:1", 0.02, asyncio.get_running_loop()), Probe(answer)
    clocks.pass_(10.0)

    async def ask(seconds: float) -> bool:
        return probe(seconds)

    with no_complaints():
        assert await guard.usable_async(life, still_open, ask) is (answer is True)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_closed_while_a_probe_waits_is_left_in_peace(guard: Guard, clocks: Clocks) -> None:
    loop = asyncio.new_event_loop()
    told: list[str] = []
    loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    life = guard.opened("a:1", 0.25, loop)
    clocks.pass_(10.0)

    async def hang(_: float) -> bool:
        loop.call_soon(loop.stop)
        await asyncio.Event().wait()
        return True

    request = loop.create_task(guard.usable_async(life, still_open, hang), name="request")
    loop.run_forever()
    loop.close()
    del request
    gc.collect()

    assert set(told) <= {"Task was destroyed but it is pending!"}, "which asyncio says of every task of a loop that is closed too early"


@contextlib.contextmanager
def no_complaints() -> Iterator[None]:
    """Asyncio's loop has nothing to say of tasks that are destroyed, and of errors that nobody looked at."""
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    yield
    gc.collect()
    assert told == []
