"""The state table: whole, consistent, and the picture in docs/ drawn from it."""

from __future__ import annotations

import pytest

from frostline.core.policy import Policy
from frostline.core.states import TRANSITIONS, Cause, InvalidTransition, State, after
from frostline.testing.dialogue import E1
from scripts.draw_states import PAGE, mermaid, page

from .prologues import frozen


def reachable(start: State) -> set[State]:
    """All states that can follow, the start included."""
    found, ahead = {start}, [start]
    while ahead:
        for following in TRANSITIONS[ahead.pop()].values():
            if following not in found:
                found.add(following)
                ahead.append(following)
    return found


def test_every_state_has_its_row() -> None:
    """Also those that lead nowhere."""
    assert set(TRANSITIONS) == set(State)


def test_every_state_is_reached_from_starting() -> None:
    """No state is there in vain."""
    assert reachable(State.STARTING) == set(State)


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_state_leads_to_gone(state: State) -> None:
    """No environment can be stuck by the table."""
    assert State.GONE in reachable(state)


def test_every_cause_is_used() -> None:
    """No label is there in vain."""
    assert {cause for ways in TRANSITIONS.values() for cause in ways} == set(Cause)


def test_every_living_state_can_be_shut_down() -> None:
    """Frostline may end at any moment; frozen ones directly or through a thaw."""
    for state, ways in TRANSITIONS.items():
        if state not in (State.STOPPING, State.GONE):
            assert ways[Cause.SHUTDOWN] is State.STOPPING


def test_nothing_is_delivered_to_a_frozen_environment() -> None:
    """From frozen and freezing no way leads to busy but through thawing."""
    for state in (State.FREEZING, State.FROZEN):
        assert State.BUSY not in TRANSITIONS[state].values()
        assert TRANSITIONS[state][Cause.ASSIGNED] is State.THAWING
    assert [state for state, ways in TRANSITIONS.items() if State.BUSY in ways.values()] == [State.IDLE, State.THAWING]


def test_values_are_unique() -> None:
    """Stories tell states and causes by their values."""
    assert len({state.value for state in State}) == len(State)
    assert len({cause.value for cause in Cause}) == len(Cause)


def test_after() -> None:
    """The following state, or None."""
    assert after(State.IDLE, Cause.FREEZE) is State.FREEZING
    assert after(State.BUSY, Cause.FREEZE) is None
    assert all(after(State.GONE, cause) is None for cause in Cause)


def test_an_invalid_transition_tells_the_environments_story() -> None:
    """An error knows what led to it."""
    dialogue = frozen(policy=Policy(spares=0))
    assert dialogue
    [environment] = dialogue.fleet.environments
    with pytest.raises(InvalidTransition) as caught:
        environment.freeze(dialogue.now, [])
    message = str(caught.value).replace(environment.id, E1)
    assert message.startswith("environment E1 is frozen and cannot take FREEZE ('idle for the freeze delay'); its recent history:\n")
    assert "starting -> initializing: init begins" in message
    assert "freezing -> frozen: kernel: frozen" in message
    assert message.endswith("This is a bug in Frostline: please report it with this text.")


def test_the_diagram_has_every_way() -> None:
    """One arrow for each pair of states, and no colon inside a label, where Mermaid would stop reading."""
    arrows = [line.strip() for line in mermaid().splitlines() if "-->" in line and "[*]" not in line]
    pairs = {(state, following) for state, ways in TRANSITIONS.items() for following in ways.values()}
    assert len(arrows) == len(pairs)
    assert all(arrow.count(":") == 1 for arrow in arrows)


def test_the_page_is_up_to_date() -> None:
    """Run `.venv/bin/python scripts/draw_states.py` when this fails."""
    assert PAGE.read_text(encoding="utf-8") == page()
