"""The router's links: one routed veth per environment, with permanent neighbours at both ends and no ARP.

Everything here runs in the lab process, which has one thread: it steps into an environment's network namespace to make a socket there, and
back out.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

from ..warden.syscalls import CLONE_NEWNET, setns
from . import netlink
from .addresses import (
    ENVIRONMENT_INTERFACE,
    ENVIRONMENT_MAC,
    GATEWAY_ADDRESS,
    GATEWAY_MAC,
    ROUTER_INTERFACE_PREFIX,
    environment_address,
)
from .netlink import LOOPBACK_INDEX, Netlink
from .ruleset import STEER_MARK

STEER_TABLE = 100
"""The routing table in which every address is local."""

FIRST_INDEX = 1000
"""Interface numbers are chosen, not asked for, so that a link and what hangs on it fit into one batch. Low ones may be taken."""

ENVIRONMENT_INDEX = 100

LOOK_PAUSE_S = 0.0005
LOOKS = 200
"""0.1 s in all. After that the environment is attached all the same."""

CONDEMNED_GROUP = 1
"""Links that wait for their deletion (0 is every link's default)."""


class Links:
    """The links of the namespace in which it is made. Raises NetlinkError where the kernel refuses."""

    def __init__(self) -> None:
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._netlink = Netlink()

    def prepare(self, hosts: Iterable[str] = ()) -> None:
        """Make the empty namespace a router: loopback, addresses of the gateway and of the lab's own hosts, local delivery of what nft marks."""
        self._netlink.run(
            [
                netlink.link_up(LOOPBACK_INDEX),
                netlink.new_address(LOOPBACK_INDEX, GATEWAY_ADDRESS),
                *(netlink.new_address(LOOPBACK_INDEX, address) for address in hosts),
                netlink.everything_is_local(STEER_TABLE),
                netlink.mark_rule(STEER_MARK, STEER_TABLE),
            ]
        )

    def attach(self, slot: int, netns: int) -> None:
        """Connect an environment's namespace. On failure nothing of it is left but what `condemn` removes."""
        index, address = FIRST_INDEX + slot, environment_address(slot)
        self._netlink.run(
            [
                netlink.new_veth(
                    f"{ROUTER_INTERFACE_PREFIX}{slot}",
                    index,
                    GATEWAY_MAC,
                    ENVIRONMENT_INTERFACE,
                    ENVIRONMENT_INDEX,
                    ENVIRONMENT_MAC,
                    netns,
                ),
                netlink.no_ipv6_address(index),
                netlink.link_up(index),
            ]
        )
        with self._inside(netns) as inner:
            inner.run(
                [
                    netlink.no_ipv6_address(ENVIRONMENT_INDEX),
                    netlink.new_address(ENVIRONMENT_INDEX, address),
                    netlink.link_up(ENVIRONMENT_INDEX),
                    netlink.permanent_neighbour(ENVIRONMENT_INDEX, GATEWAY_ADDRESS, GATEWAY_MAC),
                    netlink.default_route(GATEWAY_ADDRESS, ENVIRONMENT_INDEX),
                ]
            )
        self._wait_until_operational(index)
        self._netlink.run(
            [
                netlink.permanent_neighbour(index, address, ENVIRONMENT_MAC),
                netlink.host_route(address, index, GATEWAY_ADDRESS),
            ]
        )

    def _wait_until_operational(self, index: int) -> None:
        """The end that was up first gets its carrier with the second, and a kernel thread notices (linkwatch): until then it drops what is sent.

        That would be the answer to an environment's first name look-up, which is asked again after 5 s (measured: 1 of 50, with a fresh router). The
        thread works under the same lock as the requests that follow, so when they are done it is done too.
        """
        for _ in range(LOOKS):
            if self._netlink.is_operational(index):
                return
            time.sleep(LOOK_PAUSE_S)

    def condemn(self, slot: int) -> None:
        """Mark a link for `sweep`. One that vanished with its namespace is no error."""
        self._netlink.run([netlink.set_group(FIRST_INDEX + slot, CONDEMNED_GROUP)])

    def sweep(self) -> None:
        """Delete what was condemned."""
        self._netlink.run([netlink.delete_group(CONDEMNED_GROUP)])

    @contextlib.contextmanager
    def _inside(self, netns: int) -> Iterator[Netlink]:
        """A netlink socket that belongs to another namespace."""
        setns(netns, CLONE_NEWNET)
        try:
            inner = Netlink()
        finally:
            setns(self._home, CLONE_NEWNET)
        with inner:
            yield inner
