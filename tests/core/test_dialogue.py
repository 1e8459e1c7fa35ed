"""The test language itself, which others may use: a dialogue that fails shows where, and one that is forgotten is noticed."""

from __future__ import annotations

import gc

import pytest

from frostline.core.effects import Accepted, Answer, DestroyEnvironment, Emit, FreezeEnvironment, Resolve, StartEnvironment, Succeeded
from frostline.core.events import EnvironmentStarted, InvocationAbandoned, RuntimeNext
from frostline.core.payload import EMPTY
from frostline.core.states import State
from frostline.testing.builders import Like, answers, delivers, function, invocation, resolves, runs, starts
from frostline.testing.dialogue import E1, Dialogue, states
from frostline.testing.laws import Laws

from .prologues import busy


def test_a_mismatch_shows_both_scripts() -> None:
    """What was expected is marked with a minus, what came with a plus."""
    with pytest.raises(AssertionError) as caught:
        assert Dialogue(function()) >> invocation("a") << FreezeEnvironment(E1) << states(E1="frozen")
    lines = str(caught.value).splitlines()
    assert "  >> InvocationArrived(function='f', request_id='a', payload=Payload(b'{}', 2 B))" in lines
    assert "- << FreezeEnvironment(environment='E1')" in lines
    assert any(line.startswith("+ << StartEnvironment(environment='E1', function='f', revision='1'") for line in lines)
    assert "- << {'E1': 'frozen'}" in lines
    assert "+ << {'E1': 'starting'}" in lines


def test_an_effect_too_many_and_one_too_few() -> None:
    """All effects, no others."""
    with pytest.raises(AssertionError, match=r"\+ << StartEnvironment"):
        assert Dialogue(function()) >> invocation("a")
    with pytest.raises(AssertionError, match=r"- << DestroyEnvironment"):
        assert Dialogue(function()) >> invocation("a") << starts(E1) << DestroyEnvironment(E1)


def test_a_dialogue_goes_on_after_an_assert() -> None:
    """Only what is new is played; an answer needs an event before it."""
    dialogue = Dialogue(function()) >> invocation("a") << starts(E1)
    assert dialogue
    with pytest.raises(ValueError, match="is expected after nothing"):
        dialogue << runs(E1)
    assert dialogue >> EnvironmentStarted(E1) << runs(E1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_forgotten_dialogue_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script without an assert would test nothing."""
    seen: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: seen.append(unraisable.exc_value))
    Dialogue(function()) >> invocation("a")
    gc.collect()
    assert [str(each) for each in seen] == [
        "a dialogue was never asserted; its last step is InvocationArrived(function='f', request_id='a', payload=Payload(b'{}', 2 B))"
    ]


def test_hidden_effects_can_be_shown() -> None:
    """`show` names their classes."""
    dialogue = Dialogue(function(), show=[Emit]) >> invocation("a") << starts(E1) >> EnvironmentStarted(E1)
    assert dialogue << Like(Emit, type="platform.initStart") << runs(E1)


def test_a_partial_struct() -> None:
    """Equal when the named fields are."""
    effect = StartEnvironment(environment="e", function="f", revision="1", log_stream="s")
    assert effect == Like(StartEnvironment, environment="e")
    assert effect != Like(StartEnvironment, environment="other")
    assert effect != Like(Answer)
    assert repr(Like(StartEnvironment, environment="e")) == "StartEnvironment(environment='e', ...)"
    with pytest.raises(TypeError, match="StartEnvironment has no field colour; it has environment, function"):
        Like(StartEnvironment, colour="red")


def test_nested_partial_structs() -> None:
    """Answers and outcomes."""
    assert Answer(1, Accepted()) == answers(1, Accepted)
    assert Resolve("a", Succeeded(payload=EMPTY)) == resolves("a", Succeeded)
    assert Answer(1, Accepted()) != delivers(1, "a")


def test_a_failure_inside_the_core_comes_with_the_dialogue() -> None:
    """The script so far is a note on the error."""
    dialogue = busy()
    assert dialogue
    dialogue.fleet.environments[0].state = State.IDLE
    with pytest.raises(AssertionError, match="has an invocation") as caught:
        assert dialogue >> InvocationAbandoned("a")
    assert caught.value.__notes__[0].endswith(">> InvocationAbandoned(request_id='a')")


# The laws, each broken once --------------------------------------------------------------------------------------------------------------

STARTED = StartEnvironment(environment="e", function="f", revision="1", log_stream="s")


def watched(*effects: object) -> Laws:
    """Laws that have seen environment `e` started and built, its runtime run and poll with exchange 1, and `a` invoked."""
    laws = Laws()
    laws.observe(invocation("a"), [STARTED])
    laws.observe(EnvironmentStarted("e"), [runs("e")])
    laws.observe(RuntimeNext("e", 1), list(effects))
    return laws


ACCEPTED = Answer(1, Accepted())
RESOLVED = Resolve("a", Succeeded(payload=EMPTY))
BROKEN = {
    "answered twice": [ACCEPTED, ACCEPTED],
    "nobody asked": [Answer(2, Accepted())],
    "is answered twice": [RESOLVED, RESOLVED],
    "nobody invoked it": [Resolve("b", Succeeded(payload=EMPTY))],
    "is started twice": [STARTED],
    "while it runs": [runs("e")],
    "is destroyed": [DestroyEnvironment("e"), DestroyEnvironment("e")],
    "while the runtime is at work": [ACCEPTED, FreezeEnvironment("e")],
    "twice": [FreezeEnvironment("e"), FreezeEnvironment("e")],
}


@pytest.mark.parametrize(("message", "effects"), BROKEN.items(), ids=BROKEN)
def test_a_broken_law_is_seen(message: str, effects: list[object]) -> None:
    """Each names what it was about."""
    with pytest.raises(AssertionError, match=message):
        watched(*effects)


def test_an_invoker_who_is_never_answered_is_seen() -> None:
    """At the end."""
    with pytest.raises(AssertionError, match="never answered"):
        watched().finished()
