"""What a configuration is: every limit of a client, given, checked and frozen. The values for each environment are in `presets`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final, final

from .judging import Limits
from .limits import count, seconds


@final
class NoKeepalive:
    """The type of `NO_KEEPALIVE`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_KEEPALIVE"

    def __reduce__(self) -> str:
        return "NO_KEEPALIVE"


@final
class NoRetries:
    """The type of `NO_RETRIES`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_RETRIES"

    def __reduce__(self) -> str:
        return "NO_RETRIES"


NO_KEEPALIVE: Final = NoKeepalive()
"""Nothing is sent on an idle connection."""
NO_RETRIES: Final = NoRetries()
"""A request that failed has failed."""


@dataclass(frozen=True, kw_only=True)
class Keepalive:
    """Probes that the kernel (TCP) or the client (HTTP/2) sends on a quiet connection."""

    interval: float
    """Seconds of silence before a probe."""
    timeout: float
    """Seconds that the peer has to answer before the connection is given up."""
    while_idle: bool
    """Also while no request is under way. A freeze makes such probes late, so no configuration for Lambda has them."""

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        for field in ("interval", "timeout"):
            seconds("Keepalive", field, getattr(self, field))
        if not isinstance(self.while_idle, bool):
            raise TypeError(f"Keepalive: while_idle is {self.while_idle!r}. Give True or False.")


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often a request is tried again that failed and may be repeated: it was never written, or its method is idempotent (RFC 9110, 9.2.2)."""

    attempts: float
    """Further attempts after the first."""
    within: float
    """Seconds after the first failure in which a further attempt may begin: the budget, so that an outage is not multiplied."""

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        count("Retries", "attempts", self.attempts)
        seconds("Retries", "within", self.within)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The limits of one client. Made by `lambda_()`, `microvm()`, `in_region()`, `low_latency()`, `laptop()` or `detect()`.

    Every field is given, finite and above zero, or says UNLIMITED, NO_KEEPALIVE or NO_RETRIES. `configuration.replace(idle_age=30)`
    is the same configuration with that field changed and no other.

    Raises TypeError or ValueError, naming the field, for anything else.
    """

    environment: str
    """Which environment the values were chosen for: a name for logs; nothing is decided by it."""

    connect_timeout: float
    """Seconds until a TCP connection must stand."""
    tls_timeout: float
    """Seconds that the TLS handshake may take, where the client can tell it from connecting."""
    request_timeout: float
    """Seconds that the answer to a request may take, at most what is left of the invocation."""

    idle_age: float
    """Seconds. A connection that was idle for longer is not used again, frozen or not."""
    connection_age: float
    """Seconds. A connection that was opened longer ago is not used again, however busy: so that a change of addresses is noticed."""
    trusted_idle: float
    """Seconds. After a freeze, a connection that was idle for longer has to prove that it lives, or is not used again."""
    probe_timeout: float
    """Seconds that a peer may take to answer a probe; less where it is wont to answer sooner (`paths.Path.patience`)."""
    unannounced_freezes: bool
    """This environment may freeze at any time, or between invocations that nobody marks."""

    connections_per_host: float
    """Open connections to one host."""
    connections: float
    """Open connections in all."""

    keepalive: Keepalive | NoKeepalive
    """Probes on quiet connections."""
    retries: Retries | NoRetries
    """What is tried again."""

    def __post_init__(self) -> None:
        """Refuse what is no limit: before a client is built with it."""
        owner = f"{self.environment} configuration"
        if not self.environment:
            raise ValueError("Configuration: environment is empty. Give a name for logs.")
        for field in _SECONDS:
            seconds(owner, field, getattr(self, field))
        for field in ("connections_per_host", "connections"):
            count(owner, field, getattr(self, field))
        if not isinstance(self.unannounced_freezes, bool):
            raise TypeError(f"{owner}: unannounced_freezes is {self.unannounced_freezes!r}. Give True or False.")
        if not isinstance(self.keepalive, (Keepalive, NoKeepalive)):
            raise TypeError(f"{owner}: keepalive is {self.keepalive!r}. Give thawsafe.Keepalive(...), or thawsafe.NO_KEEPALIVE.")
        if not isinstance(self.retries, (Retries, NoRetries)):
            raise TypeError(f"{owner}: retries is {self.retries!r}. Give thawsafe.Retries(...), or thawsafe.NO_RETRIES.")

    def replace(self, **changes: Any) -> Configuration:
        """The same configuration with these fields changed and no other. Raises TypeError when there is no such field."""
        unknown = changes.keys() - {field.name for field in fields(self)}
        if unknown:
            known = ", ".join(field.name for field in fields(self))
            raise TypeError(f"A configuration has no {', '.join(sorted(unknown))}. It has: {known}.")
        return replace(self, **changes)

    @property
    def limits(self) -> Limits:
        """What the judge needs of it."""
        return Limits(self.idle_age, self.connection_age, self.trusted_idle, self.unannounced_freezes)


_SECONDS = ("connect_timeout", "tls_timeout", "request_timeout", "idle_age", "connection_age", "trusted_idle", "probe_timeout")
