"""The ring: effects in their order, events one after another, and no failure that spreads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from frostline.control.clock import Clock
from frostline.control.ring import Ring
from frostline.core.effects import CancelTimer, DestroyEnvironment, Effect, Emit, SetTimer
from frostline.core.events import Event, FunctionRemoved, TimerFired
from frostline.core.fleet import Fleet
from frostline.core.policy import Policy
from frostline.core.states import Cause, InvalidTransition, State
from frostline.story.reader import Story
from frostline.story.writer import StoryWriter

ONE, TWO, THREE = CancelTimer("one"), CancelTimer("two"), CancelTimer("three")


class Script(Fleet):
    """A fleet that answers each event with what a test wrote down for it, or raises it."""

    def __init__(self, answers: dict[str, list[Effect] | Exception]) -> None:
        super().__init__(Policy(), Random(0))
        self.answers = answers
        self.handled: list[str] = []

    def handle(self, event: Event, now: float) -> list[Effect]:
        del now
        assert isinstance(event, FunctionRemoved | TimerFired)
        name = event.function if isinstance(event, FunctionRemoved) else event.timer
        self.handled.append(name)
        answer = self.answers.get(name, [])
        if isinstance(answer, Exception):
            raise answer
        return answer


def ring(fleet: Fleet, carry_out: Callable[[Any], None], story: StoryWriter | None = None) -> Ring:
    return Ring(fleet, Clock(), dict.fromkeys(Effect.__subclasses__(), carry_out), story)


def test_a_ladder_that_lacks_an_effect_is_refused_and_the_effect_is_named() -> None:
    ladder = dict.fromkeys(Effect.__subclasses__(), print)
    del ladder[Emit]
    del ladder[DestroyEnvironment]
    with pytest.raises(TypeError, match="no way to carry out DestroyEnvironment, Emit"):
        Ring(Script({}), Clock(), ladder)


def test_effects_are_carried_out_in_their_order() -> None:
    done: list[Effect] = []
    ring(Script({"a": [ONE, TWO, THREE]}), done.append).feed(FunctionRemoved("a"))
    assert done == [ONE, TWO, THREE]


def test_an_event_that_comes_of_an_effect_waits_until_the_effects_before_it_are_done() -> None:
    log: list[object] = []
    fleet = Script({"a": [ONE, TWO], "b": [THREE]})

    def carry_out(effect: Effect) -> None:
        log.append(effect)
        if effect is ONE:
            it.feed(FunctionRemoved("b"))
            log.append(list(fleet.handled))

    it = ring(fleet, carry_out)
    it.feed(FunctionRemoved("a"))
    assert log == [ONE, ["a"], TWO, THREE]


def test_a_timer_is_fed_as_an_event() -> None:
    fleet = Script({})
    ring(fleet, print).fire("queue:f")
    assert fleet.handled == ["queue:f"]


def test_an_effect_that_cannot_be_carried_out_keeps_no_other_from_it(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[Effect] = []

    def carry_out(effect: Effect) -> None:
        if effect is TWO:
            raise OSError("no such device")
        done.append(effect)

    it = ring(Script({"a": [ONE, TWO, THREE], "b": [ONE]}), carry_out)
    it.feed(FunctionRemoved("a"))
    it.feed(FunctionRemoved("b"))
    assert done == [ONE, THREE, ONE]
    said = capsys.readouterr().err
    assert "frostline: CancelTimer could not be carried out:" in said
    assert "no such device" in said


def test_an_invalid_transition_is_said_with_its_history_and_survived(capsys: pytest.CaptureFixture[str]) -> None:
    error = InvalidTransition("e1", State.GONE, Cause.FREEZE, ["1.0 idle -> stopping: shutdown", "2.0 stopping -> gone: nothing is left"])
    done: list[Effect] = []
    it = ring(Script({"a": error, "b": [ONE]}), done.append)
    it.feed(FunctionRemoved("a"))
    it.feed(FunctionRemoved("b"))
    assert done == [ONE]
    said = capsys.readouterr().err
    assert "environment e1 is gone and cannot take FREEZE" in said
    assert "1.0 idle -> stopping: shutdown" in said
    assert "Traceback" not in said


def test_any_other_failure_of_the_core_is_said_and_the_events_that_wait_are_handled(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[Effect] = []
    fleet = Script({"a": [ONE], "b": AssertionError("answered twice"), "c": [TWO]})

    def carry_out(effect: Effect) -> None:
        done.append(effect)
        if effect is ONE:
            it.feed(FunctionRemoved("b"))
            it.feed(FunctionRemoved("c"))

    it = ring(fleet, carry_out)
    it.feed(FunctionRemoved("a"))
    assert done == [ONE, TWO]
    said = capsys.readouterr().err
    assert "frostline: FunctionRemoved could not be handled" in said
    assert "answered twice" in said


def test_each_event_goes_into_the_story_with_its_effects(tmp_path: Path) -> None:
    writer = StoryWriter.create(tmp_path / "story", version="1", started_at=0.0, level={})
    it = ring(Script({"a": [SetTimer(timer="t", at=1.0)], "b": []}), lambda _: None, writer)
    it.feed(FunctionRemoved("a"))
    it.feed(FunctionRemoved("b"))
    writer.close()
    with Story.open(tmp_path / "story") as story:
        lines = list(story)
    assert [line.event or line.effect for line in lines] == [FunctionRemoved("a"), SetTimer(timer="t", at=1.0), FunctionRemoved("b")]
    assert [line.cause for line in lines] == [None, 1, None]
