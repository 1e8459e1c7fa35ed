"""What gRPC libraries write about their connections when they are told to trace: from a log line to what it means.

grpc-js, told by `GRPC_TRACE=keepalive,dns_resolver,resolving_load_balancer` and `GRPC_VERBOSITY=DEBUG`:

    D 2026-02-09T10:00:00.000Z | v1.14.7 17 | keepalive | (4) 10.0.0.1:443 Received ping response

C-core (grpcio and its kin), told by `GRPC_TRACE=http_keepalive,connectivity_state` and `GRPC_VERBOSITY=DEBUG`:

    I0209 10:00:00.000000 17 chttp2_transport.cc:3379] ipv4:10.0.0.1:443: Finish keepalive ping

grpc-go, told by `GRPC_GO_LOG_SEVERITY_LEVEL=info` and `GRPC_GO_LOG_VERBOSITY_LEVEL=99`:

    2026/02/09 10:00:00 INFO: [core] [Channel #1 SubChannel #2] Subchannel Connectivity change to READY

The forms are what grpc-js 1.3.8 to 1.14.7, grpcio 1.85.1 and grpc-go 1.85.0 printed when they were run for this (2026), and those of older C-cores as their
users have posted them (grpc/grpc#22877, #28830). An early grpc-js has no level and no version, and says nothing of a ping's answer or its timeout (1.3.8);
grpc-go says nothing of a ping that was sent or answered.

The time that a line carries is not read: a function's clock may be another one than the story's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

GrpcLibrary = Literal["grpc-js", "grpc-core", "grpc-go"]
GrpcWhat = Literal[
    "ping_sent",
    "ping_answered",
    "ping_timed_out",
    "resolving",
    "resolved",
    "resolution_delayed",
    "connecting",
    "ready",
    "idle",
    "failing",
    "disconnected",
    "other",
]


class GrpcTrace(Struct, frozen=True):
    """One trace line."""

    at: float
    environment: str
    request_id: str | None
    library: GrpcLibrary
    tracer: str
    """The tracer as its library calls it: `keepalive`, `dns_resolver`, ... C-core does not say; then it is the one that turns the line on."""
    what: GrpcWhat
    subject: str
    """The connection, address, target or channel that it speaks of, as the library writes it (`(4) 10.0.0.1:443`); empty where it names none."""
    text: str
    """What it says, without the library's own time, level and place."""


_JS = re.compile(r"(?:^|[\t ])(?:[DIE] )?\d{4}-\d\d-\d\dT[\d:.]+Z \| (?:v\S+(?: \d+)? \| )?(?P<tracer>\w+) \| (?P<text>.*)", re.DOTALL)
_CORE = re.compile(r"(?:^|\s)[DIWEF]\d{4} [\d:.]+\s+\d+ (?P<file>\w+)\.cc:\d+\]\s+(?P<text>.*)", re.DOTALL)
_GO = re.compile(r"(?:^|\s)(?:INFO|WARNING|ERROR): (?:[\d/]+ [\d:.]+ )?\[(?P<tracer>core|transport|dns|balancer)\] (?P<text>.*)", re.DOTALL)
_GO_JSON = re.compile(r"\[(?P<tracer>core|transport|dns|balancer)\] (?P<text>.*)", re.DOTALL)
"""With `GRPC_GO_LOG_FORMATTER=json` the level stands in a field of its own."""

_STATES = "IDLE|CONNECTING|READY|TRANSIENT_FAILURE|SHUTDOWN"
_CHANGE = re.compile(rf"(?P<subject>.*?):? ?\b(?P<before>{_STATES}) -> (?P<after>{_STATES})\b")
_GO_CHANGE = re.compile(rf"(?:Subchannel|Channel) Connectivity change to (?P<after>{_STATES})\b")
_GO_SUBJECT = re.compile(r"\[(?P<subject>Channel #\d+(?: SubChannel #\d+)?|[\w-]*transport 0x\w+)\] ?(?P<rest>.*)", re.DOTALL)
_JS_CONNECTION = re.compile(r"(?P<subject>(?:\(\d+\) )?\S+:\d+) (?P<rest>.*)", re.DOTALL)
_TARGET = re.compile(r"(?:for target|hostname|resolution for) (?P<target>\S+?)(?::? \[|\s|$)")
_CORE_PING = re.compile(r"Ping (?:\d+ )?sent \[(?P<subject>[^]]*)\]")
_CORE_ADDRESS = re.compile(r"(?P<subject>(?:ipv4|ipv6|unix)\S*?): (?P<rest>.*)", re.DOTALL)

_AFTER: dict[str, GrpcWhat] = {"IDLE": "idle", "CONNECTING": "connecting", "READY": "ready", "TRANSIENT_FAILURE": "failing"}

