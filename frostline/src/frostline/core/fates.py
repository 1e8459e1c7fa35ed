"""Fates: what becomes of a connection's peer while its environment is frozen, chosen for each destination.

A fate decides what the environment finds after the thaw, so that it does not depend on who was faster:

- `survive`: the peer waits. What it sent while the environment was frozen, its end included, arrives after the thaw.
- `fin_delivered`: the network goes on for this destination, as it does where only processes are frozen: the environment's kernel receives
  data, FIN and RST while nothing runs.
- `lost`: a FIN or RST of the peer that falls into the freeze is lost, and the environment's first packet after the thaw is answered
  by RST. Connections whose peer did not close are unharmed. This is what a function meets whose network was really gone.
- `blackhole`: every connection that existed at the freeze carries nothing any more, in either direction, and nobody says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast, get_args

from msgspec import Struct

from .destinations import parse_destination, rule_for, written

Fate = Literal["survive", "fin_delivered", "lost", "blackhole"]
FATES: tuple[str, ...] = get_args(Fate)
DEFAULT_FATE: Fate = "lost"


class FateRule(Struct, frozen=True, kw_only=True):
    """What one destination's connections meet."""

    host: str
    """A name as the function dials it, in small letters, or an IPv4 address."""
    port: int | None = None
    """None for every port."""
    fate: Fate


class Fates(Struct, frozen=True, kw_only=True):
    """The fates of one run."""

    default: Fate = DEFAULT_FATE
    rules: tuple[FateRule, ...] = ()

    def of(self, hosts: Sequence[str], port: int) -> Fate:
        """The fate of a connection to a host that is known by these names and addresses (see `destinations.rule_for`)."""
        rule = rule_for(self.rules, hosts, port)
        return self.default if rule is None else rule.fate

    def texts(self) -> list[str]:
        """As a user writes them: `parse` makes the same of it."""
        return [self.default, *(f"{written(rule)}={rule.fate}" for rule in self.rules)]


def parse(texts: Iterable[str]) -> Fates:
    """Fates as a user writes them: `FATE` for the default, `HOST=FATE` or `HOST:PORT=FATE` for a destination.

    Raises ValueError with a sentence that says what is wrong and what would be right.
    """
    default: Fate = DEFAULT_FATE
    rules: list[FateRule] = []
    for text in texts:
        destination, separator, fate = text.strip().rpartition("=")
        if fate not in FATES:
            raise ValueError(f"{fate!r} is not a fate. There are {', '.join(FATES[:-1])} and {FATES[-1]}.")
        chosen = cast("Fate", fate)
        if separator:
            host, port = parse_destination(destination, "FATE")
            rules.append(FateRule(host=host, port=port, fate=chosen))
        else:
            default = chosen
    return Fates(default=default, rules=tuple(rules))
