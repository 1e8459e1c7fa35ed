"""The first thing that an environment sends after a thaw on a connection that is older, and what it got for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Literal

from ...core.events import FirstWriteAnswered
from . import tcp
from .relay import How, Relay
from .resets import Sent

ANSWER_LIMIT_S = 1.0
"""How long the answer is waited for before the recording says that nothing came."""

Answered = Literal["data", "fin", "rst", "nothing"]


class FirstWrite:
    """One connection's. `tell` takes the event; `now` is the story's clock."""

    def __init__(self, environment: str, connection: int, now: Callable[[], float], tell: Callable[[FirstWriteAnswered], None]) -> None:
        self._environment, self._connection = environment, connection
        self._now, self._tell = now, tell
        self._relay: Relay | None = None
        self._idle_since: Callable[[], float] = now
        self._wrote_at: float | None = None
        self._told = False
        self._limit: asyncio.TimerHandle | None = None

    def expect(self, relay: Relay | None, idle_since: Callable[[], float]) -> None:
        """It comes next; `idle_since` is asked when it does."""
        self._told = False
        self._relay, self._idle_since = relay, idle_since
        if relay is not None:
            relay.outward.first = self._wrote

    def lose(self, idle_since: float) -> None:
        """It comes next, and nobody will pass it on: `answered_unseen` says what became of it."""
        self.stop()
        self.expect(None, lambda: idle_since)

    def answered(self, answer: Answered) -> None:
        """The environment got this; nothing to tell about unless it wrote, and the relay saw it."""
        if self._wrote_at is not None:
            wrote_at = self._wrote_at
            self.stop()
            self._say(answer, self._now(), wrote_at, self._now() - wrote_at)

    def answered_by_end(self, how: How) -> None:
        """The peer ended the connection. What the environment closed when it found an earlier end there, it does not hear reset."""
        over = self._relay is not None and self._relay.inward.ended and tcp.info(self._relay.inner).over
        self.answered("fin" if over else how)

    def answered_unseen(self, answer: Answered, at: float, sent: Sent | None = None) -> None:
        """The kernel answered it, or dropped it; told once."""
        if not self._told:
            self._told = True
            self._say(answer, at, at, None, sent)

    def stop(self) -> None:
        """Do not wait any more."""
        self._wrote_at = None
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if self._relay is not None:
            self._relay.inward.first = self._relay.outward.first = None
            self._relay = None

    def _wrote(self) -> None:
        if self._relay is not None:
            self._wrote_at, idle_since = self._now(), self._idle_since()
            self._idle_since = lambda: idle_since
            self._relay.inward.first = partial(self.answered, "data")
            self._limit = asyncio.get_running_loop().call_later(ANSWER_LIMIT_S, self.answered, "nothing")

    def _say(self, answer: Answered, at: float, wrote_at: float, after_s: float | None, sent: Sent | None = None) -> None:
        self._tell(
            FirstWriteAnswered(
                self._environment,
                connection=self._connection,
                at=at,
                answer=answer,
                after_s=after_s,
                idle_s=wrote_at - self._idle_since(),
                sent=None if sent is None else sent.size,
                farewell=sent is not None and sent.farewell,
            )
        )
