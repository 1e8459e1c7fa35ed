"""What an environment's connections meet: their fates in a freeze, the middleboxes on their paths, and how long these are."""

from __future__ import annotations

from msgspec import Struct

from .fates import Fates
from .middlebox import Middleboxes


class Conditions(Struct, frozen=True, kw_only=True):
    """May be changed while functions run, for all environments or for one."""

    fates: Fates = Fates()
    middleboxes: Middleboxes = Middleboxes()
    latency_s: float = 0.0
    """How much longer every path is: what peers send arrives so much later. What is on its way at a freeze has arrived at the thaw."""
