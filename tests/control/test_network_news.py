"""What the router saw is told some time later; the story has it with the invocation that was running when it happened."""

from __future__ import annotations

import pytest

from frostline.control.environments import REMEMBERED, Exchanges, Host
from frostline.core.events import (
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    ConnectionTraffic,
    FirstWriteAnswered,
    NetworkEvent,
    NetworkRestored,
)
from frostline.project import Deployment, Launch
from frostline.testing.fake_runtime import Event, Process, runtime
from tests.control.rig import Rig, eventually, function


def host() -> Host:
    deployment = Deployment(function=function(), code=__file__, launch=Launch(argv=("/bin/true",)))  # type: ignore[arg-type]
    return Host("e", deployment, "stream", Exchanges(), lambda _: None, lambda _host, _events: None)


def traffic(at: float) -> ConnectionTraffic:
    return ConnectionTraffic("e", at=at, connection=1, until=at + 0.1, sent=1, received=0)


EVENTS: list[NetworkEvent] = [
    traffic(15.0),
    ConnectionOpened("e", at=15.0, connection=1, host=None, address="a", port=1, local_port=2, fate="lost"),
    ConnectionRefused("e", at=15.0, host=None, address="a", port=1, local_port=2, reason="no"),
    ConnectionClosed("e", at=15.0, connection=1, by="peer", how="fin", frozen=False, reached="at_once", sent=0, received=0),
    FirstWriteAnswered("e", at=15.0, connection=1, answer="rst"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_the_invocation_that_was_running_is_named(event: NetworkEvent) -> None:
    found = host()
    for request_id, at in (("first", 10.0), (None, 14.0), ("second", 14.5), (None, 16.0), ("third", 16.1)):
        found.runs(request_id, at)
    assert getattr(found.tagged(event), "request_id", None) == "second"


def test_between_two_invocations_there_is_none() -> None:
    found = host()
    for request_id, at in (("first", 10.0), (None, 14.0), ("second", 15.0)):
        found.runs(request_id, at)
    tagged = [found.tagged(traffic(at)) for at in (9.0, 13.9, 14.2, 15.0)]
    assert [getattr(event, "request_id", "") for event in tagged] == [None, "first", None, "second"]


def test_what_came_in_a_long_freeze_belongs_to_nobody() -> None:
    found = host()
    for request_id, at in (("first", 10.0), (None, 11.0), ("second", 5000.0)):
        found.runs(request_id, at)
    assert getattr(found.tagged(traffic(60.0)), "request_id", "") is None


def test_what_is_remembered_of_invocations_is_bounded() -> None:
    found = host()
    for number in range(5 * REMEMBERED):
        found.runs(str(number), number * 0.0001)
    assert len(found._requests) == REMEMBERED
    found.runs(None, 1000.0)
    assert len(found._requests) == 2


def test_an_event_that_no_invocation_pays_for_stays_as_it_is() -> None:
    event = NetworkRestored("e", at=1.0, frozen_s=1.0, connections=0, drained=True, fins=0, resets=0, lost=0, black_holed=0, waiting=0)
    assert host().tagged(event) is event


def echo(process: Process, event: Event) -> bytes:
    process.print("here")
    return event.payload


async def test_news_of_a_running_environment_are_recorded_with_its_invocation(rig: Rig) -> None:
    rig.sandbox.programs["runtime"] = runtime(echo)
    await rig.start()
    began = rig.plane.clock.now()
    request_id = (await rig.invoke(1)).headers["x-amzn-requestid"]
    (environment,) = rig.sandbox.environments
    starts = [at for at, running in rig.plane.hosts[environment]._requests if running == request_id]
    rig.sandbox.report(ConnectionTraffic(environment, at=starts[0], connection=1, until=starts[0], sent=1, received=0))
    await eventually(lambda: any(isinstance(event, ConnectionTraffic) for event in rig.witness.events))
    (told,) = [event for event in rig.witness.events if isinstance(event, ConnectionTraffic)]
    assert began <= told.at
    assert told.request_id == request_id
