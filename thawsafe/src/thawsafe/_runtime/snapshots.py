"""Snapshots: a process that was restored from one has no connection that is alive."""

from __future__ import annotations

import os

from .._core.environments import is_snapstart
from .journal import JOURNAL
from .watch import WATCH

_listening = False


def restored() -> None:
    """Say that this process was restored from a snapshot: none of its connections is used again.

    For Lambda MicroVMs, in the application's `/run` and `/resume` hooks. With SnapStart it is not needed: thawsafe listens itself.
    """
    WATCH.restored()
    JOURNAL.count("restored")


def listen() -> None:
    """Have SnapStart's runtime hooks call `restored`, once, where there is SnapStart.

    Lambda's Python runtime brings `snapshot_restore_py` along and calls what is registered after each restore (docs:
    snapstart-runtime-hooks-python). Where it is missing the clocks have to tell: after a restore the wall clock is far ahead.
    """
    global _listening  # noqa: PLW0603 - there is one process
    if _listening or not is_snapstart(os.environ):
        return
    _listening = True
    try:
        from snapshot_restore_py import register_after_restore  # type: ignore[import-not-found] # only in Lambda's runtime
    except ImportError:
        return
    register_after_restore(restored)
