"""What can go wrong that is not the function's doing. Messages are for a person: what was asked, what was found, what to try."""

from __future__ import annotations

from operator import methodcaller


class FrostlineError(Exception):
    """What was asked for cannot be done."""

    __module__ = "frostline.testing"


class NotFrozen(FrostlineError):
    """This machine cannot freeze as much as was asked for, or an environment does not come to stand still."""

    __module__ = "frostline.testing"


class ClocksNotMoved(FrostlineError):
    """A gap was to pass without waiting, and not every clock of the environment could be moved: what follows would prove nothing."""

    __module__ = "frostline.testing"


class NotInvoked(FrostlineError):
    """The function was not invoked, and that is not its own doing."""

    __module__ = "frostline.testing"


hidden = methodcaller("errisinstance", FrostlineError)
"""As a function's `__tracebackhide__`: pytest leaves its frame out of the tracebacks of our own errors, which are the caller's business, and of no others."""
