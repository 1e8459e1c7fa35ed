"""Socket questions and options that several adapters share."""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence

from .._core.configurations import Keepalive, NoKeepalive
from .._core.limits import Unlimited


def is_readable(fileno: int) -> bool:
    """Has the kernel something for this socket: data, an end, an error? Free: it asks, and never waits.

    An idle connection of a protocol in which only clients begin has nothing to be read but its end. A descriptor that is closed counts as
    readable, because there is no connection.
    """
    if fileno < 0:
        return True
    if hasattr(select, "poll"):  # not on Windows; `select` cannot take descriptors above 1023
        poller = select.poll()
        poller.register(fileno, select.POLLIN | select.POLLPRI)
        return bool(poller.poll(0))
    return bool(select.select([fileno], [], [], 0)[0])


def keepalive_options(keepalive: Keepalive | NoKeepalive) -> Sequence[tuple[int, int, int]]:
    """TCP keepalive as `(level, option, value)` for `setsockopt`; empty for none.

    SO_KEEPALIVE alone begins after 7200 s on Linux, which is later than every NAT forgets (boto/botocore#2916): the interval is always
    given too, where the system has the option for it. One probe is given up after `timeout`, which Linux counts as interval times probes.
    """
    if isinstance(keepalive, NoKeepalive) or not keepalive.while_idle:
        return []
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # macOS has its own name for it
    for option, value in ((idle, keepalive.interval), (getattr(socket, "TCP_KEEPINTVL", None), keepalive.timeout)):
        if option is not None and not isinstance(value, Unlimited):
            options.append((socket.IPPROTO_TCP, option, max(1, round(value))))
    if hasattr(socket, "TCP_KEEPCNT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1))
    return options
