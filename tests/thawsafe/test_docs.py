"""The page about thawsafe says what the code says."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

import thawsafe
from thawsafe import Keepalive, Retries
from thawsafe._core.environments import PRESETS
from thawsafe._core.judging import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "thawsafe.md").read_text(encoding="utf-8")
ADAPTERS = Path(thawsafe.__file__).parent / "adapters"
ROWS = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def shown(value: object) -> str:
    """A value as the table has it."""
    match value:
        case Keepalive(interval=interval, timeout=timeout):
            return f"{interval:g} s, {timeout:g} s"
        case Retries(attempts=attempts, within=within):
            return f"{attempts:g} in {within:g} s"
        case bool():
            return str(value)
        case int() | float():
            return f"{value:g}"
    return "none"


@pytest.mark.parametrize("name", PRESETS)
def test_the_table_of_configurations_is_current(name: str) -> None:
    [head] = [row for row in ROWS if row[0] == "field"]
    column = head.index("lambda_" if name == "lambda" else name)
    table = {row[0]: row[column] for row in ROWS[ROWS.index(head) + 2 :] if len(row) == len(head)}

    configuration = PRESETS[name]()
    fields = {field.name: shown(getattr(configuration, field.name)) for field in dataclasses.fields(configuration)}
    del fields["environment"]
    assert table == fields


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_is_explained(reason: str) -> None:
    assert f"`{reason}`" in PAGE


@pytest.mark.parametrize("name", sorted(path.stem for path in ADAPTERS.glob("[!_]*.py")))
def test_every_adapter_is_in_the_table_with_names_that_it_has(name: str) -> None:
    [row] = [row for row in ROWS if name in row[0].lower().replace(",", " ").split()]
    shown = re.findall(r"(\w+)(?=[`(])", f"`{row[1]}`")

    assert {found for found in shown if found in dir(import_module(f"thawsafe.adapters.{name}"))}
