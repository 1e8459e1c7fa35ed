"""A module can be read in one sitting, or says at its head why not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

WANTED = 400
NEVER = 800
MARKER = f"Longer than {WANTED} lines because"
REPOSITORY = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("frostline/src", "thawsafe/src", "bench") for path in (REPOSITORY / folder).rglob("*.py"))


def complaint(source: str) -> str | None:
    """What is wrong with a module's length, or None."""
    lines = source.count("\n")
    if lines > NEVER:
        return f"{lines} lines: more than {NEVER} is never one subject; divide it"
    if lines > WANTED and MARKER not in " ".join((ast.get_docstring(ast.parse(source)) or "").split()):
        return f"{lines} lines: divide it, or say in the docstring at its head: {MARKER} ..."
    return None


@pytest.mark.parametrize("path", [p for p in SOURCES if ".peers" not in p.parts], ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_module_is_short_or_says_why_not(path: Path) -> None:
    assert complaint(path.read_text(encoding="utf-8")) is None


def test_the_check_sees_a_long_module() -> None:
    assert complaint('"""A subject."""\n' + "x = 1\n" * WANTED) is not None


def test_the_check_takes_a_reason_even_when_it_is_wrapped() -> None:
    assert complaint('"""A subject.\n\nLonger than 400\nlines because it is one table.\n"""\n' + "x = 1\n" * WANTED) is None


def test_the_check_takes_no_reason_for_a_giant() -> None:
    assert complaint(f'"""{MARKER} it grew."""\n' + "x = 1\n" * NEVER) is not None
