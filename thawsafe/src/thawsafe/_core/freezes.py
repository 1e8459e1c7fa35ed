"""Was there a freeze between two moments? Evidence, the strongest first.

Nothing is watched in the background: a thread or timer that should notice a freeze is frozen with everything else. The evidence lies in two
moments that are taken anyway, when a connection goes back to its pool and when it is wanted again.
"""

from __future__ import annotations

from typing import Literal

from .moments import Moment, leap

Freeze = Literal["none", "possible", "invocation", "leap", "restore"]
"""What is known about a freeze between two moments:

- `restore`: the process now runs in another machine than then. None of its connections can be alive.
- `leap`: the machine was suspended. Its connections may be alive.
- `invocation`: another invocation began in between, and before each the environment may have been frozen. Connections may be alive.
- `possible`: the environment freezes without saying so, and no marked invocation was under way all the time. Connections may be alive.
- `none`: nothing froze.
"""

LEAP = 1.0
"""Seconds by which clocks must disagree to prove a suspension.

NTP slews all of Linux's clocks alike, so they part only when the wall clock is set or the machine stands still; leap seconds and small steps
stay below a second. Shorter suspensions matter to no connection: no server or middlebox in docs/thawsafe.md forgets one within a second.
"""


def freeze_between(last: Moment, now: Moment, *, unannounced: bool) -> Freeze:
    """What two moments say about a freeze between them.

    `unannounced`: this environment may freeze at any time that nobody marks (Lambda, Cloud Run). Marked invocations end the doubt: within one
    invocation Lambda does not freeze. Outside of them it stays: a thread of the function's, such as a driver's monitor, can run at a thaw
    before the next invocation is marked.
    """
    if now.era.restores != last.era.restores:
        return "restore"
    if now.monotonic < last.monotonic:
        # Within one life of a machine it never goes back. Another machine's clock is read here: a snapshot was restored.
        return "restore"
    if leap(last, now) > LEAP:
        return "leap"
    if now.era.invocation != last.era.invocation:
        return "invocation"
    if unannounced and not now.era.inside:  # inside, it is the invocation of then, and was under way all the time
        return "possible"
    return "none"
