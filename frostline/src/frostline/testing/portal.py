"""An event loop in a thread of its own, where control planes live, and two ways into it: for code that waits, and for coroutines of another loop.

A test is one or the other, and may be frozen itself, in a debugger; environments must be served meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from .errors import FrostlineError, hidden

T = TypeVar("T")

LOOK_UP_S = 0.5
"""Python ends a wait for Ctrl-C, but not where another thread was given the signal, or where it came as the wait began."""


class Portal:
    """The loop runs from the beginning until `close`."""

    def __init__(self) -> None:
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        started: Future[None] = Future()
        # A daemon: an interpreter that ends without `close` does not wait for it, and environments end with the process.
        self._thread = threading.Thread(target=self._run, args=(started,), name="frostline", daemon=True)
        self._thread.start()
        started.result()

    @property
    def open(self) -> bool:
        """It was not closed."""
        return self._loop is not None

    def _run(self, started: Future[None]) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._until_stopped(started))

    async def _until_stopped(self, started: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        started.set_result(None)
        await self._stop.wait()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it. Interrupted (Ctrl-C), it is cancelled."""
        __tracebackhide__ = hidden
        future = self._begin(work)
        try:
            # A bare lock: `futures.wait`, interrupted, can keep a lock that the loop's thread then waits for, and with it whoever prints the future.
            done = threading.Lock()
            done.acquire()
            future.add_done_callback(lambda _: done.release())
            while not done.acquire(timeout=LOOK_UP_S):
                pass
            return future.result()
        except FrostlineError as error:
            raise _bare(error) from None
        except BaseException:
            future.cancel()
            raise

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and await it in the running loop. Cancelled, it is cancelled there, too."""
        __tracebackhide__ = hidden
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            work.close()
            raise FrostlineError(
                "AsyncFrostline needs asyncio: pytest-asyncio, or anyio with its backend asyncio. Elsewhere use `frostline`, which waits."
            ) from None
        try:
            return await asyncio.wrap_future(self._begin(work))
        except FrostlineError as error:
            raise _bare(error) from None

    def close(self) -> None:
        """End the loop and its thread. Safe to call twice."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._loop = None
            self._thread.join()

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop is None:
            work.close()
            raise FrostlineError("Frostline is closed: functions live no longer than its `with` block, or the test that asked for them.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _bare(error: FrostlineError) -> FrostlineError:
    """Where it was found out, in another thread, is nothing to whoever asked."""
    return error.with_traceback(None)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
