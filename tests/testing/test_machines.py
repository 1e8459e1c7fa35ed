"""What a machine cannot do is said, and never claimed: on a fake sandbox that can be as poor as a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from frostline.control.plane import OpenSandbox
from frostline.core.events import EnvironmentWarped, ProcessClock
from frostline.sandbox.port import Level, SandboxError
from frostline.testing import AsyncFrostline, ClocksNotMoved, Frostline, FrostlineError, NotFrozen, NotInvoked
from frostline.testing.fake_environment import LEVEL
from frostline.testing.fake_runtime import Event, Process, runtime
from frostline.testing.fake_sandbox import FakeSandbox
from frostline.testing.session import Session
from frostline.trials.trial import Setting

FREEZES = msgspec.structs.replace(LEVEL, network_freezes=True)


class Stuck(FakeSandbox):
    """One process of its environments keeps its clocks."""

    def warp(self, environment: str, seconds: float) -> None:
        processes = (ProcessClock(pid=7, name="agent", moved=False, note="it is linked statically"),)
        self.report(EnvironmentWarped(environment, seconds=seconds, processes=processes))


class Machine:
    """Opens fake sandboxes."""

    def __init__(self, level: Level, kind: type[FakeSandbox], refused: str | None) -> None:
        self.level, self.kind, self.refused = level, kind, refused
        self.opened: list[FakeSandbox] = []
        self.busy = threading.Event()

    def __call__(self, setting: Setting, note: Callable[[str], None]) -> OpenSandbox:
        async def handle(process: Process, event: Event) -> bytes:
            if event.json() == "wait":
                self.busy.set()
                await asyncio.Event().wait()
            return event.payload

        async def open_it(report: Any, on_output: Any) -> FakeSandbox:
            if self.refused is not None:
                raise SandboxError(self.refused)
            sandbox = self.kind({"runtime": runtime(handle)}, level=self.level)
            self.opened.append(sandbox)
            return await sandbox.opened(report, on_output)

        return open_it


@contextmanager
def machine(level: Level = FREEZES, kind: type[FakeSandbox] = FakeSandbox, refused: str | None = None) -> Iterator[tuple[Session, Machine]]:
    made = Machine(level, kind, refused)
    session = Session(opener=made)
    try:
        yield session, made
    finally:
        session.close()
        assert not any(sandbox.is_open for sandbox in made.opened)


def test_clocks_that_do_not_move_are_an_error(folder: Path) -> None:
    with machine(kind=Stuck) as (session, _), Frostline(session=session, folders=(folder,)) as frozen:
        fn = frozen.function("template.yaml", "Orders")
        fn.invoke()
        with pytest.raises(
            ClocksNotMoved, match=r"clocks do not say 8h: agent: it is linked statically. Wait in earnest instead: .*real=True"
        ):
            fn.idle("8h")
        fn.idle("10ms", real=True)
        assert fn.invoke("again").payload == "again"


def test_a_machine_that_moves_no_clocks_says_so_before_anything_is_tried(folder: Path) -> None:
    level = msgspec.structs.replace(FREEZES, warps=False, notes=("It is old.", "clocks cannot be moved: there is no C compiler"))
    with machine(level) as (session, made), Frostline(session=session, folders=(folder,)) as frozen:
        fn = frozen.function("template.yaml", "Orders")
        fn.invoke()
        with pytest.raises(ClocksNotMoved, match=r"without waiting: clocks cannot be moved: there is no C compiler. Wait in earnest"):
            fn.idle("8h")
        assert made.opened[0].called("warp") == []


def test_a_network_that_does_not_freeze_fails_the_test_unless_processes_will_do(folder: Path) -> None:
    level = msgspec.structs.replace(LEVEL, network_freezes=False)
    with machine(level) as (session, _), Frostline(session=session, folders=(folder,)) as frozen:
        with pytest.raises(NotFrozen, match=r'cannot be had here: Nothing here is real. With level="processes"'):
            frozen.function("template.yaml", "Orders")
        assert frozen.function("template.yaml", "Orders", level="processes").invoke().ok


def test_a_sandbox_that_cannot_be_opened_says_why(folder: Path) -> None:
    with machine(refused="user namespaces are switched off") as (session, _), Frostline(session=session, folders=(folder,)) as frozen:
        with pytest.raises(NotFrozen, match=r'user namespaces are switched off. With level="processes"'):
            frozen.function("template.yaml", "Orders")
        with pytest.raises(NotFrozen, match=r"^user namespaces are switched off$"):
            frozen.function("template.yaml", "Orders", level="processes")


def test_labs_that_nobody_uses_are_few(folder: Path) -> None:
    with machine() as (session, made):
        for number in range(9):
            with Frostline(session=session, folders=(folder,)) as frozen:
                frozen.function("template.yaml", "Orders", upstreams=[f"api{number}.example.com=http1"]).invoke()
        assert sum(sandbox.is_open for sandbox in made.opened) <= 5
        with Frostline(session=session, folders=(folder,)) as frozen:
            frozen.function("template.yaml", "Orders", upstreams=["api8.example.com=http1"])
        assert len(made.opened) == 9, "the last one was still there"


def test_a_function_that_is_busy_at_its_end_is_waited_for_by_nobody(folder: Path) -> None:
    with machine() as (session, made):
        frozen = Frostline(session=session, folders=(folder,))
        fn = frozen.function("template.yaml", "Orders", timeout=900)

        def invoke() -> None:
            with suppress(NotInvoked):
                fn.invoke("wait")

        threading.Thread(target=invoke, daemon=True).start()
        assert made.busy.wait(10)
        frozen.close()
        with Frostline(session=session, folders=(folder,)) as another:
            assert another.function("template.yaml", "Orders").invoke().ok, "it has another environment, in another lab"


async def test_one_environment_serves_one_invocation_at_a_time(folder: Path) -> None:
    with machine() as (session, made):
        async with AsyncFrostline(session=session, folders=(folder,)) as frozen:
            fn = await frozen.function("template.yaml", "Orders")
            waiting = [asyncio.ensure_future(fn.invoke("wait")) for _ in range(2)]  # noqa: TID251 - the test's own
            assert await asyncio.to_thread(made.busy.wait, 10)
            with pytest.raises(NotInvoked, match=r"one invocation at a time"):
                await fn.invoke()
            for one in waiting:
                one.cancel()


def test_an_environment_that_cannot_be_started_is_not_the_functions_doing(folder: Path) -> None:
    with machine() as (session, made), Frostline(session=session, folders=(folder,)) as frozen:
        fn = frozen.function("template.yaml", "Orders")
        made.opened[0].fails["start"] = "there is no room"
        with pytest.raises(NotInvoked, match=r"Orders could not be invoked: .*there is no room"):
            fn.invoke()
        assert frozen.function("template.yaml", "Healthy").invoke().ok, "the next one is tried elsewhere"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path": "nowhere.yaml"}, "there is no nowhere.yaml in .*Name a template"),
        ({"name": "Order"}, "has no function 'Order'. It has Orders, Healthy"),
        ({"name": None}, "has several functions: Orders, Healthy. Say which"),
        ({"upstreams": ["api.example.com=http9"]}, "upstreams: 'http9' is not a protocol"),
        ({"upstreams": "api.example.com=http1"}, "is one upstream: give a list"),
        ({"level": "off"}, "level='off' is none. There are network and processes"),
        ({"env": {"X": "1"}}, "env=: the environment variable 'X' has a name that AWS refuses"),
        ({"path": "orders", "name": None, "handler": "app.handle.er.", "runtime": "python2.7"}, "python2.7"),
    ],
    ids=str,
)
def test_a_function_that_cannot_be_had_is_explained(folder: Path, given: dict[str, Any], said: str) -> None:
    with machine() as (session, made), Frostline(session=session, folders=(folder,)) as frozen:
        with pytest.raises(FrostlineError, match=said) as error:
            frozen.function(**{"path": "template.yaml", "name": "Orders", **given})
        assert "--" not in str(error.value), "options are the command line's"
        assert made.opened == []


def test_what_cannot_be_done_with_a_function_is_explained(folder: Path) -> None:
    with machine() as (session, _), Frostline(session=session, folders=(folder,)) as frozen:
        fn = frozen.function("template.yaml", "Orders")
        with pytest.raises(FrostlineError, match=r"Orders has no environment yet that could be idle: invoke it first"):
            fn.idle("8h")
        for event, said in (({1}, "Object of type set is not JSON"), (float("nan"), "Out of range float values are not JSON")):
            with pytest.raises(FrostlineError, match=f"the event is not JSON: {said}"):
                fn.invoke(event)
        fn.invoke()
        with pytest.raises(FrostlineError, match=r"has never connected to redis.local:6379, .* It has connected to nothing"):
            fn.idle("8h", fate="lost", to="redis.local:6379")


def test_functions_live_within_a_block(folder: Path) -> None:
    frozen = Frostline(folders=(folder,))
    with pytest.raises(FrostlineError, match=r"functions live within a `with` block"):
        frozen.function("template.yaml", "Orders")
    with machine() as (session, _):
        with Frostline(session=session, folders=(folder,)) as frozen:
            fn = frozen.function("template.yaml", "Orders")
        frozen.close()
        with pytest.raises(FrostlineError, match=r"functions live within"):
            frozen.function("template.yaml", "Orders")
        with pytest.raises(FrostlineError, match=r"Orders has ended"):
            fn.invoke()
    session.close()
    with pytest.raises(FrostlineError, match=r"Frostline is closed"):
        fn.invoke()
    with pytest.raises(FrostlineError, match=r"level='all' is none"):
        Frostline(level="all")  # type: ignore[arg-type]


def test_whoever_has_no_asyncio_is_told(folder: Path) -> None:
    with machine() as (session, _):
        frozen = AsyncFrostline(session=session, folders=(folder,))
        asking = frozen.function("template.yaml", "Orders")
        with pytest.raises(FrostlineError, match=r"AsyncFrostline needs asyncio"):
            asking.send(None)
        frozen.lives.close()
