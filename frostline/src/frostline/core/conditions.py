"""What an environment's connections meet: their fates in a freeze, and the middleboxes on their paths."""

from __future__ import annotations

from msgspec import Struct

from .fates import Fates
from .middlebox import Middleboxes


class Conditions(Struct, frozen=True, kw_only=True):
    """May be changed while functions run, for all environments or for one."""

    fates: Fates = Fates()
    middleboxes: Middleboxes = Middleboxes()
