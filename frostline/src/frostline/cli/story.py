"""`frostline story`: what a recording says, as text and as pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console

from ..diagnose.diagnosis import findings
from ..diagnose.finding import Finding
from ..render.document import to_json
from ..render.page import page
from ..render.pcapng import pcapng
from ..render.svg import svg
from ..render.terminal import terminal
from ..render.view import View, around, select
from ..render.words import clean, number
from ..story.reader import Story, StoryError
from ..story.records import Line
from ..story.timeline import Invocation, Timeline, timeline
from .options import Duration, Failure
from .terminal import Printer, colours

STDOUT = "-"

PLAIN_WIDTH = 110
"""Characters in a line where no terminal says how many there are."""

ASCII = str.maketrans("▒█▓▁┄░▂▃▄▅▆▇○↓↑↕◌✕─╌…·→“”", '=##_.~_--=##ovx|:X-~.->""')
"""For terminals that cannot show the signs: one character for each."""


class Moment(Duration):
    """A moment of a story: a duration since its beginning, `12.5s` or `2m`."""

    name = "moment"


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--svg", "svg_to", metavar="OUT", help="Write a static picture; - for standard output.")
@click.option("--html", "html_to", metavar="OUT", help="Write a page to walk through, in one file that loads nothing.")
@click.option("--pcapng", "pcapng_to", metavar="OUT", help="Write the connections as packets, for Wireshark.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the story, put together, and its findings.")
@click.option(
    "--environment", "-e", "environments", multiple=True, metavar="ID", help="Only this environment; the beginning of its id will do."
)
@click.option(
    "--request", "-r", metavar="ID", help="Only what leads to this invocation: a request id, its beginning, or a number as in pictures."
)
@click.option("--around", "moment", type=Moment(), metavar="TIME", help="Only what happened around this time since the beginning: 12.5s.")
@click.option("--within", type=Duration(), default=2.0, show_default="2s", help="With --around: how long before and after.")
@click.option("--all", "everything", is_flag=True, help="List every environment, invocation and connection, however many.")
@click.option("--to-scale", "scale", is_flag=True, help="Do not shorten long stretches of time.")
def story(
    file: str,
    svg_to: str | None,
    html_to: str | None,
    pcapng_to: str | None,
    *,
    as_json: bool,
    environments: tuple[str, ...],
    request: str | None,
    moment: float | None,
    within: float,
    everything: bool,
    scale: bool,
) -> None:
    """Say what a recording (`--story FILE` of `up`, `invoke` and `demo`) tells: what failed and why, then the timeline.

    FILE is a story, also one that was cut off in the middle; - reads standard input.
    """
    outputs = {name: to for name, to in (("--svg", svg_to), ("--html", html_to), ("--pcapng", pcapng_to)) if to is not None}
    _check_outputs(file, outputs, as_json=as_json)
    notes = Printer(err=True)
    told = _read(file, notes.note)
    found = findings(told)
    view = _view(told, found, environments, request, moment, within)
    if svg_to is not None:
        _write(svg_to, [svg(view, scale=scale).encode()], notes.note)
    if html_to is not None:
        _write(html_to, [page(view, scale=scale).encode()], notes.note)
    if pcapng_to is not None:
        _write(pcapng_to, pcapng(view), notes.note)
    if as_json:
        click.echo(to_json(view))
    elif not outputs:
        _print(view, everything=everything, scale=scale)


def _check_outputs(file: str, outputs: dict[str, str], *, as_json: bool) -> None:
    """Refuse what would mix outputs, or write over the recording."""
    to_stdout = [name for name, to in outputs.items() if to == STDOUT] + (["--json"] if as_json else [])
    if len(to_stdout) > 1:
        raise click.UsageError(f"{' and '.join(to_stdout)} would both write to standard output: give one of them a file.")
    for name, to in outputs.items():
        if to != STDOUT and file != STDOUT and os.path.exists(to) and os.path.exists(file) and os.path.samefile(to, file):
            raise click.UsageError(f"{name} {to} would write over the story itself.")


# Reading -------------------------------------------------------------------------------------------------------------------------------------


def _read(file: str, note: Callable[[str], None]) -> Timeline:
    """The story, put together; of one that is damaged in the middle, what comes before."""
    try:
        with _open(file) as opened:
            told = timeline(opened.header, _lines(opened, note))
            told.truncated = told.truncated or opened.truncated
            return told
    except StoryError as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"the story {file} cannot be read: {error.strerror or error}") from error


def _open(file: str) -> Story:
    if file == STDOUT:
        if sys.stdin.isatty():
            raise click.UsageError("- reads a story from standard input, and that is the keyboard.")
        return Story(sys.stdin.buffer, "standard input")
    if os.path.isdir(file):
        raise Failure(f"the story {file} cannot be read: it is a folder. Give the file that --story wrote.")
    return Story.open(Path(file))


def _lines(opened: Story, note: Callable[[str], None]) -> Iterator[Line]:
    try:
        yield from opened
    except StoryError as error:
        opened.truncated = True
        note(f"{str(error).rstrip('.')}. What comes before it is shown.")


# Choosing ------------------------------------------------------------------------------------------------------------------------------------


def _view(
    told: Timeline, found: Sequence[Finding], environments: Sequence[str], request: str | None, moment: float | None, within: float
) -> View:
    wanted = [_environment(told, one) for one in environments]
    begin = end = None
    if request is not None:
        invocation = _invocation(told, request)
        begin, end = around(told, invocation, found)
        if invocation.environment is not None:
            wanted.append(invocation.environment)
    if moment is not None:
        at = told.begin + moment
        if not told.begin <= at <= told.end:
            raise Failure(f"the story is {told.end - told.begin:.3f} s long, so nothing is around {moment:g} s.")
        begin, end = at - within, at + within
    return select(told, found, environments=wanted, begin=begin, end=end)


def _environment(told: Timeline, wanted: str) -> str:
    matching = [one for one in told.environments if one.startswith(wanted.lower())]
    if len(matching) != 1:
        raise _unclear("environment", wanted, matching, list(told.environments))
    return matching[0]


def _invocation(told: Timeline, wanted: str) -> Invocation:
    if wanted in told.invocations:
        return told.invocations[wanted]
    numbers = list(told.invocations)
    digits = wanted.removeprefix("#")
    if digits.isascii() and digits.isdecimal() and len(digits) < 8 and 0 < int(digits) <= len(numbers):
        return told.invocations[numbers[int(digits) - 1]]
    matching = [one for one in numbers if one.startswith(wanted.lower())]
    if len(matching) != 1:
        raise _unclear("invocation", wanted, matching, numbers)
    return told.invocations[matching[0]]


def _unclear(noun: str, wanted: str, matching: Sequence[str], known: Sequence[str]) -> Failure:
    if matching:
        listed = ", ".join(clean(one) for one in matching[:5])
        return Failure(
            f"{len(matching)} {noun}s begin with {wanted!r}: {listed}{', ...' if len(matching) > 5 else ''}. Give more of the id."
        )
    if not known:
        return Failure(f"the story has no {noun}s.")
    listed = ", ".join(clean(one) for one in known[:5])
    return Failure(f"the story has no {noun} {wanted!r}; it has {number(len(known), noun)}: {listed}{', ...' if len(known) > 5 else ''}.")


# Writing -------------------------------------------------------------------------------------------------------------------------------------


def _write(to: str, parts: Iterable[bytes], note: Callable[[str], None]) -> None:
    try:
        if to == STDOUT:
            _put(sys.stdout.buffer, parts)
            return
        with open(to, "wb") as file:
            _put(file, parts)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"{to} cannot be written: {error.strerror or error}") from error
    note(f"wrote {to}")


def _put(file: BinaryIO | Any, parts: Iterable[bytes]) -> None:
    for part in parts:
        file.write(part)
    file.flush()


def _print(view: View, *, everything: bool, scale: bool) -> None:
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    console = Console(width=width, force_terminal=colours(), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(terminal(view, width=console.width, everything=everything, scale=scale))
    text = "".join(f"{line.rstrip()}\n" for line in captured.get().split("\n")).rstrip("\n")
    try:
        text.encode(output_encoding())
    except UnicodeEncodeError:
        text = text.translate(ASCII).encode("ascii", "replace").decode()
    click.echo(text, color=colours())


def output_encoding() -> str:
    """How text is written to standard output."""
    return sys.stdout.encoding or "utf-8"
