"""Short ways to say long things in tests: functions, invocations, what a runtime posts, what the core must answer.

Events and effects are plain structs, and a test may always write them out. These builders exist for those whose full form would hide
what the test is about. What `Like` builds is *partial*: fields that a test does not name may be anything.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ..core.effects import Answer, NextInvocation, OutcomeBase, ReplyBase, Resolve, StartEnvironment, StartProcess
from ..core.events import InvocationArrived, InvocationMode, ProcessExited, RuntimeFailed, RuntimeResponded
from ..core.function import Function
from ..core.payload import Payload


def function(name: str = "f", **configuration: object) -> Function:
    """A Python function with AWS's defaults (3 s, 128 MB); keyword arguments are `Function`'s fields."""
    return replace(Function(name=name, runtime="python3.12", handler="app.handler", revision="1"), **configuration)


def invocation(
    request_id: str, name: str = "f", payload: bytes = b"{}", *, mode: InvocationMode = "request_response", tail: bool = False
) -> InvocationArrived:
    """Somebody invokes a function."""
    return InvocationArrived(function=name, request_id=request_id, payload=Payload(payload), mode=mode, tail=tail)


def responded(environment: str, exchange: int, request_id: str, payload: bytes = b'"ok"') -> RuntimeResponded:
    """The runtime posts its whole response."""
    return RuntimeResponded(environment, exchange, request_id=request_id, payload=Payload(payload))


def failed(environment: str, exchange: int, request_id: str, error_type: str = "ValueError", payload: bytes = b"{}") -> RuntimeFailed:
    """The runtime posts the error that the handler raised."""
    return RuntimeFailed(environment, exchange, request_id=request_id, error_type=error_type, payload=Payload(payload))


def exited(environment: str, process: str = "runtime", *, status: int | None = None, signal: int | None = None) -> ProcessExited:
    """A process ended; without status and signal it exited with status 0."""
    if status is None and signal is None:
        status = 0
    return ProcessExited(environment, process=process, status=status, signal=signal)


class Like:
    """A partial struct: equal to every struct of this class whose named fields are equal."""

    def __init__(self, kind: type[Struct], **fields: object) -> None:
        unknown = set(fields) - set(kind.__struct_fields__)
        if unknown:
            raise TypeError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}; it has {', '.join(kind.__struct_fields__)}")
        self.kind = kind
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.kind) and all(value == getattr(other, name) for name, value in self.fields.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.kind.__name__}({fields}{', ' if fields else ''}...)"


def starts(environment: str, **fields: object) -> Like:
    """A sandbox is asked for."""
    return Like(StartEnvironment, environment=environment, **fields)


def runs(environment: str, process: str = "runtime", *, gated: bool = False) -> StartProcess:
    """A process is started."""
    return StartProcess(environment=environment, process=process, gated=gated)


def answers(exchange: int, reply: type[ReplyBase], **fields: object) -> Like:
    """An exchange is answered."""
    return Like(Answer, exchange=exchange, reply=Like(reply, **fields))


def delivers(exchange: int, request_id: str, **fields: object) -> Like:
    """A runtime's `/next` is answered with this invocation."""
    return answers(exchange, NextInvocation, request_id=request_id, **fields)


def resolves(request_id: str, outcome: type[OutcomeBase], **fields: object) -> Like:
    """An invoker has its answer."""
    return Like(Resolve, request_id=request_id, outcome=Like(outcome, **fields))
