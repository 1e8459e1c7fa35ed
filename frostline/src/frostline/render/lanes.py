"""A story as lanes: one an environment, cut into the states that it was in, with the invocations that it served."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from ..core.effects import FunctionFailed, Resolve, StartEnvironment, Succeeded, Transition
from ..story.records import Line


class Segment(Struct, frozen=True):
    """A stretch of one state."""

    state: str
    begin: float
    """Epoch seconds, like all times here."""
    end: float


class Served(Struct, frozen=True):
    """An invocation, at the moment when it was answered."""

    request_id: str
    at: float
    failed: bool
    response: str
    """The beginning of the response, as far as the story holds it."""


class Lane(Struct):
    """One environment."""

    environment: str
    function: str
    segments: list[Segment] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)


def lanes(lines: Iterable[Line]) -> list[Lane]:
    """The environments of a story in the order in which they were started. A story that was cut off ends where it was cut."""
    found: dict[str, Lane] = {}
    since: dict[str, tuple[str, float]] = {}
    serving: dict[str, str] = {}
    at = 0.0
    for line in lines:
        at = line.at
        match line.effect:
            case StartEnvironment(environment=environment, function=function):
                found[environment] = Lane(environment, function)
                since[environment] = ("starting", at)
            case Transition(environment=environment, before=before, after=after, request_id=request_id) if environment in found:
                _, begin = since.get(environment, (before, at))
                found[environment].segments.append(Segment(before, begin, at))
                since[environment] = (after, at)
                if request_id is not None:
                    serving[request_id] = environment
            case Resolve(request_id=request_id, outcome=(Succeeded() | FunctionFailed()) as outcome) if request_id in serving:
                failed = isinstance(outcome, FunctionFailed)
                text = outcome.payload.data.decode("utf-8", "replace")
                found[serving[request_id]].served.append(Served(request_id, at, failed, text))
            case _:
                pass
    for environment, (state, begin) in since.items():
        if state != "gone":
            found[environment].segments.append(Segment(state, begin, at))
    return list(found.values())
