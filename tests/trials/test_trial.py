"""What a trial is: scripts, and how an invocation is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from frostline.core.effects import FunctionFailed, Succeeded
from frostline.core.payload import Payload
from frostline.trials.trial import Invoked, deployed, in_turn
from tests.trials.trying import trial


class Recorder:
    """A life in which nothing happens."""

    def __init__(self) -> None:
        self.steps: list[object] = []

    async def invoke(self, event: object = None) -> Invoked:
        self.steps.append(event)
        return invoked(b"null")

    async def idle(self, seconds: float) -> None:
        self.steps.append(seconds)

    def meet(self, conditions: object) -> None:
        self.steps.append(conditions)

    async def wait(self, seconds: float) -> None:
        self.steps.append(seconds)


def invoked(payload: bytes, *, failed: bool = False) -> Invoked:
    body = Payload(payload)
    return Invoked(request_id="r", begin=1.0, end=2.0, outcome=FunctionFailed(payload=body) if failed else Succeeded(payload=body))


async def test_invocations_and_gaps_take_turns() -> None:
    life = Recorder()
    await in_turn(["a", "b", "c"], [4.5, 1.5])(life)
    assert life.steps == ["a", 4.5, "b", 1.5, "c"]


async def test_one_invocation_has_no_gap() -> None:
    life = Recorder()
    await in_turn([{}], [])(life)
    assert life.steps == [{}]


@pytest.mark.parametrize("gaps", [[], [1.0, 2.0]])
def test_gaps_lie_between_invocations(gaps: list[float]) -> None:
    with pytest.raises(ValueError, match=f"2 invocations have 1 gaps between them, and {len(gaps)} were given"):
        in_turn([{}, {}], gaps)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"errorType":"ReadError","errorMessage":"reset"}', "ReadError: reset"),
        (b'{"errorType":"Runtime.ExitError"}', "Runtime.ExitError"),
        (b"{}", "no error was given"),
        (b"not JSON", "not JSON"),
    ],
)
def test_an_error_is_said_in_the_clients_words(payload: bytes, said: str) -> None:
    assert invoked(payload, failed=True).error == said


def test_what_succeeded_has_an_answer_and_no_error() -> None:
    assert (invoked(b'{"noticed_s": 1.5}').answer, invoked(b"{}").error, invoked(b"{}").failed) == ({"noticed_s": 1.5}, None, False)


def test_a_trial_is_deployed_under_its_own_name_with_one_environment(tmp_path: Path) -> None:
    function = deployed(trial(tmp_path, "go-7", VARIANT="incident")).function
    assert (function.name, function.concurrency, function.environment) == ("go-7", 1, {"VARIANT": "incident"})
