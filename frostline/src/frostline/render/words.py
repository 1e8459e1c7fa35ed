"""Words and numbers as all pictures write them, and text from a story made fit to be shown.

Everything that a function printed, and every name in a story, is somebody else's text: `clean` goes over it before it reaches a terminal or a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..core.events import ConnectionClosed
from ..core.middlebox import PEER
from ..story.timeline import Connection, Invocation
from .view import spoiled

SHORT_ID = 8
"""Characters of a request id that tell it from others within one story: the first block of a UUID."""

_CONTROL = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_UNSAFE = re.compile("[\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""C1 controls (a terminal obeys some), marks that reorder text (Unicode TR 36, 2.5), lone surrogates, and what XML 1.0 has no character for."""


def clean(text: str, most: int = 0) -> str:
    """Text on one line, with every control character made visible; cut after `most` characters where that is not 0."""
    if most and len(text) > most:
        text = text[: most - 1] + "…"
    text = text.replace("\t", " ").replace("\r\n", "\n").replace("\n", "⏎")
    return _UNSAFE.sub("\ufffd", text.translate(_CONTROL))


def ends_kept(text: str, most: int) -> str:
    """Text of at most so many characters without its middle: an error's cause is at its end, its kind at its beginning."""
    text = clean(text)
    begin = most // 3
    return text if len(text) <= most else f"{text[:begin]}…{text[len(text) - (most - begin - 1) :]}"


def duration(seconds: float) -> str:
    """`0.3 ms`, `12 ms`, `4.5 s`, `2 min 05 s`, `3 h 10 min`: three digits at most below a minute."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 0.00995:
        return f"{seconds * 1e3:.1f}".removesuffix(".0") + " ms"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.2f}".removesuffix("0") + " s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"


def size(count: int) -> str:
    """`17 B`, `4.1 KB`, `3.2 MB`, with 1 KB of 1,000 bytes."""
    if count < 1000:
        return f"{count} B"
    for unit, factor in (("KB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < factor * 999.5 or unit == "GB":
            return f"{count / factor:.1f} {unit}" if count < factor * 9.95 else f"{count / factor:,.0f} {unit}"
    raise AssertionError("unreachable")


def number(count: int, noun: str, plural: str | None = None) -> str:
    """`1 invocation`, `3,000 invocations`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def short(request_id: str) -> str:
    """A request id as pictures write it."""
    return clean(request_id[:SHORT_ID])


def peer(name: str, most: int) -> str:
    """A connection's `host:port`, of at most so many characters: the port stays."""
    host, _, port = clean(name).rpartition(":")
    room = most - len(port) - 1
    return f"{host if len(host) <= room else host[: room - 1] + '…'}:{port}"


def with_short_ids(sentence: str, request_ids: Iterable[str]) -> str:
    """A sentence with these request ids as pictures write them."""
    for request_id in request_ids:
        if len(request_id) > SHORT_ID:
            sentence = sentence.replace(request_id, request_id[:SHORT_ID])
    return sentence


def outcome(invocation: Invocation) -> str:
    """How an invocation ended: `succeeded`, `failed: Error: 4 DEADLINE_EXCEEDED`, ..."""
    reason = ": ".join(part for part in (invocation.error_type, invocation.error_message) if part)
    if reason and invocation.outcome != "succeeded":
        return f"{invocation.outcome}: {clean(reason)}"
    return invocation.outcome


def carried(connection: Connection) -> tuple[int, int]:
    """Bytes from the environment and from the peer, as far as they were recorded: what traffic adds up to, or what its end says."""
    sent = [sum(burst.sent for burst in connection.traffic), *(event.sent for event in connection.closed)]
    received = [sum(burst.received for burst in connection.traffic), *(event.received for event in connection.closed)]
    return max(sent), max(received)


def became(connection: Connection) -> str:
    """What became of a connection, in a few words."""
    said = [_ended(connection)]
    if bad := spoiled(connection):
        answer = {"rst": "RST", "fin": "FIN", "nothing": "silence"}[bad[0].answer]
        said.append(f"first write after the thaw: {answer}")
    return "; ".join(said)


def _ended(connection: Connection) -> str:
    lost = connection.lost
    if lost is not None:
        by_path = lost.by == "middlebox" and (connection.expired is None or connection.expired.middlebox != PEER)
        who = "its path forgot it" if by_path else "the peer closed it"
        return "black hole since a freeze" if lost.fate == "blackhole" else f"lost: {who} in a freeze"
    if connection.closed:
        return closed(connection.closed[0])
    if connection.expired is not None:
        return f"forgotten by {clean(connection.expired.middlebox)} after {duration(connection.expired.idle_s)}"
    return "open"


def closed(event: ConnectionClosed) -> str:
    """`closed by the peer (FIN), frozen`."""
    by = {"environment": "the environment", "peer": "the peer", "middlebox": "the path"}[event.by]
    return f"{'reset' if event.how == 'rst' else 'closed'} by {by}{' while frozen' if event.frozen else ''}"
