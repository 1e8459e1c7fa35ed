"""An environment's init: cold start, errors, timeouts, and the suppressed init that follows a failed one."""

from __future__ import annotations

import json

from frostline.core.effects import (
    Accepted,
    Emit,
    FreezeEnvironment,
    FunctionFailed,
    KillProcesses,
    NextInvocation,
    Refused,
    SetTimer,
    StartEnvironment,
    Succeeded,
)
from frostline.core.events import EnvironmentStarted, EnvironmentStartFailed, ProcessesKilled, ProcessExited, RuntimeInitFailed, RuntimeNext
from frostline.core.payload import Payload
from frostline.core.policy import Policy
from frostline.testing.builders import Like, answers, delivers, exited, function, invocation, resolves, responded, runs, starts
from frostline.testing.dialogue import BEGINNING, E1, E2, Dialogue, states, wait

from .prologues import NO_FREEZE, busy, initializing

BROKEN = Payload(b'{"errorMessage":"boom","errorType":"ImportError","requestId":"","stackTrace":[]}')


def body(payload: Payload) -> object:
    return json.loads(payload.data)


def error_of(dialogue: Dialogue, request_id: str) -> object:
    """The payload that an invoker got."""
    for effect in dialogue.effects:
        if effect == resolves(request_id, FunctionFailed):
            return body(effect.outcome.payload)  # type: ignore[attr-defined]
    raise AssertionError(f"{request_id} has not failed")


def test_a_cold_start_builds_starts_and_delivers() -> None:
    """The first invocation builds a sandbox; the runtime's first /next ends the init and gets the event, with all that AWS tells it."""
    assert (
        Dialogue(function(timeout_s=5.0))
        >> invocation("a", payload=b'{"n":1}')
        << StartEnvironment(
            environment=E1, function="f", revision="1", log_stream="2001/09/09/[$LATEST]E1"
        )
        >> EnvironmentStarted(E1)
        << runs(E1)
        << states(E1="initializing")
        >> wait(1)
        >> RuntimeNext(E1, 1)
        << Like(
            type(answers(1, NextInvocation).kind) and answers(1, NextInvocation).kind,
            exchange=1,
            reply=NextInvocation(
                request_id="a",
                deadline_ms=int((BEGINNING + 6) * 1000),
                function_arn="arn:aws:lambda:us-east-1:123456789012:function:f",
                payload=Payload(b'{"n":1}'),
            ),
        )
        << states(E1="busy")
        >> responded(E1, 2, "a", b"42")
        << resolves("a", Succeeded, payload=Payload(b"42"), content_type="application/json", log_tail=None)
        << answers(2, Accepted)
        << states(E1="busy")
        >> RuntimeNext(E1, 3)
        << states(E1="idle")
    )
