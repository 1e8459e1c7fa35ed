"""Upstreams: the servers that functions connect to, as hosts of the lab, and what is seen of them.

An upstream behaves as a server does where it hurts: it closes connections that are idle for some time, in a certain way, and it may be far
away. Here is what one is, how a user writes it, and what it tells. What runs them is in the room `upstreams`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast, get_args

from msgspec import Struct

from .destinations import parse_destination
from .durations import parse_duration, spoken
from .events import NetworkEvent

Protocol = Literal["http1", "http2", "grpc", "echo", "host"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)

Close = Literal["fin", "rst", "goaway"]
CLOSES: tuple[str, ...] = get_args(Close)

DEFAULT_IDLE_S = 60.0
"""An Application Load Balancer's idle timeout, where nobody has changed it (AWS, "Idle timeout"). nginx has 75 s, Node 5 s until version 25."""

MAX_UPSTREAMS = 64
"""Listening sockets are handed over in one message, and the kernel takes 253 in one."""

DNS_PORT = 53

_DEFAULT_PORTS = {"grpc": 443, "echo": 7}
"""gRPC's resolvers take 443 where no port is given, TLS or not; 7 is RFC 862's."""

_MACHINE = ("localhost", "host.frostline.internal", "host.docker.internal")
_MAX_RTT_S = 10.0


class Upstream(Struct, frozen=True, kw_only=True):
    """One port of one host of the lab, and the server behind it."""

    host: str
    """The name that functions look up, in small letters. The lab's name server answers it, also where that hides a real name."""
    port: int
    protocol: Protocol
    """`http1`, `http2`, `grpc` (the cache service of `upstreams/cache.proto`), `echo` (bytes come back); `host` is a port of the developer's machine."""
    tls: bool = False
    idle_s: float | None = DEFAULT_IDLE_S
    """How long a connection may be idle before the server closes it; None for ever. A connection is idle while no request is being answered
    and no part of one arrives; HTTP/2 PINGs do not count (as behind an Application Load Balancer)."""
    close: Close = "fin"
    """How it closes then: FIN, RST, or an HTTP/2 GOAWAY and then FIN. TLS is ended with a close_notify, but for RST."""
    rtt_s: float = 0.0
    """The path's round-trip time: everything arrives half of it late, each way, an end of a connection too."""
    keep_alive_hint_s: int | None = None
    """What the server promises in a header, `Keep-Alive: timeout=N` (http1); it need not be the truth."""
    strict_pings: bool = False
    """Close connections of clients that ping too often, as gRPC servers do by default (GOAWAY `too_many_pings`, gRFC A8)."""
    answers: str | None = None
    """What is answered (http1, http2): a file, or a folder with a file for each path. None: JSON about the request."""
    machine_port: int | None = None
    """With `host`: the port on the developer's machine."""

    @property
    def name(self) -> str:
        """`HOST:PORT`."""
        return f"{self.host}:{self.port}"

    def text(self) -> str:
        """As a user writes it: `parse` makes the same of it."""
        if self.machine_port is not None:
            return f"{self.name}=host:{self.machine_port}"
        idle = "never" if self.idle_s is None else spoken(self.idle_s)
        options = [
            self.protocol,
            "tls" if self.tls else "",
            f"idle={idle}",
            f"close={self.close}" if self.close != _usual(self.protocol) else "",
        ]
        options += [f"rtt={spoken(self.rtt_s)}" if self.rtt_s else "", "strict-pings" if self.strict_pings else ""]
        options += [f"keep-alive-hint={self.keep_alive_hint_s}"] if self.keep_alive_hint_s is not None else []
        options += [f"answers={self.answers}"] if self.answers is not None else []
        return f"{self.name}={','.join(option for option in options if option)}"


class UpstreamEvent(NetworkEvent, frozen=True, kw_only=True):
    """Base of what an upstream tells. `at` is in epoch seconds, at the server's end of the path; whose connection it was, a server does not know."""

    environment: str = ""
    upstream: str
    """`Upstream.name`."""


class UpstreamAccepted(UpstreamEvent, frozen=True, kw_only=True):
    """Somebody connected."""

    connection: int
    """A number of its own among this upstream's connections."""
    peer_port: int
    """The client's port, as the server sees it; in the lab the dialer's."""


