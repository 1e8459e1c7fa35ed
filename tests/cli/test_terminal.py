"""Colours where they are wanted, lines as they are read, and output that holds nobody up."""

from __future__ import annotations

import asyncio
import io
import os
import threading

import click
import pytest

from frostline.cli import outlet as outlet_module
from frostline.cli.outlet import Outlet
from frostline.cli.terminal import Printer, colours
from frostline.control.logs import LogLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def line(text: str, *, function: str = "f", kind: str = "function") -> LogLine:
    return LogLine(time=0.25, function=function, log_stream="s", environment="0123456789abcdef", request_id=None, type=kind, text=text)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_gets_colours_and_a_pipe_does_not() -> None:
    assert colours(Terminal())
    assert not colours(io.StringIO())


def test_no_color_and_a_dumb_terminal_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours(Terminal())
    monkeypatch.setenv("NO_COLOR", "")  # no-color.org: when present and not an empty string
    assert colours(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not colours(Terminal())


def test_a_line_has_its_time_function_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    form = Printer().form(line("hello"))
    time, rest = form.split(" ", 1)
    assert time.endswith(".250")
    assert rest == "f 012345 hello\n"


@pytest.mark.parametrize(("text", "lines"), [("a\nb\n", ["a", "b"]), ("a\rb", ["a", "b"]), ("", [""]), ("a\n\nb", ["a", "", "b"])])
def test_a_message_of_several_lines_is_several_lines(monkeypatch: pytest.MonkeyPatch, text: str, lines: list[str]) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert [each.split(" ", 3)[3] for each in Printer().form(line(text)).splitlines()] == lines


def test_each_function_has_its_colour_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    printer = Printer()
    one, two, again = (printer.form(line("x", function=name)) for name in ("one", "two", "one"))
    assert one == again
    assert "\x1b[36mone" in one
    assert "\x1b[35mtwo" in two
    assert "\x1b[2mEND" in printer.form(line("END", kind="platform.end"))


def test_a_note_stands_apart(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(err=True).note("look here")
    assert capsys.readouterr().err == "frostline: look here\n"


def test_nothing_of_a_colour_is_left_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    text = Printer().form(line("x", kind="platform.start"))
    assert click.unstyle(text) == text


# The outlet ------------------------------------------------------------------------------------------------------------------------------


async def drained(fd: int) -> bytes:
    return await asyncio.to_thread(os.read, fd, 1 << 20)


async def test_lines_are_written_together_and_in_order() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer, lambda each: each.text + "\n", str)
    for number in range(100):
        outlet.add(line(str(number)))
    assert (await drained(reader)).decode().split() == [str(number) for number in range(100)]
    outlet.close()
    os.close(reader)
    os.close(writer)


async def test_the_end_writes_what_there_is() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer, lambda each: each.text + "\n", str)
    outlet.add(line("last"))
    outlet.close()
    os.close(writer)
    assert os.read(reader, 100) == b"last\n"
    os.close(reader)


async def test_a_pipe_that_nobody_reads_holds_nobody_up_and_says_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet_module, "MOST_WAITING", 200_000)
    monkeypatch.setattr(outlet_module, "COLLECT_S", 0.0)
    reader, writer = os.pipe()
    outlet = Outlet(writer, lambda each: each.text + "\n", lambda count: f"... {count} left out\n")
    for number in range(50):
        outlet.add(line(f"{number} " + "x" * 20_000))
        await asyncio.sleep(0.001)
    text = b""
    while b"... " not in text:
        text += await drained(reader)
        outlet.add(line("after"))
        await asyncio.sleep(0.002)
    outlet.close()
    os.close(writer)
    os.close(reader)
    assert text.startswith(b"0 xxx")


async def test_a_reader_that_went_away_ends_the_output_and_nothing_else() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    opened: list[int] = []
    outlet = Outlet(writer, lambda each: each.text + "\n", str)
    for _ in range(3):
        outlet.add(line("x"))
        await asyncio.sleep(0.015)
    outlet.close()
    assert not any(thread.name == "log lines to the terminal" for thread in threading.enumerate())
    opened.append(outlet._fd)
    assert opened != [writer]
    os.close(outlet._fd)
    os.close(writer)
