from __future__ import annotations

import socket

from thawsafe import NO_KEEPALIVE, UNLIMITED, Keepalive
from thawsafe._runtime.sockets import is_readable, keepalive_options


def test_a_socket_is_readable_when_there_is_something_or_nothing_will_be() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not is_readable(ours.fileno())
        theirs.send(b"x")
        assert is_readable(ours.fileno())
        ours.recv(1)
        theirs.close()
        assert is_readable(ours.fileno())
    assert is_readable(ours.fileno()), "closed"


def test_keepalive_has_its_times_and_not_the_kernels() -> None:
    """SO_KEEPALIVE alone would begin after two hours."""
    made = socket.socket()
    with made:
        for option in keepalive_options(Keepalive(interval=45, timeout=15, while_idle=True)):
            made.setsockopt(*option)
        values = [made.getsockopt(socket.IPPROTO_TCP, name) for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)]

    assert values == [45, 15, 1]


def test_no_keepalive_is_none() -> None:
    assert keepalive_options(NO_KEEPALIVE) == []
    assert keepalive_options(Keepalive(interval=45, timeout=15, while_idle=False)) == [], "TCP knows no requests"


def test_an_unlimited_time_is_left_to_the_kernel() -> None:
    names = {option[1] for option in keepalive_options(Keepalive(interval=UNLIMITED, timeout=15, while_idle=True))}

    assert socket.TCP_KEEPIDLE not in names
