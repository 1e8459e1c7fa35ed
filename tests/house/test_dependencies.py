"""What a distribution imports it declares, and what it declares it imports."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.house.arrows import imports_of, modules_of

REPOSITORY = Path(__file__).parents[2]
OPTIONAL = {"frostline": {"pytest"}, "thawsafe": {"snapshot-restore-py", "sitecustomize"}}
"""Imported only where it is there, beside the extras: frostline's pytest plugin, what Lambda's runtime brings along."""


def normalized(requirement: str) -> str:
    """The bare name of a requirement."""
    name = requirement.partition(";")[0].strip()
    for end in "<>=~! [":
        name = name.partition(end)[0]
    return name.lower().replace("_", "-")


@pytest.mark.parametrize("package", ["frostline", "thawsafe"])
def test_imports_and_declared_dependencies_agree(package: str) -> None:
    project = tomllib.loads((REPOSITORY / package / "pyproject.toml").read_text())["project"]
    declared = {normalized(one) for one in project["dependencies"]}
    extras = {normalized(one) for extra in project.get("optional-dependencies", {}).values() for one in extra}
    distributions = packages_distributions()
    imported = {
        normalized(distributions.get(top, [top])[0])
        for module in modules_of(REPOSITORY / package / "src")
        # What runs inside a function's environment (a runtime client, a bundled function) has its own packages there.
        if (".runtimes." not in module.name or "bootstrap" not in module.name) and ".trials.functions." not in module.name
        for _, target in imports_of(module)
        if (top := target.partition(".")[0]) not in sys.stdlib_module_names and top not in ("frostline", "thawsafe")
    }
    assert imported - OPTIONAL[package] - extras - declared == set(), "imported, and not declared in pyproject.toml"
    assert declared - imported == set(), "declared in pyproject.toml, and never imported"
