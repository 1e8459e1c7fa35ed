"""Which names an environment has looked up for an address: the router sees addresses, and people speak of names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MAX_ADDRESSES = 1024
MAX_NAMES = 8
"""Remembered for each environment, and for each of its addresses; the oldest goes."""


class Resolved:
    """Names by environment and address."""

    def __init__(self) -> None:
        self._known: dict[str, OrderedDict[str, dict[str, None]]] = {}

    def add(self, environment: str, name: str, addresses: Iterable[str]) -> None:
        """The environment was told that the name has these addresses."""
        known = self._known.setdefault(environment, OrderedDict())
        for address in addresses:
            names = known.setdefault(address, {})
            known.move_to_end(address)
            names.pop(name, None)
            names[name] = None
            if len(names) > MAX_NAMES:
                del names[next(iter(names))]
        while len(known) > MAX_ADDRESSES:
            known.popitem(last=False)

    def names(self, environment: str, address: str) -> list[str]:
        """The names, the one asked for last first."""
        known = self._known.get(environment)
        return list(reversed(known.get(address, {}))) if known is not None else []

    def forget(self, environment: str) -> None:
        self._known.pop(environment, None)
