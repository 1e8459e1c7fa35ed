"""What the first trials say of a function."""

from __future__ import annotations

import pytest

from frostline.core.effects import FunctionFailed, Succeeded
from frostline.core.events import ConnectionRefused
from frostline.core.payload import Payload
from frostline.core.upstream import parse
from frostline.sandbox.router.policy import OUTSIDE
from frostline.story.timeline import Timeline
from frostline.testing.builders import function
from frostline.trials.doctor.baseline import Baseline, baseline, failure
from frostline.trials.trial import Invoked, Result
from tests.diagnose.told import A, B, Told

STAND_INS = parse(["api.local:8080=http1,idle=60"])


def answered(body: bytes = b"{}", *, failed: bool = False) -> Invoked:
    payload = Payload(body)
    return Invoked(
        request_id="r", begin=100.0, end=100.01, outcome=FunctionFailed(payload=payload) if failed else Succeeded(payload=payload)
    )


def lives(*told: str) -> list[Result]:
    """Environments' invocations: `.` for one that went well, `!` for one that failed."""
    return [
        Result(trial=str(number), finished=True, invocations=[answered(failed=mark == "!") for mark in marks])
        for number, marks in enumerate(told)
    ]


def found(results: list[Result], told: Timeline | None = None, packages: tuple[str, ...] = ()) -> Baseline:
    return baseline(results, told or Told().timeline(), STAND_INS, function(runtime="python3.12", packages=packages))


@pytest.mark.parametrize(
    ("told", "when"),
    [
        (("!!!!", "!!!!"), "always"),
        ((".!!!", ".!!!"), "whenever it is invoked again in the same environment"),
        (("!...", "!..."), "only in the first invocation of an environment"),
        (("..!.", "..!."), "only in the third invocation of an environment"),
        (("!...", "...."), "sometimes"),
        (("..!.", "...."), "sometimes"),
        (("....", "...."), ""),
    ],
)
def test_when_it_fails(told: tuple[str, ...], when: str) -> None:
    made = found(lives(*told))
    assert (made.when, made.healthy) == (when, when == "")


def test_a_function_that_could_not_be_invoked_is_not_healthy() -> None:
    made = found([Result(trial="a", problem="it could not be started")])
    assert (made.healthy, made.error) == (False, "it could not be started")


def test_an_api_that_answers_500_failed() -> None:
    assert failure(answered(b'{"statusCode": 502, "body": "upstream"}')) == "it answered statusCode 502: upstream"
    for well in (b'{"statusCode": 404}', b'{"statusCode": true}', b'"text"'):
        assert failure(answered(well)) is None


def connected() -> Told:
    """One connection of the init, used twice, and one for each invocation."""
    story = Told()
    story.environment("env-1")
    story.opens(1, 0.4)
    for number, (request, at) in enumerate(((A, 1.0), (B, 2.0)), 2):
        story.invocation(request, at, at + 0.1)
        story.sends(1, at + 0.01)
        story.opens(number, at + 0.02, host="redis.example.com", port=6379)
        story.sends(number, at + 0.03)
        story.closes(number, at + 0.05)
    return story


def test_whom_it_connects_to_and_with_what() -> None:
    api, redis = found(lives(".."), connected().timeline(), ("requests", "redis")).destinations
    assert (api.name, api.server.protocol, api.clients, api.keeps, api.in_init, api.outside) == (
        "api.local:8080",
        "HTTP",
        ("requests",),
        "kept",
        True,
        False,
    )
    assert (redis.name, redis.connections, redis.clients, redis.keeps, redis.in_init, redis.outside) == (
        "redis.example.com:6379",
        2,
        ("redis-py",),
        "closed",
        False,
        True,
    )


def test_a_connection_that_only_a_thread_uses_is_kept() -> None:
    """It carries nothing in any invocation; its environment's end ends it."""
    story = Told()
    story.invocation(A, 1.0, 1.01)
    story.opens(1, 1.005)
    story.invocation(B, 1.1, 1.11)
    story.closes(1, 1.2)
    (found_,) = found(lives(".."), story.timeline()).destinations
    assert found_.keeps == "kept"


def test_whom_it_could_not_reach_is_said_once() -> None:
    story = connected()
    made = story.timeline()
    made.refused += [
        ConnectionRefused("env-1", at=1.0, host="api.example.com", address="198.19.127.4", port=443, local_port=1, reason=OUTSIDE),
        ConnectionRefused("env-1", at=2.0, host="api.example.com", address="198.19.127.4", port=443, local_port=2, reason=OUTSIDE),
        ConnectionRefused("env-1", at=3.0, host=None, address="10.0.0.1", port=80, local_port=3, reason="Connection refused"),
    ]
    refused = found(lives(".."), made).refused
    assert [(one.name, one.outside) for one in refused] == [("api.example.com:443", True), ("10.0.0.1:80", False)]
