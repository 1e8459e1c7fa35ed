"""Changing a client library in place: all of it or nothing, and undone for tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .errors import UnknownClient

_INHERITED = object()


class Patches:
    """Changes to one client library. First `replace` all, which only looks; then `apply`."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._changes: list[tuple[Any, str, Any, Any]] = []
        self.applied = False

    def original(self, owner: Any, name: str, is_right: Callable[[Any], bool] = callable) -> Any:
        """What is there now. Raises UnknownClient when nothing is, or something else than expected."""
        found = vars(owner).get(name)
        if found is None or not is_right(found):
            raise UnknownClient(
                f"{self._client} is not the one that thawsafe knows: {getattr(owner, '__name__', owner)}.{name} "
                f"{'is not there' if found is None else 'is something else than expected'}. Nothing was changed in it."
            )
        return found

    def replace(self, owner: Any, name: str, new: Any) -> None:
        """Plan to put `new` in the place of what `original` found."""
        self._changes.append((owner, name, vars(owner).get(name, _INHERITED), new))

    def apply(self) -> None:
        """Make all changes; a second time, nothing."""
        if not self.applied:
            for owner, name, _, new in self._changes:
                setattr(owner, name, new)
            self.applied = True

    def undo(self) -> None:
        """Put back what was there."""
        if self.applied:
            for owner, name, old, _ in reversed(self._changes):
                if old is _INHERITED:
                    delattr(owner, name)
                else:
                    setattr(owner, name, old)
            self.applied = False


def require_version(client: str, version: str, known: tuple[str, str]) -> None:
    """Raises UnknownClient unless `version` is from `known[0]` on and before `known[1]`: only numbers count, as in `2.8.0`."""
    if not _numbers(known[0]) <= _numbers(version) < _numbers(known[1]):
        raise UnknownClient(
            f"{client} {version} is not known to thawsafe, which knows {known[0]} and later, before {known[1]}. Nothing was changed in it. "
            "Is there a newer thawsafe? Until then use its adapters, or a version that is known."
        )


def _numbers(version: str) -> tuple[int, ...]:
    """`2.8.0rc1` as (2, 8, 0): a candidate counts as the version that it is for."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
