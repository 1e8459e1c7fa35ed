"""What the kernel says to requests. That they do what they should is in test_egress."""

from __future__ import annotations

import errno

import pytest

from frostline.sandbox.router import netlink
from frostline.sandbox.router.netlink import Netlink, NetlinkError

NOBODYS = 999_999
"""An interface number that no interface has; the answer is that, or for an ordinary user that he may not ask."""


def test_a_refused_request_is_named_with_the_kernels_reason() -> None:
    with (
        Netlink() as here,
        pytest.raises(NetlinkError, match=r"could not bring interface 999999 up: (No such device|Operation not permitted)"),
    ):
        here.run([netlink.link_up(NOBODYS)])


def test_tolerated_errors_are_successes_and_the_rest_of_a_batch_is_carried_out() -> None:
    tolerant = netlink.link_up(NOBODYS)._replace(tolerate=frozenset({errno.ENODEV, errno.EPERM}))
    with Netlink() as here:
        here.run([tolerant] * 3)
        with pytest.raises(NetlinkError):
            here.run([tolerant, netlink.link_up(NOBODYS), tolerant])
        here.run([tolerant])


@pytest.mark.parametrize(("value", "padded"), [(b"", 4), (b"a", 8), (b"abcd", 8), (b"abcde", 12)])
def test_attributes_are_padded_and_their_length_is_not(value: bytes, padded: int) -> None:
    encoded = netlink.attribute(3, value)
    assert len(encoded) == padded
    assert int.from_bytes(encoded[:2], "little") == 4 + len(value)
