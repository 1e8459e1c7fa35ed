"""What the dialer asks of the machine. Its traffic is in test_egress."""

from __future__ import annotations

from frostline.sandbox.router.addresses import HOST_ADDRESS
from frostline.sandbox.router.dialer import is_own_address


def test_the_machines_own_addresses_are_known_without_a_packet() -> None:
    assert is_own_address("127.0.0.1")
    assert not is_own_address(HOST_ADDRESS)
    assert not is_own_address("255.255.255.255")
