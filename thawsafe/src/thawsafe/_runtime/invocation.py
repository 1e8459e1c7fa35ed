"""The invocation's boundary: where a freeze may have been, and how much time there is."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from . import deadline
from .journal import JOURNAL
from .snapshots import listen
from .watch import WATCH

_Function = TypeVar("_Function", bound=Callable[..., Any])

_inside: ContextVar[bool] = ContextVar("thawsafe_inside", default=False)
_lock = threading.Lock()
_under_way = 0


@contextmanager
def invocation(seconds_left: float | None = None, request_id: str | None = None) -> Iterator[None]:
    """An invocation, from beginning to end: for handlers that cannot be decorated, and for workers of other kinds.

    A freeze is expected before it, when no other is under way. Inside, requests of judged clients end before the `seconds_left` do. At its end
    one line is logged when a connection was probed or discarded, with the `request_id`. One inside another is part of it.
    """
    if _inside.get():
        yield
        return
    mark = _inside.set(True)
    outer = deadline.set_for_context(seconds_left)
    _begin(request_id)
    try:
        yield
    finally:
        _end()
        deadline.reset(outer)
        _inside.reset(mark)


def _begin(request_id: str | None) -> None:
    global _under_way  # noqa: PLW0603 - there is one process
    with _lock:
        _under_way += 1
        # With another under way the environment was not frozen.
        if _under_way == 1:
            WATCH.invocation_began()
            JOURNAL.invocation_began(request_id)


def _end() -> None:
    global _under_way  # noqa: PLW0603 - there is one process
    with _lock:
        _under_way -= 1
        last = _under_way == 0
        if last:
            WATCH.invocation_ended()
    if last:
        JOURNAL.invocation_ended()


def handler(function: _Function) -> _Function:
    """For a Lambda handler: write `@thawsafe.handler` above it. A coroutine function stays one.

    Marks the invocation, and gives judged clients the time that the context says is left, threads of the handler included. It can stand
    above or below other decorators, those of Powertools too; of several, the outermost counts.
    """
    listen()
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def decorated(*args: Any, **kwargs: Any) -> Any:
            left, request_id = _told_by(args, kwargs)
            with invocation(left, request_id), _for_threads(left):
                return await function(*args, **kwargs)
    else:

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            left, request_id = _told_by(args, kwargs)
            with invocation(left, request_id), _for_threads(left):
                return function(*args, **kwargs)

    return cast("_Function", decorated)


def _told_by(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Seconds left and request id, by Lambda's context object, wherever it is among the arguments."""
    for candidate in (*args, *kwargs.values()):
        remaining = getattr(candidate, "get_remaining_time_in_millis", None)
        if callable(remaining):
            return float(remaining()) / 1000, getattr(candidate, "aws_request_id", None)
    return None, None


@contextmanager
def _for_threads(left: float | None) -> Iterator[None]:
    """Lambda runs one invocation at a time in an environment, so its deadline holds for every thread."""
    deadline.set_for_process(left)
    try:
        yield
    finally:
        deadline.set_for_process(None)


Scope = Mapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class ASGI:
    """ASGI middleware: every request of an application is an invocation. `app = thawsafe.ASGI(app)`, or as a framework adds middleware.

    Requests that overlap count as one: with one under way nothing freezes. The time left is what Lambda says, when the request comes through
    Mangum (`aws.context` in the scope) or the Lambda Web Adapter (the header `x-amzn-lambda-context`).
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        listen()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one connection of ASGI; its lifespan is none of our business."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        left, request_id = _told_by_scope(scope)
        with invocation(left, request_id):
            await self._app(scope, receive, send)


def _told_by_scope(scope: Scope) -> tuple[float | None, str | None]:
    if "aws.context" in scope:
        return _told_by((scope["aws.context"],), {})
    for name, value in scope.get("headers", ()):
        if name == b"x-amzn-lambda-context":
            return _told_by_adapter(value)
    return None, None


def _told_by_adapter(header: bytes) -> tuple[float | None, str | None]:
    """The Lambda Web Adapter's header: Rust's `lambda_runtime::Context` as JSON, with a deadline in milliseconds since 1970."""
    import json

    try:
        context = json.loads(header)
        told = context.get("deadline", context.get("deadline_ms"))
        left = None if told is None else max(float(told) / 1000 - time.time(), 0.0)
        return left, context.get("request_id")
    except (ValueError, TypeError, AttributeError):
        return None, None  # a client of the application can send what it likes
