"""What may be dialed, and as what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.sandbox.router.addresses import GATEWAY_ADDRESS, HOST_ADDRESS, NAMESERVER_ADDRESS, environment_address
from frostline.sandbox.router.policy import DestinationDenied, candidates

OWN = frozenset({9001})


def everywhere(_: str) -> bool:
    return True


def nowhere(_: str) -> bool:
    return False


def test_an_address_of_the_real_network_is_dialed_as_it_is() -> None:
    assert candidates("203.0.113.7", 443, OWN, nowhere) == ("203.0.113.7",)


def test_the_machines_address_means_its_loopback() -> None:
    assert candidates(HOST_ADDRESS, 5432, OWN, everywhere) == ("127.0.0.1", "::1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "0.0.0.0", "224.0.0.251", "255.255.255.255"])
def test_what_is_no_other_host_is_denied_with_the_machines_name(address: str) -> None:
    with pytest.raises(DestinationDenied, match=r"this machine is host\.frostline\.internal"):
        candidates(address, 80, frozenset(), nowhere)


@pytest.mark.parametrize("address", [GATEWAY_ADDRESS, NAMESERVER_ADDRESS, environment_address(1), "198.19.64.1"])
def test_addresses_of_the_lab_are_not_dialed(address: str) -> None:
    with pytest.raises(DestinationDenied, match="belongs to the lab"):
        candidates(address, 80, frozenset(), nowhere)


def test_the_clouds_metadata_service_is_denied() -> None:
    with pytest.raises(DestinationDenied, match="link-local"):
        candidates("169.254.169.254", 80, frozenset(), nowhere)


@pytest.mark.parametrize("address", [HOST_ADDRESS, "192.0.2.10"])
def test_frostlines_own_ports_are_denied_under_each_of_the_machines_addresses(address: str) -> None:
    with pytest.raises(DestinationDenied, match="is Frostline itself"):
        candidates(address, 9001, OWN, everywhere)


def test_the_same_port_of_another_host_is_dialed() -> None:
    assert candidates("192.0.2.10", 9001, OWN, nowhere) == ("192.0.2.10",)


@given(st.ip_addresses(v=4), st.integers(0, 65_535))
def test_loopback_is_dialed_for_the_machines_address_only(address: object, port: int) -> None:
    try:
        dialed = candidates(str(address), port, OWN, everywhere)
    except DestinationDenied:
        return
    assert dialed == (str(address),) or str(address) == HOST_ADDRESS
