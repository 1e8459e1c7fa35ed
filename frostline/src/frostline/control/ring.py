"""The one place where the core is asked and its effects are carried out.

`feed` takes an event, from whichever side, hands it to the fleet with the time, and carries the effects out in their order. Carrying out can
produce the next event at once (a sandbox that answers immediately); such an event waits until the effects before it are done. There is no await in here.
"""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ..core.effects import Effect
from ..core.events import Event, TimerFired
from ..core.fleet import Fleet
from ..core.states import InvalidTransition
from ..story.writer import StoryWriter
from .clock import Clock

Ladder = Mapping[type[Effect], Callable[[Any], None]]
"""How each effect is carried out. Complete: `Ring` refuses a ladder that lacks one."""


class Ring:
    """Feeds the core and carries out its effects."""

    def __init__(self, fleet: Fleet, clock: Clock, ladder: Ladder, story: StoryWriter | None = None) -> None:
        missing = sorted(kind.__name__ for kind in Effect.__subclasses__() if kind not in ladder)
        if missing:
            raise TypeError(f"no way to carry out {', '.join(missing)}")
        self.fleet = fleet
        self.clock = clock
        self.story = story
        self._ladder = ladder
        self._waiting: deque[Event] = deque()
        self._feeding = False

    def feed(self, event: Event) -> None:
        """Something happened."""
        self._waiting.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._waiting:
                self._step(self._waiting.popleft())
        finally:
            self._feeding = False

    def fire(self, timer: str) -> None:
        """A timer of the core is due."""
        self.feed(TimerFired(timer))

    def _step(self, event: Event) -> None:
        now = self.clock.now()
        try:
            effects = self.fleet.handle(event, now)
        except InvalidTransition as error:
            # The core's bug, not the function's: say it whole, and let the other environments go on.
            print(f"frostline: {error}", file=sys.stderr)  # noqa: T201 - there is nobody to hand it to
            return
        except Exception:  # noqa: BLE001 - likewise: whoever fed the event has other connections to serve
            print(f"frostline: {type(event).__name__} could not be handled. This is a bug in Frostline.", file=sys.stderr)  # noqa: T201
            traceback.print_exc()
            return
        if self.story is not None:
            self.story.record(event, effects, now)
        for effect in effects:
            try:
                self._ladder[type(effect)](effect)
            except Exception:  # noqa: BLE001 - one effect that cannot be carried out must not keep the others from theirs
                print(f"frostline: {type(effect).__name__} could not be carried out:", file=sys.stderr)  # noqa: T201
                traceback.print_exc()
