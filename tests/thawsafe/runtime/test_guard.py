from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from tests.thawsafe.freezing import Clocks, mark_invocation
from thawsafe import invocation, lambda_
from thawsafe._core.lives import Life
from thawsafe._core.moments import elapsed
from thawsafe._core.paths import SILENCE, SOON
from thawsafe._runtime.guard import MOST_PATHS, Guard
from thawsafe._runtime.journal import Journal
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


def test_an_answer_ends_the_doubt(guard: Guard, clocks: Clocks) -> None:
    assert not guard.usable(frozen(guard, clocks), still_open, Hanging(clocks))
    probe = Probe(True)
    for _ in range(2):
        assert guard.usable(frozen(guard, clocks), still_open, probe)

    assert probe.asked == [SILENCE, pytest.approx(SOON, abs=0.001)]


async def test_an_asynchronous_probe_that_never_returns_is_given_up(guard: Guard, clocks: Clocks) -> None:
    life = guard.opened("a:1", 0.02, asyncio.get_running_loop())
    clocks.pass_(10.0)

    async def hang(_: float) -> bool:
        await asyncio.Event().wait()
        return True

    assert not await asyncio.wait_for(guard.usable_async(life, still_open, hang), 10.0)


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
    began = asyncio.Event()

    async def hang(_: float) -> bool:
        began.set()
        await asyncio.Event().wait()
        return True

    task = asyncio.ensure_future(guard.usable_async(life, still_open, hang))  # noqa: TID251 - a task of this test
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_loop_turns_before_a_connection_is_looked_at(guard: Guard, clocks: Clocks) -> None:
    """The loop was frozen too: what came for the connection meanwhile has not been read."""
    ours, theirs = await pipe()
    life = guard.opened("a:1", loop=asyncio.get_running_loop())
    clocks.pass_(0.7)
    theirs.close()
    await theirs.wait_closed()

    assert not await guard.usable_async(life, ours.is_closing)


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
    import os

    life = guard.opened("a:1")
    child = os.fork()
    if child == 0:
        os._exit(0 if not guard.usable(life, still_open) else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert guard.usable(life, never), "the parent's is still the parent's"
    assert WATCH.era.forks == 0


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
