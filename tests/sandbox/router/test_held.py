"""What comes for a held connection, with both of its ends on this machine's loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from frostline.core.events import AnyNetworkEvent
from frostline.sandbox.router.held import Held
from frostline.sandbox.router.peers import PeerEvents
from frostline.sandbox.router.terms import End, Endpoint, PeerLimit
from frostline.sandbox.router.unread import Unread
from tests.sandbox.router.pairs import until
from tests.sandbox.router.test_relay import Ends, ends, write

__all__ = ["ends"]


class FakeServices:
    """A dialer's, for one connection that is there already."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.peers = PeerEvents()
        self.recording = False
        self.unread = Unread(self.now)

    def now(self) -> float:
        return 1.0

    def dial(self, address: str, destination: Endpoint) -> Coroutine[Any, Any, socket.socket]:
        raise NotImplementedError

    def peer_limit(self, destination: Endpoint) -> PeerLimit | None:
        return None

    def tell(self, event: AnyNetworkEvent) -> None:
        raise NotImplementedError


async def wrong(ends: Ends) -> list[dict[str, Any]]:
    """What the loop is told about exceptions in callbacks, from now on."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    return told


@pytest.mark.parametrize("freezes", [1, 2])
async def test_a_wake_up_for_bytes_that_were_read_already_leaves_nothing_behind(ends: Ends, freezes: int) -> None:
    """A freeze reads what has come so far, and the loop may have announced the same bytes before: then they are met, and nothing is there."""
    told = await wrong(ends)
    met: list[End] = []
    held = Held(FakeServices(), ends.relay, None, met.append)
    for _ in range(freezes):
        held.begin()
        held.cut()
        ends.relay.inward.readable()
        held.reset()
        ends.relay.inward.release()
        ends.relay.outward.release()
    held.begin()
    held.cut()
    await write(ends.outer, b"news")
    ends.outer.close()
    await until(lambda: bool(met))
    assert (told, met) == ([], [End("peer", "fin", 1.0)])


async def test_an_end_after_the_thaw_is_none_of_the_freezes(ends: Ends) -> None:
    met: list[End] = []
    held = Held(FakeServices(), ends.relay, None, met.append)
    held.begin()
    held.cut()
    ends.relay.inward.readable()
    held.reset()
    ends.outer.shutdown(socket.SHUT_WR)
    await asyncio.sleep(0.02)
    assert (held.end, met) == (None, [])
