"""What an environment gets for what it writes on a connection that its peer has ended, with both ends on this machine's loopback."""

from __future__ import annotations

import socket

import pytest

from frostline.core.events import FirstWriteAnswered
from frostline.sandbox.router.first_write import FirstWrite
from tests.sandbox.router.test_relay import Ends, ends, read, write

__all__ = ["ends"]


@pytest.mark.parametrize(("closes", "answer"), [(False, "rst"), (True, "fin")])
async def test_whoever_closed_the_connection_for_its_end_does_not_hear_it_reset(ends: Ends, closes: bool, answer: str) -> None:
    """Clients that find the end there say EOF, and not that they were reset."""
    told: list[FirstWriteAnswered] = []
    first = FirstWrite("environment", 1, lambda: 1.0, told.append)
    first.expect(ends.relay, lambda: 0.0)
    ends.outer.shutdown(socket.SHUT_WR)
    assert await read(ends.inner) == b""
    await write(ends.inner, b"question")
    assert await read(ends.outer) == b"question"
    if closes:
        ends.inner.shutdown(socket.SHUT_WR)
    first.answered_by_end("rst")
    assert [event.answer for event in told] == [answer]