class UpstreamAsked(UpstreamEvent, frozen=True, kw_only=True):
    """A request was read to its end."""

    connection: int
    number: int
    """Which request of this connection; the first is 1."""
    method: str
    """HTTP's (`POST`), or gRPC's (`/frostline.cache.v1.Cache/Get`)."""
    path: str = ""
    key: str | None = None
    """The request's `Idempotency-Key`, else its `X-Request-Id` (header or gRPC metadata)."""
    seen: int = 1
    """How often this upstream has seen the key by now. More than 1 is a request that was sent twice."""


class UpstreamClosed(UpstreamEvent, frozen=True, kw_only=True):
    """A connection came to its end."""

    connection: int
    by: Literal["upstream", "client"]
    how: Close
    why: Literal["idle", "asked", "refused", "shutdown", "client"]
    """`asked`: the client wanted no further request (`Connection: close`). `refused`: it broke the protocol, or pinged too often."""
    idle_s: float
    """How long it had been idle."""
    requests: int
    detail: str = ""
    """For a person: what was broken, or which TLS alert came."""


class UpstreamUnrecorded(UpstreamEvent, frozen=True, kw_only=True):
    """More happened than could be told: so many events were left out. `upstream` is the last one's."""

    count: int


AnyUpstreamEvent = UpstreamAccepted | UpstreamAsked | UpstreamClosed | UpstreamUnrecorded


class UpstreamsReady(Struct, frozen=True, kw_only=True, tag_field="event", tag=True):
    """From the servers' process, once: they listen."""

    authority: str = ""
    """PEM: the certificate by which TLS upstreams are trusted, or nothing where there is none."""


class UpstreamsFailed(Struct, frozen=True, kw_only=True, tag_field="event", tag=True):
    """From the servers' process, last: why it ends."""

    reason: str


AnyUpstreamMessage = AnyUpstreamEvent | UpstreamsReady | UpstreamsFailed
"""What the servers' process writes, one JSON object a line."""


def parse(texts: Iterable[str]) -> tuple[Upstream, ...]:
    """Upstreams as a user writes them: `NAME[:PORT]=PROTOCOL[,OPTION...]`, or `NAME[:PORT]=host:PORT`.

    The options are `tls`, `idle=60s`, `close=fin`, `rtt=50ms`, `answers=PATH` (http1, http2), `keep-alive-hint=5` (http1) and `strict-pings` (grpc).
    Raises ValueError with a sentence that says what is wrong and what would be right.
    """
    found: dict[str, Upstream] = {}
    for text in texts:
        upstream = _upstream(text.strip())
        known = found.setdefault(upstream.name, upstream)
        if known != upstream:
            raise ValueError(
                f"{upstream.name} is there twice, with different settings. A port of a host is one server: give one of them another port."
            )
    if len(found) > MAX_UPSTREAMS:
        raise ValueError(f"there are {len(found)} upstreams, and the lab takes {MAX_UPSTREAMS}.")
    return tuple(found.values())


def _upstream(text: str) -> Upstream:
    destination, separator, server = text.partition("=")
    if not separator:
        raise ValueError(
            f"{text!r} is not an upstream. Write NAME[:PORT]=PROTOCOL[,OPTION...], as in api.example.com:443=http1,tls,idle=60."
        )
    name, port = _destination(destination)
    kind, *options = [part.strip() for part in server.split(",")]
    if kind == "host" or kind.startswith("host:"):
        return _machine_service(name, port, kind, options)
    if kind not in PROTOCOLS:
        raise ValueError(
            f"{kind!r} is not a protocol of an upstream. There are {', '.join(PROTOCOLS[:-1])}, and host:PORT for a port of this machine."
        )
    protocol = cast("Protocol", kind)
    settings = _settings(protocol, options)
    default_port = _DEFAULT_PORTS.get(protocol) or (443 if settings.tls else 80)
    return Upstream(
        host=name,
        port=port or default_port,
        protocol=protocol,
        tls=settings.tls,
        idle_s=settings.idle_s,
        close=settings.close or _usual(protocol),
        rtt_s=settings.rtt_s,
        keep_alive_hint_s=settings.keep_alive_hint_s,
        strict_pings=settings.strict_pings,
        answers=settings.answers,
    )


