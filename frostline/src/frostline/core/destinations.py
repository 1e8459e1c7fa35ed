"""Destinations, as users write them (`HOST` or `HOST:PORT`), and which of several rules counts for a connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Protocol, TypeVar

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")

MAX_NAME = 253
"""Characters of a name in the DNS (RFC 1035, 2.3.4)."""


class Rule(Protocol):
    """What is said about one destination."""

    @property
    def host(self) -> str:
        """A name as the function dials it, in small letters, or an IPv4 address."""

    @property
    def port(self) -> int | None:
        """None for every port."""


R = TypeVar("R", bound=Rule)


def rule_for(rules: Sequence[R], hosts: Sequence[str], port: int) -> R | None:
    """The rule that counts for a connection to a host that is known by these names and addresses, or None.

    A rule with a port goes before one without; among equals the last one given counts, as with repeated options.
    """
    for with_port in (True, False):
        for rule in reversed(rules):
            if (rule.port is not None) == with_port and rule.port in (None, port) and rule.host in hosts:
                return rule
    return None


def parse_destination(text: str, what: str) -> tuple[str, int | None]:
    """Host and port of `HOST` or `HOST:PORT`. `what` follows it in what a user writes: `FATE`.

    Raises ValueError with a sentence that says what is wrong and what would be right.
    """
    host, separator, port = text.strip().lower().rpartition(":")
    if not separator:
        host, port = port, ""
    elif not (port.isascii() and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} in {text!r} is not a port. Write HOST:PORT={what}, with a port from 1 to 65535.")
    host = host.rstrip(".")
    if not _is_address(host) and (_NAME.fullmatch(host) is None or len(host) > MAX_NAME):
        raise ValueError(f"{text!r} is not a destination. Write HOST={what} or HOST:PORT={what}, with a name or an IPv4 address.")
    return host, int(port) if port else None


def written(rule: Rule) -> str:
    """A rule's destination as a user writes it."""
    return rule.host if rule.port is None else f"{rule.host}:{rule.port}"


def _is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
