"""The lab's own hosts: addresses, and the order in which things about them are handed on."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from frostline.core.upstream import parse
from frostline.sandbox.router.addresses import HOSTS, LAB_NETWORK, SERVICE_NETWORK, SLOTS, environment_address, lab_host_address
from frostline.sandbox.router.hosts import by_host, lay_out, served

UPSTREAMS = parse(["a:1=http1", "b:1=host:5432", "a:2=http2,idle=5", "b:2=echo,close=rst"])


def test_each_name_has_an_address_of_its_own() -> None:
    hosts = lay_out(UPSTREAMS)
    assert [(host.name, host.address, [port.port for port in host.ports]) for host in hosts] == [
        ("a", "198.19.64.1", [1, 2]),
        ("b", "198.19.64.2", [1, 2]),
    ]
    ports = {(host.name, port.port): port for host in hosts for port in host.ports}
    assert ports["b", 1].machine_port == 5432
    assert (ports["a", 2].idle_s, ports["b", 2].close) == (5, "rst")


def test_sockets_and_servers_are_in_the_same_order() -> None:
    assert [upstream.name for upstream in by_host(UPSTREAMS) if upstream.machine_port is None] == ["a:1", "a:2", "b:2"]
    assert served(lay_out(UPSTREAMS)) == [("198.19.64.1", 1), ("198.19.64.1", 2), ("198.19.64.2", 2)]


def test_their_addresses_are_nobody_elses() -> None:
    first, last = lab_host_address(HOSTS.start), lab_host_address(HOSTS.stop - 1)
    for address in (first, last):
        assert IPv4Address(address) in IPv4Network(LAB_NETWORK)
        assert IPv4Address(address) not in IPv4Network(SERVICE_NETWORK)
    assert IPv4Address(environment_address(SLOTS.stop - 1)) < IPv4Address(first)
    for number in (0, HOSTS.stop):
        with pytest.raises(ValueError, match="is outside"):
            lab_host_address(number)
