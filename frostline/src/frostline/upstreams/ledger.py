"""What an upstream was asked, counted: a request that was sent twice has a key that was seen before."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

from ..core.upstream import UpstreamAsked
from .connection import Tell

KEY_NAMES = ("idempotency-key", "x-request-id")
"""Headers, or gRPC metadata, that name a request; the first one counts."""

MAX_KEYS = 100_000
"""Remembered by one upstream; the oldest go."""

MAX_TEXT = 256
"""Characters of a path or key that are kept."""


class Ledger:
    """One upstream's. May be used by any thread, as gRPC's handlers run in threads."""

    def __init__(self, upstream: str, tell: Tell) -> None:
        self._upstream = upstream
        self._tell = tell
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, int] = OrderedDict()

    def asked(self, connection: int, number: int, method: str, path: str, key: str | None) -> int:
        """Enter a request; how often its key has been seen by now (1 where it has none)."""
        key = key and key[:MAX_TEXT]
        seen = self._seen(key) if key else 1
        self._tell(
            UpstreamAsked(
                at=time.time(),
                upstream=self._upstream,
                connection=connection,
                number=number,
                method=method[:MAX_TEXT],
                path=path[:MAX_TEXT],
                key=key or None,
                seen=seen,
            )
        )
        return seen

    def _seen(self, key: str) -> int:
        with self._lock:
            seen = self._keys[key] = self._keys.pop(key, 0) + 1
            if len(self._keys) > MAX_KEYS:
                self._keys.popitem(last=False)
        return seen


def key_of(headers: Iterable[tuple[str, str]]) -> str | None:
    """What names a request, of its headers (names in small letters)."""
    found = dict(headers)
    return next((found[name] for name in KEY_NAMES if found.get(name)), None)
