from __future__ import annotations

import asyncio
import os
import socket

import pytest

from tests.thawsafe.freezing import Clocks, mark_invocation
from tests.thawsafe.runtime.peers import Probe, frozen, never, still_open
from thawsafe import invocation, lambda_
from thawsafe._core.moments import elapsed
from thawsafe._runtime.guard import MOST_PATHS, Guard
from thawsafe._runtime.journal import JOURNAL, Journal
from thawsafe._runtime.watch import WATCH

pytestmark = pytest.mark.usefixtures("clocks")


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


def test_who_asks_next_need_not_look_again_either(guard: Guard, clocks: Clocks) -> None:
    mark_invocation()
    life = guard.opened("a:1")
    clocks.pass_(10.0)
    assert guard.usable(life, still_open)
    clocks.pass_(0.3)
    assert guard.usable(life, never)
    clocks.pass_(0.3)

    assert not guard.usable(life, lambda: True)


def test_an_end_that_can_be_seen_teaches_the_path(guard: Guard, clocks: Clocks) -> None:
    life = frozen(guard, clocks)
    assert not guard.usable(life, lambda: True)

    assert life.path.died == pytest.approx(10.0, abs=0.001)


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
