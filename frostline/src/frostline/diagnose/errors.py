"""What a function said about a failure, in its error, its response or its log: was it about a connection, or about time?

Two readings. A *precise* one knows the words of clients for one certain thing; it may judge any line. A *broad* one asks whether an error could be
about the network at all; it may only judge the error of an invocation of which the network's records say already that its connection died.
"""

from __future__ import annotations

import re
from typing import Literal

Trouble = Literal["ended", "waited", "grpc"]
"""`ended`: a connection was over. `waited`: a time limit passed. `grpc`: a gRPC call ended with a status that stands for either."""

_PRECISE: tuple[tuple[Trouble, re.Pattern[str]], ...] = (
    ("grpc", re.compile(r"\b(?:DEADLINE_EXCEEDED|DeadlineExceeded|UNAVAILABLE|code = Unavailable)\b|Stream removed|Connection dropped")),
    (
        "ended",
        re.compile(
            r"\bECONNRESET\b|\bEPIPE\b|\bECONNABORTED\b|[Cc]onnection reset by peer|[Bb]roken pipe|BrokenPipeError|ConnectionResetError|RemoteDisconnected"
            r"|socket hang up|[Ss]erver disconnected|ServerDisconnectedError|Connection aborted|UND_ERR_SOCKET|other side closed|: EOF\b|unexpected EOF"
            r"|[Cc]onnection closed by server|server closed the connection|Connection terminated unexpectedly|SocketClosedUnexpectedly|\[Errno (?:32|104)\]"
            r"|server closed idle connection|use of closed network connection|closed by the remote host|PROTOCOL_CONNECTION_LOST"
            r"|Can ?not write (?:request body|to closing transport)"
            r"|MaxRetriesPerRequestError|Lost connection to \w+ server|server has gone away|driver: bad connection"
        ),
    ),
    (
        "waited",
        re.compile(
            r"\bETIMEDOUT\b|[Tt]imed out|TimeoutError|TimeoutException|(?:Read|Write|Connect|Pool|Server)Timeout\b|[Dd]eadline [Ee]xceeded|i/o timeout"
            r"|[Tt]imeout of \d+ ?ms exceeded|UND_ERR_\w+_TIMEOUT|Client\.Timeout"
        ),
    ),
)

_DEADLINE = re.compile(r"\b(?:DEADLINE_EXCEEDED|DeadlineExceeded)\b")

_BROAD = re.compile(
    r"reset|closed|broken|hang up|hung up|disconnect|\bEOF\b|ECONN|EPIPE|ETIMEDOUT|aborted|terminated|unavailable|time(?:d)? ?-?out|deadline|refused|socket"
    r"|connection|network|stream|unreachable|cancel|transport|protocol|fetch failed|\bremote\b|\bpeer\b|\brpc\b|upstream",
    re.IGNORECASE,
)


def trouble(text: str) -> Trouble | None:
    """What a text certainly speaks of; None where it may be anything."""
    return next((kind for kind, words in _PRECISE if words.search(text)), None)


def about_the_network(text: str) -> bool:
    """An error that could be about the network; what speaks of `TypeError: x is undefined` could not."""
    return trouble(text) is not None or _BROAD.search(text) is not None


def ran_out_of_time(text: str) -> bool:
    """It certainly speaks of a time limit: a client's, a gRPC deadline, or Lambda's own."""
    return trouble(text) == "waited" or _DEADLINE.search(text) is not None
