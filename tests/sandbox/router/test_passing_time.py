"""Time that is made to pass for connections whose ends are delivered at once: they are told now, and as of when they would have come."""

from __future__ import annotations

import sys
import time

import pytest

from frostline.core.conditions import Conditions
from frostline.core.events import ConnectionClosed, ConnectionOpened
from frostline.core.fates import Fates
from frostline.core.middlebox import parse
from frostline.sandbox.router.client import Router
from frostline.sandbox.router.hosts import LabHost, LabPort
from tests.sandbox.router.conftest import Lab
from tests.sandbox.router.machine import Machine
from tests.sandbox.router.pairs import NAME, Listener, Pair
from tests.sandbox.router.test_egress import connect

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


@pytest.mark.parametrize(("idle_s", "first", "after_s"), [(30.0, "peer", 30.0), (1000.0, "middlebox", 60.0)])
async def test_an_end_that_is_delivered_has_the_time_at_which_it_would_have_come(
    machine: Machine, idle_s: float, first: str, after_s: float
) -> None:
    lab = Lab(machine)
    listener = Listener(lab)
    port = LabPort(port=80, machine_port=listener.port, idle_s=idle_s)
    lab.router = Router(lab._on_lost, None, lab._on_seen, hosts=(LabHost(name="peer.test", address="198.19.64.1", ports=(port,)),))
    await lab.router.open(machine.spawn)
    namespace = await lab.environment(NAME)
    lab.router.decide(Conditions(fates=Fates(default="fin_delivered"), middleboxes=parse(["alb"])))
    pair = Pair(near := await connect(namespace, 80, "198.19.64.1"), near)
    (opened,) = await lab.saw(ConnectionOpened)
    began = time.monotonic()
    await lab.hold(NAME)
    lab.router.pass_time(NAME, 2000)
    assert await pair.read() == b"", "its kernel receives the end while it is frozen"
    await lab.release(NAME)
    (closed,) = await lab.saw(ConnectionClosed)
    assert (closed.by, closed.how, closed.reached) == (first, "fin", "at_once")
    assert after_s - 1 <= closed.at - opened.at <= after_s + 1 + time.monotonic() - began
    pair.close()
    listener.close()
    await lab.router.close()
