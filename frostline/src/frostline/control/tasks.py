"""The one way to start a task: it has a name, somebody holds it, and its failure is not silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

_running: set[asyncio.Task[None]] = set()


def spawn(
    work: Coroutine[object, object, None], name: str, on_failure: Callable[[BaseException], None] | None = None
) -> asyncio.Task[None]:
    """Start a task. Its failure goes to `on_failure`, or to the loop's exception handler."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _running.add(task)  # the loop itself holds tasks only weakly

    def done(finished: asyncio.Task[None]) -> None:
        _running.discard(finished)
        if finished.cancelled():
            return
        error = finished.exception()
        if error is None:
            return
        if on_failure is not None:
            on_failure(error)
        else:
            loop = finished.get_loop()
            loop.call_exception_handler({"message": f"the task {name!r} failed", "exception": error, "task": finished})

    task.add_done_callback(done)
    return task
