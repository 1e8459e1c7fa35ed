"""One function's environments, and the invocations that wait for one. Answers questions; `fleet` decides and changes."""

from __future__ import annotations

from collections import deque

from .environment import Environment
from .function import Function
from .invocation import Invocation
from .states import State

_WARMTH = {State.IDLE: 0, State.FROZEN: 1, State.FREEZING: 2}


class Pool:
    """One function: its environments, and the invocations that wait for one."""

    __slots__ = ("environments", "function", "last_arrival", "queue", "spare_failed")

    def __init__(self, function: Function) -> None:
        self.function = function
        self.environments: dict[str, Environment] = {}
        self.queue: deque[Invocation] = deque()
        self.last_arrival = 0.0
        #: Preparing a spare failed for this revision: do not try for ever.
        self.spare_failed: str | None = None

    @property
    def unanswered(self) -> int:
        """Invocations accepted and not answered: what AWS counts as concurrent."""
        return len(self.queue) + sum(1 for e in self.environments.values() if e.invocation is not None and not e.invocation.answered)

    @property
    def spare(self) -> Environment | None:
        """The environment that is kept prepared for the next init, if there is one."""
        for environment in self.environments.values():
            if not environment.wanted and environment.retired is None and environment.state in (State.STARTING, State.PREPARED):
                return environment
        return None

    def best(self) -> Environment | None:
        """The environment that should serve the next invocation: warm before reset, idle before frozen, the one used last first."""
        best: Environment | None = None
        best_rank = (9, 0, 0.0)
        for environment in self.environments.values():
            if environment.available:
                rank = (0 if environment.initialized else 1, _WARMTH[environment.state], -environment.last_used)
                if best is None or rank < best_rank:
                    best, best_rank = environment, rank
        return best
