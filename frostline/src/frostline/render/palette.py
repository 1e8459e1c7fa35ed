"""The colours of all pictures, by what they stand for: (on light paper, on dark paper).

Text has a contrast of at least 4.5 to 1 on its paper (WCAG 2.1, 1.4.3), bars and lines of 3 to 1 where they are all that tells two things apart.
"""

from __future__ import annotations

COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#0f151b"),
    "ink": ("#17212b", "#e6edf3"),
    "dim": ("#566573", "#94a3b1"),
    "line": ("#c6d0d9", "#33414d"),
    "init": ("#d98e04", "#e0a02a"),
    "busy": ("#168a66", "#2fb48c"),
    "failed": ("#cb2431", "#ff7b72"),
    "idle": ("#a9b6c2", "#55646f"),
    "frozen": ("#d5ecfa", "#173a52"),
    "cold": ("#17679c", "#86c9f2"),
    "ends": ("#7d8a97", "#6d7b87"),
    "sent": ("#4a4fc4", "#9ba3ff"),
    "received": ("#0b7285", "#5cc8d8"),
    "ping": ("#9c36b5", "#dd8cf0"),
    "risk": ("#a15c00", "#f0b35a"),
    "cost": ("#566573", "#94a3b1"),
}

STATES = {
    "starting": "init",
    "prepared": "idle",
    "initializing": "init",
    "idle": "idle",
    "busy": "busy",
    "freezing": "idle",
    "frozen": "frozen",
    "thawing": "idle",
    "resetting": "ends",
    "stopping": "ends",
}
"""The colour of each state of an environment (`core.states`); an invocation that failed is `failed`."""

SEVERITIES = {"failure": "failed", "risk": "risk", "cost": "cost"}
"""The colour of a finding."""