_JS_SAYS: tuple[tuple[str, GrpcWhat], ...] = (
    ("Sending ping", "ping_sent"),
    ("Received ping response", "ping_answered"),
    ("Ping timeout passed", "ping_timed_out"),
    ("resolution update delayed", "resolution_delayed"),
    ("requestReresolution delayed", "resolution_delayed"),
    ("Looking up DNS", "resolving"),
    ("Resolution update requested", "resolving"),
    ("Resolved addresses", "resolved"),
    ("connection closed", "disconnected"),
    ("session closed", "disconnected"),
)
_CORE_SAYS: tuple[tuple[str, GrpcWhat], ...] = (
    ("Start keepalive ping", "ping_sent"),
    ("Finish keepalive ping", "ping_answered"),
    ("Keepalive watchdog fired", "ping_timed_out"),
    ("Keepalive timeout. Closing", "ping_timed_out"),
    ("Ping timeout. Closing", "ping_timed_out"),
    ("cooldown from last resolution", "resolution_delayed"),
    ("starting name resolution", "resolving"),
    ("got resolver result", "resolved"),
)
_GO_SAYS: tuple[tuple[str, GrpcWhat], ...] = (
    ("keepalive ping failed to receive ACK", "ping_timed_out"),
    ("Resolver state updated", "resolved"),
    ("Closing: connection error", "disconnected"),
)
_CORE_TRACERS = {"chttp2_transport": "http_keepalive", "writing": "http_keepalive", "polling_resolver": "dns_resolver"}


def read_traces(text: str, *, at: float, environment: str, request_id: str | None) -> Iterator[GrpcTrace]:
    """All that a log line, which may be several, has of them."""
    for line in text.splitlines():
        if (trace := read_trace(line, at=at, environment=environment, request_id=request_id)) is not None:
            yield trace


def read_trace(text: str, *, at: float, environment: str, request_id: str | None) -> GrpcTrace | None:
    """The trace that a log line is, or None for any other line. What stands before it (a time, a request id, a level) does not matter."""
    found = _read(text)
    if found is None:
        return None
    library, tracer, what, subject, said = found
    return GrpcTrace(at, environment, request_id, library, tracer, what, subject.strip(), said.rstrip())


_Found = tuple[GrpcLibrary, str, GrpcWhat, str, str]


def _read(text: str) -> _Found | None:
    # Nearly every line is none of them; this is cheaper than four searches.
    if " | " not in text and ".cc:" not in text and "] " not in text:
        return None
    as_json = text.startswith("{")
    if as_json:
        text = _message(text) or text
    if (match := _JS.search(text)) is not None:
        return _grpc_js(match["tracer"], match["text"])
    if (match := _CORE.search(text)) is not None:
        return _grpc_core(match["file"], match["text"])
    if (match := _GO_JSON.match(text) if as_json else _GO.search(text)) is not None:
        return _grpc_go(match["tracer"], match["text"])
    return None


def _message(text: str) -> str | None:
    """What was said, where a runtime or a library logs JSON objects."""
    try:
        decoded = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    message = decoded.get("message") if isinstance(decoded, dict) else None
    return message if isinstance(message, str) else None


def _grpc_js(tracer: str, text: str) -> _Found:
    if (change := _CHANGE.match(text)) is not None:
        return "grpc-js", tracer, _changed(change), change["subject"], text
    what = _said(text, _JS_SAYS)
    if what == "ping_sent" and text.startswith("Sending ping to "):
        return "grpc-js", tracer, what, text.removeprefix("Sending ping to "), text
    if (connection := _JS_CONNECTION.match(text)) is not None:
        return "grpc-js", tracer, what, connection["subject"], text
    target = _TARGET.search(text)
    return "grpc-js", tracer, what, target["target"] if target is not None else "", text


def _grpc_core(file: str, text: str) -> _Found:
    tracer = _CORE_TRACERS.get(file, file)
    if (ping := _CORE_PING.search(text)) is not None:
        return "grpc-core", tracer, "ping_sent", ping["subject"], text
    if (change := _CHANGE.match(text)) is not None:
        return "grpc-core", tracer, _changed(change), change["subject"].removeprefix("ConnectivityStateTracker "), text
    what = _said(text, _CORE_SAYS)
    if (address := _CORE_ADDRESS.match(text)) is not None:
        return "grpc-core", tracer, what, address["subject"], text
    target = _TARGET.search(text)
    return "grpc-core", tracer, what, target["target"] if target is not None else "", text


def _grpc_go(tracer: str, text: str) -> _Found:
    named = _GO_SUBJECT.match(text)
    subject, said = (named["subject"], named["rest"]) if named is not None else ("", text)
    if (change := _GO_CHANGE.match(said)) is not None:
        return "grpc-go", tracer, _AFTER.get(change["after"], "other"), subject, text
    # `loopyWriter exiting with error` repeats the reason for which a transport was closed.
    what = "other" if said.startswith("loopyWriter") else _said(said, _GO_SAYS)
    return "grpc-go", tracer, what, subject, text


def _changed(change: re.Match[str]) -> GrpcWhat:
    """What a change of state means: `CONNECTING -> CONNECTING` is none."""
    return _AFTER.get(change["after"], "other") if change["before"] != change["after"] else "other"


def _said(text: str, meanings: tuple[tuple[str, GrpcWhat], ...]) -> GrpcWhat:
    return next((what for words, what in meanings if words in text), "other")
