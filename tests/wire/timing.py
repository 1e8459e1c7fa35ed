"""What the hot path of this room costs: `python -m tests.wire.timing` from the repository's root. Prints; judges nothing.

An invocation is three exchanges: the caller's Invoke, the runtime's `/next`, the runtime's `/response`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from timeit import repeat

from frostline.core.effects import Accepted, NextInvocation, Succeeded
from frostline.core.events import RuntimeNext, RuntimeResponded
from frostline.core.function import Function
from frostline.core.payload import Payload
from frostline.wire import invoke_answers, invoke_api
from frostline.wire.environment_api import ApiConnection
from frostline.wire.http import Connection, Request

from .dialogue import ID, NEXT, request, respond

_FUNCTIONS = {"f": Function(name="f", runtime="python3.12", handler="h", revision="1")}
_INVOCATION = NextInvocation(
    request_id=ID,
    deadline_ms=1542409706888,
    function_arn=_FUNCTIONS["f"].arn,
    payload=Payload(b'{"key": "value"}'),
    trace_id="Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
)
_SUCCEEDED = Succeeded(payload=Payload(b'{"statusCode": 200}'))
_RESPOND = respond(b'{"statusCode": 200}', headers=[("User-Agent", "aws-lambda-python/3.12"), ("Content-Type", "application/json")])
_INVOKE = request(
    "POST",
    "/2015-03-31/functions/f/invocations",
    [("User-Agent", "Boto3/1.40"), ("X-Amz-Date", "20261122T000000Z"), ("Authorization", "AWS4-HMAC-SHA256 " + "x" * 150)],
    b'{"key": "value"}',
)


def exchanges() -> dict[str, Callable[[], None]]:
    """Each exchange from its first byte to its last."""
    runtime = ApiConnection("e", count(1).__next__)
    caller = Connection(invoke_api.plan)

    def take_next() -> None:
        (event,), _ = runtime.receive(NEXT)
        assert isinstance(event, RuntimeNext)
        runtime.answer(event.exchange, _INVOCATION)

    def take_response() -> None:
        (event,), _ = runtime.receive(_RESPOND)
        assert isinstance(event, RuntimeResponded)
        runtime.answer(event.exchange, Accepted())

    def take_invoke() -> None:
        (received,) = caller.receive(_INVOKE)
        assert isinstance(received, Request)
        call = invoke_api.parse(received, _FUNCTIONS, ID)
        assert isinstance(call, invoke_api.InvokeCall)
        call.arrived()
        invoke_answers.outcome_response(_SUCCEEDED, ID)

    return {"/next": take_next, "/response": take_response, "Invoke": take_invoke}


def main() -> None:
    """Print the best of five measurements, in microseconds."""
    number = 20_000
    for name, exchange in exchanges().items():
        best = min(repeat(exchange, number=number, repeat=5)) / number
        sys.stdout.write(f"{name:10} {best * 1e6:6.2f} µs\n")


if __name__ == "__main__":
    main()
