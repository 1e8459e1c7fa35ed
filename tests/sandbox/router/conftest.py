"""Routers in the kernel: one that is shared by the tests of traffic, and fresh ones for the tests of birth and death."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Set
from typing import TypeVar, cast

import pytest
import pytest_asyncio

from frostline.core.events import AnyNetworkEvent, ConnectionOpened, NetworkEvent
from frostline.sandbox.router.client import Router
from tests.sandbox.router.machine import Machine, Namespace, User

USERS: list[User] = ["root", "user"] if os.geteuid() == 0 else ["user"]

LIMIT_S = 20
"""Far more than anything takes that comes at all; only what never comes lasts so long."""

E = TypeVar("E", bound=NetworkEvent)


class Lab:
    """An open router and what it told."""

    def __init__(self, machine: Machine, *, outside: bool = True, allow: Set[int] = frozenset()) -> None:
        self.machine = machine
        self.lost: list[str] = []
        self.denied: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        self.lost_event = asyncio.Event()
        self.known = 0
        self.seen: list[AnyNetworkEvent] = []
        self._news = asyncio.Event()
        self.router = Router(self._on_lost, lambda *what: self.denied.put_nowait(what), self._on_seen, allow=allow, outside=outside)
        self.environments: list[Namespace] = []
        self.allowed: socket.socket
        """Listens at a port that may be reached although it is Frostline's own."""

    def _on_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.lost_event.set()

    def _on_seen(self, event: AnyNetworkEvent) -> None:
        self.seen.append(event)
        self._news.set()

    def forget(self) -> None:
        """Do not tell about connections that there have been so far."""
        self.known = max([self.known, *(event.connection for event in self.seen if isinstance(event, ConnectionOpened))])
        self.seen.clear()

    async def saw(self, kind: type[E], count: int = 1, environment: str | None = None) -> list[E]:
        """Wait until the router has told so many events of a kind; all of them."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                self._news.clear()
                found = [event for event in self.seen if isinstance(event, kind) and environment in (None, event.environment)]
                found = [event for event in found if getattr(event, "connection", self.known + 1) > self.known]
                if len(found) >= count:
                    return found
                await self._news.wait()

    async def hold(self, name: str) -> None:
        """Freeze a network."""
        done = asyncio.Event()
        self.router.hold(name, done.set)
        await asyncio.wait_for(done.wait(), LIMIT_S)

    async def release(self, name: str) -> None:
        """Let it go on."""
        done = asyncio.Event()
        self.router.release(name, done.set)
        await asyncio.wait_for(done.wait(), LIMIT_S)

    async def turn(self) -> None:
        """Wait until the router has heard what it can hear by now: it answers something else, twice, as one turn of its loop has no order."""
        for _ in range(2):
            await self.hold("environment-1")
            await self.release("environment-1")

    async def attach(self, name: str, namespace: Namespace) -> Exception | None:
        """Attach and wait for the answer."""
        answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.router.attach(name, namespace.netns, answer.set_result)
        return await asyncio.wait_for(answer, LIMIT_S)

    async def environment(self, name: str) -> Namespace:
        """A new environment with a way out."""
        namespace = self.machine.namespace()
        assert await self.attach(name, namespace) is None
        return namespace


@pytest.fixture(scope="module", params=USERS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    made = Machine(cast("User", request.param))
    yield made
    made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_lab(machine: Machine) -> AsyncIterator[Lab]:
    """One router with three environments, for a whole module."""
    with socket.create_server(("127.0.0.1", 0)) as allowed:
        lab = Lab(machine, allow={allowed.getsockname()[1]})
        lab.allowed = allowed
        await lab.router.open(machine.spawn)
        lab.environments = [await lab.environment(f"environment-{number}") for number in range(3)]
        yield lab
        await lab.router.close()
    assert lab.lost == []


@pytest_asyncio.fixture
async def lab(machine: Machine) -> AsyncIterator[Lab]:
    """A router that is not open yet, closed at the end whatever happened to it."""
    fresh = Lab(machine)
    yield fresh
    await fresh.router.close()
