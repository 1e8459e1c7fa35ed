"""Middleboxes: what lies on the path of a connection and forgets it when it has been idle for too long.

The path dies then, and neither end: both still hold the connection, and nothing arrives any more in either direction but what the middlebox
does about it. The limits are the vendors', where they give any:

- `nat-gateway`: 350 s, then RST to whoever sends (AWS, "Troubleshoot NAT gateways": the connection times out, and goes on with an RST packet).
- `nlb`: 350 s, then RST to whoever sends (AWS, "Introducing NLB TCP configurable idle timeout").
- `alb`: 60 s, then FIN to both ends (AWS, "Application Load Balancers": connection idle timeout).
- `azure-lb`: 240 s, then silence (Azure, "Load Balancer TCP Reset and Idle Timeout": flows are dropped silently unless TCP reset is turned on).

A byte in either direction begins the time anew, and so do TCP keep-alive probes where the middlebox passes packets on (`rst`, `silence`). One that
ends with FIN is a proxy: probes end at it and count for nothing (AWS, "Configure the Idle Connection Timeout for Your Classic Load Balancer").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast, get_args

from msgspec import Struct

from .destinations import parse_destination, rule_for, written
from .durations import parse_duration

Then = Literal["rst", "fin", "silence"]
THENS: tuple[str, ...] = get_args(Then)

PEER = "peer"
"""The name of a middlebox that stands for the server itself, whose own idle limit is taken to be so: nothing on the path is meant then."""

NO_MIDDLEBOX = "none"
"""What a user writes where a destination has none, and others have."""

_SHORTEST_S, _LONGEST_S = 0.001, 86_400.0 * 365


class Middlebox(Struct, frozen=True, kw_only=True):
    """One kind of middlebox."""

    name: str
    """As it is asked for: `nat-gateway`, or `idle=30,then=rst`."""
    idle_s: float
    """How long a connection may be idle."""
    then: Then
    """`rst` answers whoever sends next; `fin` tells both ends at once; `silence` drops what is sent, and tells nobody."""

    @property
    def sees_probes(self) -> bool:
        """TCP keep-alive probes keep a connection from being idle."""
        return self.then != "fin"


MIDDLEBOXES = {
    box.name: box
    for box in (
        Middlebox(name="nat-gateway", idle_s=350.0, then="rst"),
        Middlebox(name="nlb", idle_s=350.0, then="rst"),
        Middlebox(name="alb", idle_s=60.0, then="fin"),
        Middlebox(name="azure-lb", idle_s=240.0, then="silence"),
    )
}


class MiddleboxRule(Struct, frozen=True, kw_only=True):
    """What is on the path to one destination."""

    host: str
    """A name as the function dials it, in small letters, or an IPv4 address."""
    port: int | None = None
    """None for every port."""
    middlebox: Middlebox | None
    """None: nothing is."""


class Middleboxes(Struct, frozen=True, kw_only=True):
    """The middleboxes of one run."""

    default: Middlebox | None = None
    rules: tuple[MiddleboxRule, ...] = ()

    def of(self, hosts: Sequence[str], port: int) -> Middlebox | None:
        """What is on the path to a host that is known by these names and addresses (see `destinations.rule_for`)."""
        rule = rule_for(self.rules, hosts, port)
        return self.default if rule is None else rule.middlebox

    def texts(self) -> list[str]:
        """As a user writes them: `parse` makes the same of it."""
        default = [] if self.default is None else [self.default.name]
        return default + [f"{written(rule)}={NO_MIDDLEBOX if rule.middlebox is None else rule.middlebox.name}" for rule in self.rules]


def parse(texts: Iterable[str]) -> Middleboxes:
    """Middleboxes as a user writes them: `NAME` for every path, `HOST=NAME` or `HOST:PORT=NAME` for one destination's.

    Instead of a name by numbers: `idle=30,then=rst`; `none` for none. Raises ValueError with a sentence that says what is wrong and what
    would be right.
    """
    default: Middlebox | None = None
    rules: list[MiddleboxRule] = []
    for text in texts:
        destination, box = _parse(text.strip())
        if destination is None:
            default = box
        else:
            host, port = parse_destination(destination, "NAME")
            rules.append(MiddleboxRule(host=host, port=port, middlebox=box))
    return Middleboxes(default=default, rules=tuple(rules))


def _parse(text: str) -> tuple[str | None, Middlebox | None]:
    """Destination and middlebox."""
    first, comma, rest = text.partition(",")
    front, separator, name = first.rpartition("=")
    if not comma:
        if name != NO_MIDDLEBOX and name not in MIDDLEBOXES:
            raise ValueError(
                f"{name!r} is not a middlebox. There are {', '.join(MIDDLEBOXES)} and {NO_MIDDLEBOX}, or by numbers: idle=30,then=rst."
            )
        return (front if separator else None), MIDDLEBOXES.get(name)
    destination, has_destination, key = front.rpartition("=")
    return (destination if has_destination else None), _by_numbers(f"{key}={name},{rest}")


def _by_numbers(text: str) -> Middlebox:
    """`idle=30,then=rst`, in either order."""
    parts = [part.partition("=") for part in text.split(",")]
    settings = {key.strip(): value.strip() for key, _, value in parts}
    if len(parts) != 2 or settings.keys() != {"idle", "then"}:
        raise ValueError(f"{text!r} is not a middlebox. Write idle=SECONDS,then=rst, or {', '.join(MIDDLEBOXES)}.")
    if settings["then"] not in THENS:
        raise ValueError(f"{settings['then']!r} is not what a middlebox does. There are {', '.join(THENS[:-1])} and {THENS[-1]}.")
    idle_s = round(parse_duration(settings["idle"]) or 0.0, 3)
    if not _SHORTEST_S <= idle_s <= _LONGEST_S:
        raise ValueError(
            f"{settings['idle']!r} is not a time from 1 ms to a year. Write idle=30, idle=250ms or idle=6m; a number alone is seconds."
        )
    then = cast("Then", settings["then"])
    return Middlebox(name=f"idle={idle_s:.12g},then={then}", idle_s=idle_s, then=then)
