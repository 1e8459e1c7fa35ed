"""What adapters do with a client library: look whether it is the one they know, and replace parts of it so that they can be put back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from .._core.configurations import Configuration, NoRetries
from .._runtime.deadline import within_time_left
from .._runtime.detection import detect
from .._runtime.errors import UnknownClient
from .._runtime.sockets import is_readable

_T = TypeVar("_T")

BACKOFF = 0.05
"""Seconds before connecting is tried again, doubled for each further attempt."""


def detected() -> Configuration:
    """`thawsafe.detect()` for databases and caches, which keep an idle connection for as long as the way to them does.

    240 s is below the 350 s of AWS's NAT gateway, NLB and VPC endpoint; the presets' 50 s are for ALB, which is not on this way. The
    servers' own limits are off by default (Redis `timeout`, PostgreSQL `idle_session_timeout`).
    """
    return detect().replace(idle_age=240.0)


class Attempts:
    """How often connecting is tried, and for how long: the configuration's `retries`, inside the invocation."""

    def __init__(self, configuration: Configuration) -> None:
        retries = configuration.retries
        self.left, within = (0.0, 0.0) if isinstance(retries, NoRetries) else (retries.attempts, retries.within)
        self.until = time.monotonic() + (within_time_left(within) or 0.0)
        self.pause = BACKOFF / 2

    def another(self) -> bool:
        """May there be one more attempt, `pause` seconds from now?"""
        self.left -= 1
        self.pause *= 2
        return self.left >= 0 and time.monotonic() + self.pause <= self.until


def known(distribution: str, version: str, versions: tuple[str, str], parts: Iterable[tuple[object, str]] = ()) -> None:
    """Raise UnknownClient unless `version` lies in `versions` (the first that is known, the first that is not), and every part is there.

    parts: objects of the library and the attributes of theirs that are used though they are private.
    """
    lowest, unknown = versions
    if not _numbers(lowest) <= _numbers(version) < _numbers(unknown):
        raise UnknownClient(
            f"thawsafe knows {distribution} from {lowest} to below {unknown}, and this is {version}. Nothing was changed. "
            f"Install another {distribution}, or a thawsafe that knows this one."
        )
    for owner, name in parts:
        if not hasattr(owner, name):
            where = getattr(owner, "__qualname__", getattr(owner, "__name__", repr(owner)))
            raise UnknownClient(
                f"{distribution} {version} has no {where}.{name}, which thawsafe's adapter uses. Nothing was changed. "
                f"Please report it with this version; until then, use {distribution} without the adapter."
            )


def _numbers(version: str) -> tuple[int, ...]:
    """`3.2.1rc1` as (3, 2, 1)."""
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def is_ended(transport: Any) -> bool:
    """Is this transport of asyncio closing, or has the kernel something for it, which on an idle connection is its end?"""
    if transport is None:
        return False
    own = transport.get_extra_info("socket")
    return bool(transport.is_closing()) or (own is not None and is_readable(own.fileno()))


LONGEST_CONNECT = 130.0
"""Seconds after which drivers give up connecting by themselves: 127 until Linux sends no more SYNs."""


def connect_within(left: float | None, connect: Callable[[], _T], close: Callable[[_T], object]) -> _T:
    """Connect, and wait no longer than what is left of the invocation. Raises TimeoutError, or what `connect` raises.

    For clients that cannot give up connecting as early as the invocation ends. A thread connects; when the time is over it is left behind,
    and closes what it gets. Without an invocation, or with minutes left, the caller connects.
    """
    if left is None or left > LONGEST_CONNECT:
        return connect()
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            connection = connect()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            if outcome.set_running_or_notify_cancel():
                outcome.set_exception(error)
        else:
            if outcome.set_running_or_notify_cancel():
                outcome.set_result(connection)
            else:
                close(connection)

    threading.Thread(target=run, name="thawsafe-connect", daemon=True).start()
    try:
        return outcome.result(left)
    except FutureTimeout:
        if outcome.cancel():
            raise TimeoutError(f"no connection within the {left:.2f} s that were left of the invocation") from None
        return outcome.result()  # it came in this moment


class Patches:
    """Attributes of a client library that were replaced. All of them, or none: look before the first with `known`."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._replaced)

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute that `owner`, a class or module, has of its own or inherits."""
        self._replaced.append((owner, name, vars(owner).get(name, _INHERITED)))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back, the last first."""
        while self._replaced:
            owner, name, value = self._replaced.pop()
            if value is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


_INHERITED = object()
