"""For tests: functions that freeze, fakes and builders, and servers on the loopback.

frozen, frozen_async   a function in a freezing environment, for tests and scripts: `Frostline`, and its counterpart for coroutines
plugin, told           the same as pytest fixtures, and what a failing test has to say
upstreams              servers with an idle timeout, without a lab
builders, dialogue, fake_*, http_client, laws   for tests of Frostline itself, and of what is built upon it

How the first two are made: `lives` are the functions of one test, each a `life` on a control plane that later tests use again (`planes`), in the event loop of
another thread (`portal`); one `session` holds all of that. `asked` and `gap` read what a test asks for, and `invocation` is what it gets.

What is named here is the public interface of the first two. It is imported when it is asked for: every pytest run on a machine with Frostline imports
this package, because of the plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.fates import Fate
    from ..diagnose.finding import Cure, Finding, Proof
    from ..story.timeline import Connection, Timeline
    from .errors import ClocksNotMoved, FrostlineError, NotFrozen, NotInvoked
    from .frozen import Frostline, Function
    from .frozen_async import AsyncFrostline, AsyncFunction
    from .gap import Gap
    from .invocation import Invocation

__all__ = [
    "AsyncFrostline",
    "AsyncFunction",
    "ClocksNotMoved",
    "Connection",
    "Cure",
    "Fate",
    "Finding",
    "Frostline",
    "FrostlineError",
    "Function",
    "Gap",
    "Invocation",
    "NotFrozen",
    "NotInvoked",
    "Proof",
    "Timeline",
]

_PLACES = {
    "AsyncFrostline": ".frozen_async",
    "AsyncFunction": ".frozen_async",
    "ClocksNotMoved": ".errors",
    "Connection": "..story.timeline",
    "Cure": "..diagnose.finding",
    "Fate": "..core.fates",
    "Finding": "..diagnose.finding",
    "Frostline": ".frozen",
    "FrostlineError": ".errors",
    "Function": ".frozen",
    "Gap": ".gap",
    "Invocation": ".invocation",
    "NotFrozen": ".errors",
    "NotInvoked": ".errors",
    "Proof": "..diagnose.finding",
    "Timeline": "..story.timeline",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name], __name__), name)
