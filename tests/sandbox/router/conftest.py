"""Routers in the kernel: one that is shared by the tests of traffic, and fresh ones for the tests of birth and death."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
import pytest_asyncio

from frostline.sandbox.router.client import Router
from tests.sandbox.router.machine import Machine, Namespace, User

USERS: list[User] = ["root", "user"] if os.geteuid() == 0 else ["user"]


class Lab:
    """An open router and what it told."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.lost: list[str] = []
        self.denied: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
        self.lost_event = asyncio.Event()
        self.router = Router(self._on_lost, lambda *what: self.denied.put_nowait(what), allow={65_001})
        self.environments: list[Namespace] = []

    def _on_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.lost_event.set()

    async def attach(self, name: str, namespace: Namespace) -> Exception | None:
        """Attach and wait for the answer."""
        answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.router.attach(name, namespace.netns, answer.set_result)
        return await asyncio.wait_for(answer, 10)

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
    lab = Lab(machine)
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
