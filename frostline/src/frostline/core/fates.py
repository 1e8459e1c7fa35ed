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

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import Literal, cast, get_args

from msgspec import Struct

Fate = Literal["survive", "fin_delivered", "lost", "blackhole"]
FATES: tuple[str, ...] = get_args(Fate)
DEFAULT_FATE: Fate = "lost"

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


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
        """The fate of a connection to a host that is known by these names and addresses.

        A rule with a port goes before one without; among equals the last one given counts, as with repeated options.
        """
        for with_port in (True, False):
            for rule in reversed(self.rules):
                if (rule.port is not None) == with_port and rule.port in (None, port) and rule.host in hosts:
                    return rule.fate
        return self.default


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
            rules.append(_rule(destination, chosen))
        else:
            default = chosen
    return Fates(default=default, rules=tuple(rules))


def _rule(destination: str, fate: Fate) -> FateRule:
    host, separator, port = destination.strip().lower().rpartition(":")
    if not separator:
        host, port = port, ""
    elif not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} in {destination!r} is not a port. Write HOST:PORT=FATE, with a port from 1 to 65535.")
    host = host.rstrip(".")
    if not _is_address(host) and _NAME.fullmatch(host) is None:
        raise ValueError(f"{destination!r} is not a destination. Write HOST=FATE or HOST:PORT=FATE, with a name or an IPv4 address.")
    return FateRule(host=host, port=int(port) if port else None, fate=fate)


def _is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
