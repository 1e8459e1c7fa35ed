"""A story in the time that its environments lived."""

from __future__ import annotations

from frostline.core.effects import Transition
from frostline.core.events import ConnectionClosed, ConnectionLost, ConnectionTraffic, EnvironmentWarped, Event, MemorySampled, PathExpired
from frostline.story.lived import as_lived
from frostline.story.records import Line

E, OTHER = "env-1", "env-2"


def said(*told: Event | Transition, at: float = 10.0) -> list[Line]:
    """Lines, all at one time."""
    return [
        Line(seq=number, at=at, effect=each) if isinstance(each, Transition) else Line(seq=number, at=at, event=each)
        for number, each in enumerate(told)
    ]


def moves(before: str, after: str) -> Transition:
    return Transition(environment=E, before=before, after=after, cause="")


def night(*during: Event) -> list[Line]:
    """Frozen, then 8 hours ahead, then what is told, then thawed."""
    warped = EnvironmentWarped(E, seconds=28_800.0, ahead_s=28_800.0)
    return list(as_lived(said(moves("freezing", "frozen"), *during, warped, moves("frozen", "thawing"))))


def test_a_freeze_is_as_long_as_the_environment_found_it() -> None:
    began, *_, ended = night()
    assert (began.at, ended.at) == (10.0, 28_810.0)


def test_what_is_told_of_others_keeps_its_time() -> None:
    lines = [*said(EnvironmentWarped(E, seconds=60.0, ahead_s=60.0)), *said(MemorySampled(OTHER, 1), MemorySampled(E, 1))]
    assert [line.at for line in as_lived(lines)] == [70.0, 10.0, 70.0]


def test_an_end_in_a_freeze_comes_when_it_would_have_come() -> None:
    """The router tells it as seconds from the freeze: 350 of them, of the eight hours."""
    closed = ConnectionClosed(
        E,
        at=360.0,
        connection=1,
        by="peer",
        how="fin",
        frozen=True,
        reached="never",
        sent=1,
        received=1,
        last_sent_at=9.0,
        last_received_at=9.5,
    )
    expired = PathExpired(E, at=360.0, connection=1, middlebox="nat-gateway", idle_s=350.0, then="rst")
    _, told, path, *_ = [line.event for line in night(closed, expired)]
    assert isinstance(told, ConnectionClosed) and isinstance(path, PathExpired)
    assert (told.at, told.last_sent_at, told.last_received_at, path.at) == (360.0, 9.0, 9.5, 360.0)


def test_the_last_bytes_before_a_freeze_stay_before_it_when_the_end_is_seen_after_it() -> None:
    """A middlebox answers the first write by RST: the end is told then, hours later for the environment."""
    warped = EnvironmentWarped(E, seconds=400.0, ahead_s=400.0)
    fields = {"connection": 1, "by": "middlebox", "how": "rst", "frozen": False, "reached": "at_once", "sent": 1, "received": 1}
    closed = ConnectionClosed(E, at=11.0, last_sent_at=9.0, last_received_at=10.5, **fields)  # type: ignore[arg-type]
    *_, told = [line.event for line in as_lived(said(moves("freezing", "frozen"), warped, moves("frozen", "thawing"), closed))]
    assert isinstance(told, ConnectionClosed)
    assert (told.at, told.last_sent_at, told.last_received_at) == (411.0, 9.0, 410.5)


def test_what_came_while_frozen_waits_until_the_thaw() -> None:
    warped = EnvironmentWarped(E, seconds=60.0, ahead_s=60.0)
    burst = ConnectionTraffic(E, at=11.0, until=12.0, connection=1, sent=0, received=5, while_frozen=True)
    lost = ConnectionLost(E, at=12.0, connection=1, fate="lost", ended_at=11.0)
    lines = said(moves("freezing", "frozen"), warped, moves("frozen", "thawing"), burst, lost)
    *_, came, gone = [line.event for line in as_lived(lines)]
    assert isinstance(came, ConnectionTraffic) and isinstance(gone, ConnectionLost)
    assert (came.at, came.until) == (11.0, 72.0)
    assert (gone.ended_at, gone.at) == (11.0, 72.0)


def test_warps_add_up() -> None:
    first, second = EnvironmentWarped(E, seconds=60.0, ahead_s=60.0), EnvironmentWarped(E, seconds=60.0, ahead_s=120.0)
    assert [line.at for line in as_lived(said(first, second, MemorySampled(E, 1)))] == [70.0, 130.0, 130.0]


def test_a_story_without_warps_is_as_it_was() -> None:
    lines = said(moves("freezing", "frozen"), MemorySampled(E, 1), moves("frozen", "thawing"))
    assert list(as_lived(lines)) == lines
