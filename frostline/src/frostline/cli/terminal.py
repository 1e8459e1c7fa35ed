"""What people see: colours where they are wanted, one line for each log line, notes that stand apart."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import click

from ..control.logs import LogLine

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")


def colours(stream: object = None) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    out = stream if stream is not None else sys.stdout
    is_terminal = getattr(out, "isatty", lambda: False)()
    return bool(is_terminal) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Printer:
    """Prints log lines and notes, each function in its own colour."""

    def __init__(self, *, err: bool = False) -> None:
        self._err = err
        self._colour = colours(sys.stderr if err else sys.stdout)
        self._functions: dict[str, str] = {}

    def _function_colour(self, function: str) -> str:
        return self._functions.setdefault(function, _COLOURS[len(self._functions) % len(_COLOURS)])

    def _echo(self, text: str) -> None:
        click.echo(text, err=self._err, color=self._colour)

    def line(self, line: LogLine) -> None:
        """Print a log line."""
        click.echo(self.form(line), err=self._err, color=self._colour, nl=False)

    def form(self, line: LogLine) -> str:
        """A log line as it is printed: time, function, environment, text; a line of output for each line in it."""
        at = datetime.fromtimestamp(line.time, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        where = click.style(f"{line.function} {line.environment[:6]}", fg=self._function_colour(line.function))
        text = line.text.replace("\r", "\n").rstrip("\n")
        dim = line.type.startswith("platform.")
        prefix = f"{click.style(at, dim=True)} {where} "
        whole = "".join(f"{prefix}{click.style(part, dim=True) if dim else part}\n" for part in text.split("\n"))
        return whole if self._colour else click.unstyle(whole)

    def note(self, text: str) -> None:
        """A sentence for the person."""
        self._echo(click.style("frostline: ", fg="bright_blue", bold=True) + text)
