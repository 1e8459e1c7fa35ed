"""The story of a run of trials: what it says of each of them, and one trial's story by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from ..core.function import Function
from ..diagnose.diagnosis import findings
from ..render.view import View, select
from ..story.reader import Story
from ..story.records import Line, encoder
from ..story.timeline import timeline
from .trial import Result


def add_findings(story: Path, results: Mapping[str, Result]) -> None:
    """Read the story of a run and put what it says into the results, which are held by their functions' names. Raises `StoryError`."""
    with Story.open(story) as opened:
        told = timeline(opened.header, opened)
    for life in told.environments.values():
        if (result := results.get(life.function)) is not None and life.invocations:
            result.freezes += len(life.freezes)
            result.environments += 1
    for finding in findings(told):
        if (result := results.get(finding.function)) is not None:
            result.findings.append(finding)


def extract(story: Path, functions: Collection[str], into: Path) -> None:
    """Write a story that tells of these functions only. Raises `StoryError`, and OSError when it cannot be written."""
    with Story.open(story) as opened, into.open("wb") as file:
        file.write(encoder.encode(opened.header) + b"\n")
        for line in concerning(opened, functions):
            file.write(encoder.encode(line) + b"\n")


def read_view(story: Path) -> View:
    """What there is to see in a story, with its findings. Raises `StoryError`."""
    with Story.open(story) as opened:
        told = timeline(opened.header, opened)
    return select(told, findings(told))


def concerning(lines: Iterable[Line], functions: Collection[str]) -> Iterator[Line]:
    """The lines that tell of these functions, their environments and their invocations, and the effects that followed from them."""
    environments: set[str] = set()
    requests: set[str] = set()
    causes: set[int] = set()
    for line in lines:
        said = line.event if line.event is not None else line.effect
        if said is None:
            continue
        concerned = _concerned(said, functions, environments, requests)
        if concerned is None:  # it names nobody, so it goes with what it followed from
            concerned = line.cause in causes
        if not concerned:
            continue
        causes.add(line.seq)
        if _function(said) is not None:
            environments.update(_named(said, "environment"))
            requests.update(_named(said, "request_id"))
        yield line


def _concerned(said: Struct, functions: Collection[str], environments: set[str], requests: set[str]) -> bool | None:
    """Whether something names one of these; None when it names nobody at all."""
    function = _function(said)
    if function is not None:
        return function in functions
    if found := _named(said, "environment"):
        return found[0] in environments
    if found := _named(said, "request_id"):
        return found[0] in requests
    return None


def _function(said: Struct) -> str | None:
    function = getattr(said, "function", None)
    return function.name if isinstance(function, Function) else function


def _named(said: Struct, field: str) -> list[str]:
    value = getattr(said, field, None)
    return [] if value is None else [value]
