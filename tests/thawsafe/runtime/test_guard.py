from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.thawsafe.freezing import Clocks, mark_invocation
from thawsafe import invocation, lambda_
from thawsafe._core.lives import Life
from thawsafe._core.moments import elapsed
from thawsafe._core.paths import SILENCE, SOON
from thawsafe._runtime.guard import MOST_PATHS, Guard
from thawsafe._runtime.journal import JOURNAL, Journal
from thawsafe._runtime.watch import WATCH

pytestmark = pytest.mark.usefixtures("clocks")


@pytest.fixture
def guard() -> Guard:
    return Guard("test", lambda_(), journal=Journal())


class Probe:
    """A peer's answer to a probe."""

    def __init__(self, answer: bool | Exception) -> None:
        self.answer = answer
        self.asked: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.asked.append(seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Hanging:
    """A peer that never answers."""

    def __init__(self, clocks: Clocks) -> None:
        self.asked: list[float] = []
        self._clocks = clocks

    def __call__(self, seconds: float) -> bool:
        self.asked.append(seconds)
        threading.Event().wait(seconds)
        self._clocks.pass_(seconds)
        return False


def frozen(guard: Guard, clocks: Clocks) -> Life:
    """A connection to a peer that answers at once, after a freeze."""
    life = guard.opened("a:1", 0.002)
    guard.used(life)
    clocks.pass_(10.0)
    return life


def never() -> bool:
    raise AssertionError("the free check was made")


def still_open() -> bool:
    return False


def test_what_was_used_just_now_is_not_even_looked_at(guard: Guard) -> None:
    assert guard.usable(guard.opened("a:1"), never)


def test_every_use_speaks_for_a_connection_anew(guard: Guard, clocks: Clocks) -> None:
    life = guard.opened("a:1")
    for _ in range(5):
        clocks.pass_(0.3)
        assert guard.usable(life, never)
        guard.used(life)


def test_what_was_not_is_looked_at_first(guard: Guard, clocks: Clocks) -> None:
    life = guard.opened("a:1")
    clocks.pass_(0.6)

    assert not guard.usable(life, lambda: True, Probe(True))


def test_between_two_invocations_a_thread_trusts_no_connection_from_before(guard: Guard, clocks: Clocks) -> None:
    """A driver's monitor runs at the thaw, and often before the handler."""
    with invocation():
        life = guard.opened("a:1")
        clocks.pass_(10.0)
        assert guard.usable(life, still_open), "in one invocation nothing freezes"
        guard.used(life)
    clocks.pass_(10.0)

    assert not guard.usable(life, still_open)


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


def test_who_asks_next_need_not_look_again_either(guard: Guard, clocks: Clocks) -> None:
    mark_invocation()
    life = guard.opened("a:1")
    clocks.pass_(10.0)
    assert guard.usable(life, still_open)
    clocks.pass_(0.3)
    assert guard.usable(life, never)
    clocks.pass_(0.3)

    assert not guard.usable(life, lambda: True)


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


def test_an_end_that_can_be_seen_teaches_the_path(guard: Guard, clocks: Clocks) -> None:
    life = frozen(guard, clocks)
    assert not guard.usable(life, lambda: True)

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


async def test_the_loop_turns_before_a_connection_is_looked_at(guard: Guard, clocks: Clocks) -> None:
    """The loop was frozen too: what came for the connection meanwhile has not been read."""
    ours, theirs = await pipe()
    life = guard.opened("a:1", loop=asyncio.get_running_loop())
    clocks.pass_(0.7)
    theirs.get_extra_info("socket").shutdown(socket.SHUT_WR)  # without a turn of the loop, as in a freeze

    assert not await guard.usable_async(life, ours.is_closing)
    theirs.close()
    await theirs.wait_closed()


async def pipe() -> tuple[asyncio.StreamWriter, asyncio.StreamWriter]:
    """Both ends of a connection."""
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    class Ours(asyncio.Protocol):
        """Closes when the peer has, as clients' protocols do."""

    server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_connection(Ours, "127.0.0.1", port)
    theirs = await accepted
    server.close()
    return asyncio.StreamWriter(transport, asyncio.StreamReaderProtocol(asyncio.StreamReader()), None, asyncio.get_running_loop()), theirs


def test_a_connection_of_another_loop_is_not_used(guard: Guard) -> None:
    async def open_one() -> object:
        return guard.opened("a:1", loop=asyncio.get_running_loop())

    life = asyncio.run(open_one())
    assert not asyncio.run(guard.usable_async(life, still_open))  # type: ignore[arg-type]


def test_a_death_on_the_way_teaches_the_path(guard: Guard, clocks: Clocks) -> None:
    mark_invocation()
    life = guard.opened("a:1")
    clocks.pass_(30.0)
    assert guard.usable(life, still_open)
    guard.failed(life)

    other = guard.opened("a:1")
    clocks.pass_(29.0)
    assert not guard.usable(other, still_open)
    clocks.pass_(0.0)
    elsewhere = guard.opened("b:1")
    clocks.pass_(29.0)
    assert guard.usable(elsewhere, still_open), "another path"


def test_an_answer_to_a_question_is_a_use(guard: Guard, clocks: Clocks) -> None:
    life = guard.opened("a:1", 0.002)
    for _ in range(3):
        clocks.pass_(30.0)
        assert guard.usable(life, still_open, Probe(True)), "idle for 30 s, not for more"


def test_a_death_after_an_answer_teaches_nothing_about_idleness(guard: Guard, clocks: Clocks) -> None:
    life = guard.opened("a:1", 0.002)
    clocks.pass_(30.0)
    assert guard.usable(life, still_open, Probe(True))
    guard.failed(life)
    assert guard._journal.counters()["died"] == 1
    assert life.path.lived == pytest.approx(30.0, abs=0.001)

    other = guard.opened("a:1", 0.002)
    clocks.pass_(30.0)
    assert guard.usable(other, still_open, Probe(True))


@pytest.mark.parametrize("limit", ["idle_age", "trusted_idle"])
def test_a_limit_may_be_shorter_than_the_time_in_which_nothing_is_asked(clocks: Clocks, limit: str) -> None:
    guard = Guard("test", lambda_().replace(**{limit: 0.2}), journal=Journal())
    life = guard.opened("a:1")
    clocks.pass_(0.1)
    assert guard.usable(life, never)
    clocks.pass_(0.2)

    assert not guard.usable(life, still_open)


def test_a_connection_grows_old_while_the_machine_is_suspended_too(clocks: Clocks) -> None:
    guard = Guard("test", lambda_().replace(connection_age=60.0), journal=Journal())
    life = guard.opened("a:1")
    for _ in range(2):
        clocks.suspend(29.0)
        assert guard.usable(life, still_open, Probe(True))
    for _ in range(8):
        clocks.pass_(0.3)
        guard.used(life)
    clocks.pass_(0.3)

    assert not guard.usable(life, still_open), "used just now, and 60 s old by the wall clock"


def test_a_hint_is_heeded(guard: Guard, clocks: Clocks) -> None:
    mark_invocation()
    life = guard.opened("a:1")
    guard.hinted(life, "timeout=5")
    clocks.pass_(4.5)

    assert not guard.usable(life, still_open)


def test_only_so_many_paths_are_remembered(guard: Guard) -> None:
    for number in range(2 * MOST_PATHS):
        guard.opened(f"host-{number}:443")

    assert len(guard._paths) == MOST_PATHS


def test_a_fork_is_noticed_by_itself(guard: Guard) -> None:
    life = guard.opened("a:1")
    child = os.fork()
    if child == 0:
        os._exit(0 if not guard.usable(life, still_open) else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert guard.usable(life, never), "the parent's is still the parent's"
    assert WATCH.era.forks == 0


def test_a_fork_while_another_thread_counts_leaves_the_child_able_to(guard: Guard) -> None:
    with JOURNAL._lock, WATCH._lock:
        child = os.fork()
        if child == 0:
            free = JOURNAL._lock.acquire(blocking=False) and WATCH._lock.acquire(blocking=False)
            os._exit(0 if free else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_a_verdict_is_no_use(guard: Guard, clocks: Clocks) -> None:
    """A connection that was judged and then not used has been idle all the time."""
    mark_invocation()
    life = guard.opened("a:1")
    clocks.pass_(30.0)
    assert guard.usable(life, still_open)
    clocks.pass_(30.0)

    assert not guard.usable(life, still_open), "50 s are over"


def test_a_use_that_ends_meanwhile_speaks_for_the_connection(guard: Guard, clocks: Clocks) -> None:
    """Where requests share a connection: what can be read then is an answer, and who closed it would lose that."""
    life = guard.opened("a:1")
    clocks.pass_(0.7)

    def readable_after_use() -> bool:
        guard.used(life)
        return True

    assert guard.usable(life, readable_after_use)


async def test_a_use_that_ends_while_the_loop_turns_speaks_for_the_connection(guard: Guard, clocks: Clocks) -> None:
    loop = asyncio.get_running_loop()
    life = guard.opened("a:1", loop=loop)
    clocks.pass_(10.0)
    loop.call_soon(guard.used, life)

    assert await guard.usable_async(life, lambda: True)


def test_a_suspension_that_nobody_saw_makes_idleness_longer_not_shorter(guard: Guard, clocks: Clocks) -> None:
    """Hot requests do not read the boot clock."""
    life = guard.opened("a:1")
    guard.used(life)
    clocks.boottime += 30.0

    assert elapsed(life.last, WATCH.now()) == pytest.approx(30.0, abs=0.001)
    guard.used(life)
    assert elapsed(life.last, WATCH.now()) == pytest.approx(30.0, abs=0.001), "until it is judged"
    clocks.pass_(0.6)
    assert not guard.usable(life, still_open), "the machine was suspended"