def _usual(protocol: Protocol) -> Close:
    return "goaway" if protocol in ("http2", "grpc") else "fin"


def _destination(text: str) -> tuple[str, int | None]:
    name, port = parse_destination(text, "PROTOCOL")
    if name in _MACHINE:
        raise ValueError(f"{name!r} is this machine and cannot be an upstream. Give the upstream a name of its own.")
    if name.rpartition(".")[2].isdecimal():
        raise ValueError(f"{name!r} is an address. An upstream has a name, as functions dial it, and the lab gives it an address.")
    if port == DNS_PORT:
        raise ValueError(f"port {DNS_PORT} of every host is the lab's name server, so {text!r} cannot be an upstream. Choose another port.")
    return name, port


def _port(text: str, where: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} in {where!r} is not a port. There are 1 to 65535.")
    return int(text)


def _machine_service(name: str, port: int | None, kind: str, options: list[str]) -> Upstream:
    if options:
        raise ValueError(
            f"{name}={kind} is a service of this machine, which behaves as it does: it takes no option, and {options[0]!r} was given."
        )
    machine_port = _port(kind.partition(":")[2], kind)
    return Upstream(host=name, port=port or machine_port, protocol="host", machine_port=machine_port, idle_s=None)


class _Settings(Struct):
    """Options that were given."""

    tls: bool = False
    idle_s: float | None = DEFAULT_IDLE_S
    close: Close | None = None
    rtt_s: float = 0.0
    keep_alive_hint_s: int | None = None
    strict_pings: bool = False
    answers: str | None = None


def _settings(protocol: Protocol, options: list[str]) -> _Settings:
    found = _Settings()
    given: set[str] = set()
    for option in options:
        name, separator, value = option.partition("=")
        if name in given:
            raise ValueError(f"the option {name!r} of an upstream was given twice.")
        given.add(name)
        match name:
            case "tls" if not separator:
                found.tls = True
            case "strict-pings" if not separator and protocol == "grpc":
                found.strict_pings = True
            case "idle":
                found.idle_s = None if value == "never" else _duration(value, option, " or `never`")
            case "rtt":
                found.rtt_s = _duration(value, option, "")
                if found.rtt_s > _MAX_RTT_S:
                    raise ValueError(f"{option!r}: a round-trip time is at most {_MAX_RTT_S:g}s.")
            case "close":
                found.close = _close(protocol, value)
            case "answers" if protocol in ("http1", "http2"):
                if not value:
                    raise ValueError(f"{option!r}: give a file, or a folder with a file for each path.")
                found.answers = value
            case "keep-alive-hint" if protocol == "http1":
                found.keep_alive_hint_s = _seconds(value, option)
            case _:
                raise ValueError(f"{option!r} is not an option of an upstream with {protocol}. There are {_options_of(protocol)}.")
    return found


def _options_of(protocol: Protocol) -> str:
    more = {"http1": ", answers=PATH, keep-alive-hint=SECONDS", "http2": ", answers=PATH", "grpc": ", strict-pings"}.get(protocol, "")
    return f"tls, idle=TIME, close={'|'.join(_closes_of(protocol))}, rtt=TIME{more}"


def _closes_of(protocol: Protocol) -> tuple[str, ...]:
    return CLOSES if protocol in ("http2", "grpc") else CLOSES[:2]


def _close(protocol: Protocol, text: str) -> Close:
    closes = _closes_of(protocol)
    if text not in closes:
        raise ValueError(f"{text!r} is not a way of closing with {protocol}. There are {', '.join(closes)}.")
    return cast("Close", text)


def _duration(text: str, option: str, alternative: str) -> float:
    seconds = parse_duration(text) or 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{option!r}: {text!r} is not a time above zero. Write 250ms, 3s, 40m{alternative}; a number alone is seconds.")
    return seconds


def _seconds(text: str, option: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10):
        raise ValueError(f"{option!r}: {text!r} is not a whole number of seconds.")
    return int(text)
