"""What the main process, the lab process and the dialer say to each other: JSON over SOCK_SEQPACKET, descriptors beside it (SCM_RIGHTS).

One datagram is one message, so there is no framing to get wrong, and the end of either process is an end-of-file at the other.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from ...core.conditions import Conditions
from ...core.events import AnyNetworkEvent
from .hosts import LabHost

CONTROL_FD = 3
"""The descriptor at which both processes find their control socket: the first after the standard three."""

MAX_MESSAGE = 65_536
"""Bytes. The longest real message is a block of news (`reporter.BLOCK`), some 25 KB."""

MAX_FDS = 8


class Message(Struct, frozen=True, tag_field="message", tag=True):
    """Base of all messages."""


class Attach(Message, frozen=True):
    """To the lab: give an environment its veth. One descriptor: its network namespace. Answer: Attached or AttachFailed."""

    environment: str


class Attached(Message, frozen=True):
    environment: str
    address: str


class AttachFailed(Message, frozen=True):
    environment: str
    reason: str


class Detach(Message, frozen=True):
    """To the lab: the environment is gone, or is to have no network any more. No answer."""

    environment: str


class Furnished(Message, frozen=True):
    """From the lab, before Ready, where there are hosts of its own; several, as one takes `MAX_FDS` descriptors. Together they bring the router's
    network namespace, then the listening sockets (`hosts.served`).
    """


class OwnHosts(Message, frozen=True):
    """To the dialer, before Serve: the lab's own hosts. One descriptor: the router's network namespace."""

    hosts: tuple[LabHost, ...]


class Ready(Message, frozen=True):
    """From both, once. The lab's brings the descriptors to be handed on in `Serve`."""


class Failed(Message, frozen=True):
    """From both, last: why it ends."""

    reason: str


class Serve(Message, frozen=True):
    """To the dialer: listener for steered TCP, UDP socket and TCP listener of the name server, packet socket (`resets`, where there can
    be one), in this order. Answer: Ready.
    """

    outside: bool = True
    """Functions reach what is outside of the lab, the machine included."""


class OwnPorts(Message, frozen=True):
    """To the dialer: the TCP ports on this machine's own addresses that functions may not reach; replaces the list before."""

    ports: tuple[int, ...]


class Forget(Message, frozen=True):
    """To the dialer: the environment with this address has no network any more; end its connections."""

    address: str


class Denied(Message, frozen=True):
    """From the dialer: it refused to dial. Once for each environment and destination."""

    address: str
    destination: str
    reason: str


class Decide(Message, frozen=True):
    """To the dialer: what connections meet; replaces what was said before."""

    conditions: Conditions | None
    address: str | None = None
    """For the environment with this address alone; no conditions: it has none of its own any more."""


class Observe(Message, frozen=True):
    """To the dialer: how to tell what is seen."""

    offset: float
    """What makes epoch seconds of CLOCK_MONOTONIC, which is the same in every process: the story's clock."""
    recording: bool
    """Whether somebody writes a story; traffic is not told otherwise."""


class PassTime(Message, frozen=True):
    """To the dialer: have the connections of the environment with this address be idle for so much longer, as if time had passed in its freeze."""

    address: str
    seconds: float


class Hold(Message, frozen=True):
    """To the dialer: the environment with this address is frozen; nothing passes any more. Answer: Held, unless Release comes first."""

    address: str
    number: int


class Held(Message, frozen=True):
    number: int


class Release(Message, frozen=True):
    """To the dialer: let everything pass that has not been lost; also calls off a Hold. Answer: Released."""

    address: str
    number: int


class Released(Message, frozen=True):
    number: int


class Seen(Message, frozen=True):
    """From the dialer: what became of connections. The events' `environment` is the environment's address."""

    events: tuple[AnyNetworkEvent, ...]


AnyMessage = (
    Attach
    | Attached
    | AttachFailed
    | Detach
    | Furnished
    | OwnHosts
    | Ready
    | Failed
    | Serve
    | OwnPorts
    | Forget
    | Denied
    | Decide
    | Observe
    | PassTime
    | Hold
    | Held
    | Release
    | Released
    | Seen
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyMessage)


def send(sock: socket.socket, message: AnyMessage, fds: Iterable[int] = ()) -> None:
    """Send one message. Raises BlockingIOError when the socket is non-blocking and full, OSError when nobody is left to read."""
    rights = array.array("i", fds)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
    sock.sendmsg([_encoder.encode(message)], ancillary, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> tuple[AnyMessage, list[int]] | None:
    """Receive one message and its descriptors, which are the caller's now; None at end-of-file.

    Raises BlockingIOError when the socket is non-blocking and empty, msgspec.MsgspecError on a message that is none,
    OSError when descriptors were lost on the way.
    """
    descriptors = array.array("i")
    space = socket.CMSG_SPACE(MAX_FDS * descriptors.itemsize)
    try:
        data, ancillary, flags, _ = sock.recvmsg(MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # The peer ended with our messages unread.
        return None
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if not data:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise OSError("a message or its descriptors were cut short: this process has too many open files (see `ulimit -n`)")
        return _decoder.decode(data), list(descriptors)
    except (OSError, msgspec.MsgspecError):
        for descriptor in descriptors:
            os.close(descriptor)
        raise
