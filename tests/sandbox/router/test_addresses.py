"""The address plan is consistent, and cheap to import."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network

import pytest

from frostline.sandbox.router import GATEWAY_ADDRESS, HOST_ADDRESS, LAB_NETWORK, NAMESERVER_ADDRESS, RESOLV_CONF
from frostline.sandbox.router.addresses import SERVICE_NETWORK, SLOTS, environment_address
from tests.sandbox.router.machine import SOURCES


def test_environments_have_distinct_addresses_in_the_lab_apart_from_services() -> None:
    addresses = {IPv4Address(environment_address(slot)) for slot in SLOTS}
    assert len(addresses) == len(SLOTS)
    assert addresses <= set(IPv4Network("198.19.0.0/18"))
    assert IPv4Network("198.19.0.0/18").subnet_of(IPv4Network(LAB_NETWORK))
    assert not addresses & set(IPv4Network(SERVICE_NETWORK))


@pytest.mark.parametrize("slot", [-1, 0, SLOTS.stop])
def test_a_slot_outside_the_range_is_an_error(slot: int) -> None:
    with pytest.raises(ValueError, match=f"slot {slot} is outside"):
        environment_address(slot)


@pytest.mark.parametrize("address", [GATEWAY_ADDRESS, HOST_ADDRESS, NAMESERVER_ADDRESS])
def test_services_are_in_the_service_network(address: str) -> None:
    assert IPv4Address(address) in IPv4Network(SERVICE_NETWORK)
    assert IPv4Network(SERVICE_NETWORK).subnet_of(IPv4Network(LAB_NETWORK))


def test_resolv_conf_names_the_name_server() -> None:
    assert RESOLV_CONF.splitlines()[0] == f"nameserver {NAMESERVER_ADDRESS}"


def test_importing_the_package_brings_no_library_and_no_event_loop() -> None:
    program = f"import sys; sys.path[:0] = [{SOURCES!r}]; import frostline.sandbox.router; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncio", "msgspec", "dnslib", "socket"} & set(loaded)
